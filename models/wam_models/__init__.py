"""World-action models in torch: one observation in, one timed trajectory out. No ROS, no simulator, no robot."""
