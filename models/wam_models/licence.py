"""The licence of a checkpoint's weights: in config.json, or in the card, which alone can be added to afterwards."""

from __future__ import annotations

import re

from wam_models.checkpoint import CARD, Checkpoint

NOT_RECORDED = "not recorded"
_BETWEEN = "; "
_LINE = re.compile(r"^- Licence of the weights: (.+)\.$", re.MULTILINE)


def licence_of(checkpoint: Checkpoint) -> str:
    """NOT_RECORDED where neither file says it."""
    recorded = checkpoint.config.get("licence")
    if recorded:
        return str(recorded)
    card = checkpoint.directory / CARD
    found = _LINE.search(card.read_text(errors="replace")) if card.is_file() else None
    return found[1] if found else NOT_RECORDED


def card_line(licence: str) -> str:
    """As licence_of finds it in a card."""
    return f"- Licence of the weights: {licence}."


def joined(*licences: str) -> str:
    """Of weights that come from several: each of them once."""
    return _BETWEEN.join(dict.fromkeys(part for licence in licences for part in parts_of(licence)))


def parts_of(licence: str) -> list[str]:
    """Those that a licence is joined of."""
    return licence.split(_BETWEEN)
