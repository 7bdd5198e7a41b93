"""Which policies a benchmark runs, and whether they could."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from wam_models.checkpoint import open_checkpoint
from wam_models.types import RefusalReason


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Run(Protocol):
    @property
    def plan_seconds(self) -> Sequence[float]: ...
    @property
    def refusals(self) -> Sequence[str]: ...


_Contender = TypeVar("_Contender", bound=_Named)
_REFUSED = {reason.value for reason in RefusalReason}


def check_model(source: str) -> None:
    """A broken one is refused here, with its message, not in a worker. Raises ValueError."""
    if source.startswith("baseline:"):
        name = source.removeprefix("baseline:")
        raise ValueError(f"{source} is a policy of its own here: leave out --model, and choose it with --only {name}")
    open_checkpoint(Path(source))


def chosen(contenders: Sequence[_Contender], only: str) -> list[_Contender]:
    """Those whose names are given, with commas, or all. Raises ValueError for a name that none has."""
    known = [each.name for each in contenders]
    names = {name for name in only.split(",") if name} or set(known)
    if unknown := names - set(known):
        raise ValueError(f"no policy is called {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    return [each for each in contenders if each.name in names]


def never_planned(runs: Mapping[str, Sequence[_Run]]) -> list[str]:
    """A sentence for each policy that refused whatever it was shown: its score is that of a robot left alone."""
    said = []
    for name, of_it in runs.items():
        asked = sum(len(run.plan_seconds) for run in of_it)
        reasons = [reason for run in of_it for reason in run.refusals if reason in _REFUSED]
        if asked and len(reasons) == asked:
            often = max(sorted(set(reasons)), key=reasons.count)
            said.append(f"{name} never planned, {often} {reasons.count(often)} times of {asked}: another --model fits")
    return said
