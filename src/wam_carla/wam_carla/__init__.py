"""Bridge between ROS 2 and a car in CARLA."""
