"""`wam bag`: what is in a bag, whether it is good, parts of it, and the way in and out. A module a subcommand."""

from __future__ import annotations

from wam_tools.lazy import lazy_group

COMMANDS = {
    "info": "What a bag holds: topics, rates, what recorded it, and how.",
    "check": "Whether a bag is good enough to replay and to train on: rates, gaps, jitter, sync, speeds, exposure.",
    "cut": "A part of a bag as a bag of its own.",
    "repair": "A bag whose recording was cut off, whole again up to there.",
    "from-video": "A bag from a video, a table of poses and a camera's calibration.",
    "to-lerobot": "Bags as one LeRobotDataset v3 folder.",
}

app = lazy_group("wam bag", "wam_tools.bag", COMMANDS, "Bags: look at them, check them, cut, mend and convert them.")
