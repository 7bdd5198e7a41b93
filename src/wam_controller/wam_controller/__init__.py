"""Tracks a trajectory and lets only safe commands through to the robot."""
