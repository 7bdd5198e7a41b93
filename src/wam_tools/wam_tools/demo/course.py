"""The worlds that the demo walks: never seen in training, one indoors, one outdoors, one at night."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from wam_sim.worlds import YardWorld, make_world

SPLIT = "unseen"
_WANTED: tuple[Callable[[YardWorld], bool], ...] = (
    lambda world: world.kind == "indoor" and not world.appearance.night,
    lambda world: world.kind == "outdoor" and not world.appearance.night,
    lambda world: world.appearance.night,
)


def choose(first_seed: int) -> list[YardWorld]:
    """The first world of each kind whose seed is `first_seed` or above, in the order indoor, outdoor, night."""
    return [next(world for seed in count(first_seed) if wanted(world := make_world(SPLIT, seed))) for wanted in _WANTED]
