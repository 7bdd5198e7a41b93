"""The messages of this stack for reading and writing bags without ROS."""

from __future__ import annotations

from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from wam_planner.bringup import prefix


def typestore() -> Typestore:
    """Types of ROS 2 Jazzy and this project's messages, from the .msg files as installed."""
    store = get_typestore(Stores.ROS2_JAZZY)
    kinds: dict[str, Any] = {}
    for path in sorted((prefix("wam_msgs") / "share/wam_msgs/msg").glob("*.msg")):
        kinds |= get_types_from_msg(path.read_text(), f"wam_msgs/msg/{path.stem}")
    store.register(kinds)
    return store
