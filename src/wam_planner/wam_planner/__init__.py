"""Plans a trajectory from camera, odometry and instruction with a world-action model."""
