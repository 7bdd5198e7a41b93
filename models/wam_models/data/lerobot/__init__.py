"""Runs to a LeRobotDataset v3.0 folder and back: Parquet tables, H.264 video, JSON; lerobot itself is not needed."""
