"""MuJoCo worlds, a virtual Go2 and the closed loop without ROS."""
