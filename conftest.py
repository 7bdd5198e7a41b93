"""Every test run is alone on the network: its own ROS domain, this machine only."""

from __future__ import annotations

import os
import random

from hypothesis import settings

# Above 100 the ports of a domain reach into the range that Linux hands out to ordinary connections.
os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("MUJOCO_GL", "egl")

# A loaded machine is slow, not wrong: how long an example takes is no property of the code.
settings.register_profile("wam", deadline=None)
settings.load_profile("wam")
