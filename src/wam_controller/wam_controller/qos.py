"""Quality of service by purpose, so that a publisher and its subscribers cannot disagree."""

from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy


def _profile(reliable: bool, depth: int, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        reliability=QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
    )


# Only the newest picture is worth its bandwidth.
CAMERA = _profile(reliable=False, depth=1)
# A few samples, to interpolate between.
ODOMETRY = _profile(reliable=False, depth=10)
# What moves or stops the robot: the newest one, and it must arrive.
COMMAND = _profile(reliable=True, depth=1)
# Trajectories and what is drawn of them.
PLAN = _profile(reliable=True, depth=1)
# Instruction, goal: whoever joins late gets the last one.
LATCHED = _profile(reliable=True, depth=1, latched=True)
STATUS = _profile(reliable=True, depth=10)
# A status that changes seldom: whoever joins late must know it.
LATCHED_STATUS = _profile(reliable=True, depth=10, latched=True)
DIAGNOSTICS = _profile(reliable=True, depth=10)
