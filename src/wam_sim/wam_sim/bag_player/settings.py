"""The bag player's parameters in one table. Pure."""

from __future__ import annotations

from wam_controller.parameters import Parameter

PLAYER = (
    Parameter("bag", "", "rosbag2 folder, or an .mcap or .db3 file"),
    Parameter("topics", "", "YAML that names the bag's topics; empty: guessed by type and name"),
    Parameter("cameras", "front", "that are played, such as front,left,right"),
    Parameter("rate", 1.0, "seconds of the recording in a second", 0.1, 5),
    Parameter("start", 0.0, "s after the first message", 0, 100000),
    Parameter("loop", False, "begin again at the end, instead of ending"),
    Parameter(
        "without",
        "none",
        "what is left out of what the robot was told, because somebody else says it",
        choices=("none", "instruction", "goal", "both"),
    ),
    Parameter("wait_for", "planner", "node that must hear the cameras and odometry before time starts; empty: nobody"),
    Parameter("patience", 120.0, "s that it is waited for", 0, 600),
)
