"""The worlds of the demo, never seen in training. Yards: indoors, outdoors, at night; towns: day, night, fog."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from wam_sim.town import scenarios
from wam_sim.town.world import TownWorld
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


_LIGHTS = ("day", "night", "fog")


def choose_towns(first_seed: int) -> list[TownWorld]:
    """The first route by each light whose seed is `first_seed` or above, in this order."""
    return [
        next(world for seed in count(first_seed) if (world := scenarios.make_world(SPLIT, seed)).look.light == light)
        for light in _LIGHTS
    ]
