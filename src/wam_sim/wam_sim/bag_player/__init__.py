"""A bag in the place of a robot: its cameras and odometry under this stack's names, on its own clock."""
