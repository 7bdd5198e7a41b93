"""`wam replay`: recorded runs through any model, without ROS; what it would have planned, and how far off that was."""

from __future__ import annotations

from wam_tools.replay.command import app

__all__ = ["app"]
