"""What a bag says of its own recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wam_models.data.bag_reader import BagReader
from wam_tools.recorder.settings import ABOUT, ABOUT_NOTE


def read_about(bag: BagReader) -> Mapping[str, Any]:
    """See settings.about, with the parameters of every node that was there; empty for a bag of another recorder."""
    text = bag.notes.get(ABOUT_NOTE, "")
    if not text:  # a single file, or a bag that was mended
        for _, _, message in bag.messages({ABOUT}):
            text = getattr(message, "data", "")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parameter(about: Mapping[str, Any], node: str, name: str) -> Any:
    """Of a node, such as /planner; None where the bag does not say."""
    return about.get("parameters", {}).get(node, {}).get(name)
