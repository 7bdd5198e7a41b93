"""What is wrong with recorded data, by kind: counted, with the first example, never fatal by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """kind: a name that stays the same, for programs; count: how often; first: the first one, for people."""

    kind: str
    count: int
    first: str


class Findings:
    """Collects them, in the order in which each kind was first met."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, text: str, count: int = 1) -> None:
        """text: what and where, and what would mend it; kept for the first of a kind."""
        before = self._found.get(kind)
        self._found[kind] = Finding(kind, count, text) if before is None else _more(before, count)

    def extend(self, others: Findings) -> None:
        """Those of another look at the same data."""
        for each in others:
            self.add(each.kind, each.first, each.count)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, kind: str) -> bool:
        return kind in self._found


def _more(before: Finding, count: int) -> Finding:
    return Finding(before.kind, before.count + count, before.first)
