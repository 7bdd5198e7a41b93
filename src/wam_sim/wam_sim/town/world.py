"""What a drive through a town is made of: the roads, how it looks, what stands there, who else moves, where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wam_models.se2 import Vector
from wam_sim.objects import Colour, Part, Thing
from wam_sim.town.idm import Driver
from wam_sim.town.lights import Lights
from wam_sim.town.network import LaneId, RoadNetwork
from wam_sim.town.routes import Route


@dataclass(frozen=True)
class Look:
    """light: day, dusk, night or fog; road, pavement, ground, wall: texture names with two colours each; sky: at the
    horizon and above; sun: its colour, 0 to 1, from sun_direction; ambient: light from everywhere, 0 to 1; fog: m to
    where nothing is seen any more, or None."""

    light: str
    road: tuple[str, Colour, Colour]
    pavement: tuple[str, Colour, Colour]
    ground: tuple[str, Colour, Colour]
    wall: tuple[str, Colour, Colour]
    sky: tuple[Colour, Colour]
    sun: Colour
    sun_direction: tuple[float, float, float]
    ambient: float
    fog: float | None = None

    @property
    def night(self) -> bool:
        return self.light == "night"


@dataclass(frozen=True)
class Brakes:
    """Brakes to a stop for no visible reason once the ego car has driven so far. after: m of the route; wait: s."""

    after: float
    wait: float


@dataclass(frozen=True)
class PullsOut:
    """Stands at the kerb and drives off when the ego car is `gap` m behind."""

    gap: float


@dataclass(frozen=True)
class VehicleStart:
    """What moves along lanes. kind, parts: how it looks; length, width: m; lanes: where it begins and, if it matters,
    what it takes next, `along` m into the first; beside: m left of their middle that it keeps; speed: m/s at first."""

    kind: str
    parts: tuple[Part, ...]
    length: float
    width: float
    lanes: tuple[LaneId, ...]
    along: float
    driver: Driver
    speed: float = 0.0
    beside: float = 0.0
    script: Brakes | PullsOut | None = None


@dataclass(frozen=True)
class WalkerStart:
    """Who walks from `start` to `end`, (x, y) m, and back, at `speed` m/s. trigger: m that the ego car still has to the
    place on its route where they cross, at which they set out, once; None: they walk all the time."""

    parts: tuple[Part, ...]
    start: tuple[float, float]
    end: tuple[float, float]
    speed: float
    trigger: float | None = None
    crosses_at: float = 0.0


@dataclass(frozen=True)
class Misleading:
    """An instruction that cannot be meant: said instead of the right one from `start` to `end` m of the route."""

    start: float
    end: float
    instruction: str


@dataclass(frozen=True)
class TownWorld:
    """One drive. lights: by junction; things: what stands; phrase: in which way
    instructions are said; speed: m/s of the ego car at first; offset: its pose as seen
    from the beginning of the route."""

    split: str
    seed: int
    scenario: str
    network: RoadNetwork
    lights: Mapping[int, Lights]
    route: Route
    look: Look
    things: tuple[Thing, ...]
    vehicles: tuple[VehicleStart, ...] = ()
    walkers: tuple[WalkerStart, ...] = ()
    misleading: tuple[Misleading, ...] = ()
    phrase: int = 0
    speed: float = 0.0
    offset: Vector = (0.0, 0.0, 0.0)

    @property
    def name(self) -> str:
        """Short and unique: split, seed, scenario, light."""
        return f"{self.split}-{self.seed}-{self.scenario}-{self.look.light}"
