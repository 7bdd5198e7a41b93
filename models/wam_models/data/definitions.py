"""Message types as bags define them."""

from __future__ import annotations

from typing import Any

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_NO_DIGEST = "RIHS01_" + 64 * "0"  # of a type that nobody knows
_IDL_FILE = "=" * 80 + "\n"  # between the files of one definition, each of which opens with its name


def types_of(definition: MessageDefinition, kind: str, others: Typestore | None = None) -> Typestore | None:
    """What reads messages of the type `kind`, or None when the definition does not say. others: of the same bag, which
    takes it in unless it has a part of the type with another definition; what types share is then compiled once."""
    try:
        parsed = _parsed(definition, kind)
    except TypesysError:
        return None
    for store in (others, get_typestore(Stores.EMPTY)):
        if store is None:
            continue
        try:
            store.register(parsed)
        except (TypesysError, ValueError):
            continue
        return store if kind in store.fielddefs else None
    return None


def text_and_digest(kind: str, text: str, digest: str, types: Typestore | None) -> tuple[str, str]:
    """What a writer wants to know of a type: its definition and its REP-2016 hash. text, digest: as far as a bag says
    them; types: that have it, or None; of what nobody knows the text is empty."""
    if types is None:
        return text, digest or _NO_DIGEST
    return text or types.generate_msgdef(kind, ros_version=2)[0], digest or types.hash_rihs01(kind)


def _parsed(definition: MessageDefinition, kind: str) -> dict[str, Any]:
    if definition.format == MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(definition.data, kind))
    parts = [part.partition("\n")[2] for part in definition.data.split(_IDL_FILE)[1:]] or [definition.data]
    return {name: fields for part in parts for name, fields in get_types_from_idl(part).items()}
