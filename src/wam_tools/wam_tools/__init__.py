"""The wam command: bring-up, demo, benchmarks, training and checks."""
