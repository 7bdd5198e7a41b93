"""What a bag says of its own recording: who made it, and with which parameters every node ran; for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wam_models.data.bag_reader import BagReader

TOPIC = "/recording"  # std_msgs/String, JSON; the last one knows most
NOTE = "recording"  # the same in the bag's metadata


def read_about(bag: BagReader) -> Mapping[str, Any]:
    """Robot, note, commit, host, and `parameters` by node; empty for a bag of another recorder."""
    text = bag.notes.get(NOTE, "")
    if not text:  # a single file, or a bag that was mended
        for _, _, message in bag.messages({TOPIC}):
            text = getattr(message, "data", "")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
