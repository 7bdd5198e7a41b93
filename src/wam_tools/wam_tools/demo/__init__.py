"""`wam demo`: three unseen worlds with the whole graph, real processes, walked or driven, and what happened there."""

from __future__ import annotations

from wam_tools.demo.command import app

__all__ = ["app"]
