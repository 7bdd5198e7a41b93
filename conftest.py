"""Every test run is alone on the network: its own ROS domain, this machine only."""

from __future__ import annotations

import os
import random

# Above 100 the ports of a domain reach into the range that Linux hands out to ordinary connections.
os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("MUJOCO_GL", "egl")
