"""`wam demo`: walks three unseen worlds with the whole graph, real processes, and shows what happened."""

from __future__ import annotations

from wam_tools.demo.command import app

__all__ = ["app"]
