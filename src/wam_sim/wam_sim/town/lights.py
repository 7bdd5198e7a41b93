"""Traffic lights: who may enter a junction when. Everything follows from the time, so nothing has to be stepped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from wam_sim.town.network import Junction, RoadEnd


class Colour(Enum):
    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"


@dataclass(frozen=True)
class Lights:
    """Of one junction. groups: arms that are green together, in the order in which they are; green, yellow: s that each
    group has; clearing: s in which all are red before the next one; offset: s into the cycle at time 0."""

    junction: int
    groups: tuple[tuple[RoadEnd, ...], ...]
    green: float = 10.0
    yellow: float = 3.0
    clearing: float = 2.0
    offset: float = 0.0

    @property
    def cycle(self) -> float:
        """s after which everything comes again."""
        return len(self.groups) * self.share

    @property
    def share(self) -> float:
        """s of the cycle that each group has, the clearing after it included."""
        return self.green + self.yellow + self.clearing

    def colour(self, arm: RoadEnd, time: float) -> Colour:
        """What whoever comes from this road end sees at a time, s. Raises ValueError for an arm of another junction."""
        into, left = divmod((time + self.offset) % self.cycle, self.share)
        if arm not in self.groups[int(into) % len(self.groups)]:
            if not any(arm in group for group in self.groups):
                raise ValueError(f"{arm} is no arm of junction {self.junction}")
            return Colour.RED
        if left < self.green:
            return Colour.GREEN
        return Colour.YELLOW if left < self.green + self.yellow else Colour.RED


def make_lights(junction: Junction, offset: float = 0.0) -> Lights:
    """Of four arms, those that face each other go together; of three each goes alone."""
    arms = junction.arms
    groups = tuple((arms[i], arms[i + 2]) for i in range(2)) if len(arms) == 4 else tuple((arm,) for arm in arms)
    return Lights(junction.id, groups, offset=offset)
