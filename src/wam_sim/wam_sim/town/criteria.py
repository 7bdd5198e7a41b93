"""The judge of a drive through the town: how far it came, what it broke, and why it ended.

The rules are those of the CARLA leaderboard 1.0, read off the lane graph. It knows what no car does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import shapely
from scipy.signal import savgol_filter
from scipy.spatial import cKDTree

from wam_models.evaluation.town import COEFFICIENTS, Ended, Infraction, InfractionKind, Verdict
from wam_models.se2 import Vector, compose, wrap
from wam_sim.town.car import CarModel, CarState
from wam_sim.town.lights import Colour, Lights
from wam_sim.town.network import LANE_WIDTH, LaneId, RoadEnd, RoadNetwork
from wam_sim.town.routes import Route

# m between the places at which routes and lanes are known, and how many of them ahead a car may have come to.
_SPACING = 0.5
_WINDOW = 20
# Completed is what is beyond this share and this near to the end, m.
_COMPLETED, _ARRIVED = 0.99, 10.0
# m from the route: at the first it is left, and beyond the second it is after this share of its length.
_OFF_ROUTE, _STRAYED, _STRAYED_SHARE = 30.0, 15.0, 0.3
# m beyond the edge of a lane that its car's middle may be, and rad from its direction.
_BESIDE = 1.3
_AGAINST = math.radians(120.0)
# m/s, s: whoever is slower for longer is blocked. No light is red that long.
_STANDING, _BLOCKED = 0.1, 60.0
# s in which the same is not hit again; m in which nothing is, and beyond which a place is forgotten.
_SAME, _NEAR, _FORGOTTEN = 5.0, 3.0, 5.0
_SECONDS_PER_METRE, _SECONDS_BESIDES = 0.8, 30.0
# Of the half length of a car, and m: from where its tail is looked at for red lights, and to how far behind it.
_TAIL, _TRAIL = 0.8, 1.0
# s, what NAVSIM looks ahead.
_TTC = 1.0
# m that a corner may stand out: the seams of what roads and junctions cover.
_SEAM = 0.05

# nuPlan's bounds of comfort, m, s, rad; every 0.1 s, smoothed over 7 samples, and kept over 20 or not.
_SAMPLE, _SMOOTHED, _STRETCH = 0.1, 7, 20
_BRAKING, _ACCELERATION, _LATERAL = -4.05, 2.40, 4.89
_JERK, _ALONG_JERK = 8.37, 4.13
_YAW_RATE, _YAW_ACCELERATION = 0.95, 1.93


class Contact(NamedTuple):
    """Something that the car's outline touches. id: the same as long as it is the same thing."""

    kind: Literal["pedestrian", "vehicle", "static"]
    id: str


class Criteria:
    """Stepped along one drive, at least ten times a second, until it has ended.

    Progress is monotone and found within 10 m ahead of the last, so that no loop of the route is skipped. The
    leaderboard gives 0.8 s a metre and 5 s; red lights take their time here, so it is 0.8 s a metre and 30 s. Who
    stands is blocked after 60 s, there after 180.
    Metres outside the lanes are metres of progress made farther than 1.3 m beyond the edge of every lane of the town,
    or nearest to a lane that runs against the car; in junctions, where lanes cross, none does. Red lights count at
    every arm of a junction, over the whole width of its road; a junction without an entry in `lights` has none.

    progress: m along the route; time_limit: s; ended: None while the drive goes on.
    """

    def __init__(self, route: Route, network: RoadNetwork, lights: Mapping[int, Lights], model: CarModel) -> None:
        self.progress = 0.0
        self.ended: Ended | None = None
        self.time_limit = _SECONDS_PER_METRE * route.length + _SECONDS_BESIDES
        self._route, self._model = route, model
        self._places = np.array([route.pose(s) for s in (*np.arange(0.0, route.length, _SPACING), route.length)])
        self._roads = _Roads(network)
        self._stops = _StopLines(network, lights)
        self._infractions: list[Infraction] = []
        self._began: float | None = None
        self._now = self._moved_at = self._left_at = 0.0  # s into the drive
        self._place: tuple[float, float] | None = None
        self._outside = self._strayed = 0.0  # m
        self._hits: list[tuple[float, float]] = []
        self._hit_at: dict[str, float] = {}
        self._frames = self._clear = self._drivable = 0
        self._ttc = math.inf
        self._samples: list[tuple[float, float, float]] = []

    @property
    def completion(self) -> float:
        """Share of the route; all of it once it is completed."""
        return 1.0 if self.ended is Ended.COMPLETED else min(self.progress / self._route.length, 1.0)

    @property
    def infractions(self) -> tuple[Infraction, ...]:
        """So far; what was driven outside the lanes is one, of the share of the way made until then."""
        found = self._infractions
        if self._outside > 0.0:
            share = min(self._outside / self.progress, 1.0)
            detail = f"{self._outside:.1f} m"
            found = [*found, Infraction(InfractionKind.OUTSIDE_LANES, self._left_at, detail, share)]
        return tuple(found)

    def step(self, time: float, state: CarState, contacts: Sequence[Contact] = (), ttc: float = math.inf) -> None:
        """time: s, of the clock that the lights follow; contacts: at this instant; ttc: s until the first one, as
        everything moves. After the end nothing counts."""
        if self.ended is not None:
            return
        if self._began is None:
            self._began = time
        self._now = time - self._began
        x, y, yaw = state.pose
        moved = 0.0 if self._place is None else math.dist(self._place, (x, y))
        self._place = x, y
        apart = self._advance(x, y, yaw)
        self._collide(contacts, (x, y))
        for junction, arm in self._stops.run(time, state.pose, self._model.length):
            detail = f"junction {junction}, road {arm.road}"
            self._infractions.append(Infraction(InfractionKind.RED_LIGHT, self._now, detail))
        self._strayed += moved if apart > _STRAYED else 0.0
        if state.speed >= _STANDING:
            self._moved_at = self._now
        self._record(state, ttc)
        self.ended = self._end(x, y, apart)

    def finish(self) -> Verdict:
        """On a drive that was broken off too: that counts as out of time. Raises ValueError before the first step."""
        if not self._frames:
            raise ValueError("a drive of no step cannot be judged: step the criteria first")
        comfort, lateral, jerk = _comfort(np.array(self._samples))
        return Verdict(
            route_length=self._route.length,
            completion=self.completion,
            ended=self.ended or Ended.TIMEOUT,
            infractions=self.infractions,
            seconds=self._now,
            time_to_contact=self._ttc,
            ttc=self._clear / self._frames,
            drivable_area=self._drivable / self._frames,
            comfort=comfort,
            lateral_acceleration=lateral,
            jerk=jerk,
        )

    def _advance(self, x: float, y: float, yaw: float) -> float:
        """Along the route; m that the car is beside it."""
        first = int(self.progress / _SPACING)
        ahead = self._places[first : first + _WINDOW + 1]
        apart = np.hypot(ahead[:, 0] - x, ahead[:, 1] - y)
        index = int(apart.argmin())
        px, py, heading = ahead[index].tolist()
        beyond = math.cos(heading) * (x - px) + math.sin(heading) * (y - py)
        half = _SPACING / 2.0
        come = min((first + index) * _SPACING + max(-half, min(half, beyond)), self._route.length)
        if come > self.progress:
            if self._roads.outside(x, y, yaw):
                if self._outside == 0.0:
                    self._left_at = self._now
                self._outside += come - self.progress
            self.progress = come
        return float(apart[index])

    def _collide(self, contacts: Sequence[Contact], place: tuple[float, float]) -> None:
        self._hits = [hit for hit in self._hits if math.dist(hit, place) <= _FORGOTTEN]
        kinds = [(InfractionKind(f"collision_{contact.kind}"), contact.id) for contact in contacts]
        # Of what is hit at one place only one counts: the worst.
        for kind, name in sorted(kinds, key=lambda each: COEFFICIENTS[each[0]]):
            again = self._now - self._hit_at.get(name, -math.inf) <= _SAME
            if again or any(math.dist(hit, place) < _NEAR for hit in self._hits):
                continue
            self._hits.append(place)
            self._hit_at[name] = self._now
            self._infractions.append(Infraction(kind, self._now, name))

    def _record(self, state: CarState, ttc: float) -> None:
        self._frames += 1
        self._clear += ttc >= _TTC
        self._ttc = min(self._ttc, ttc)
        self._drivable += self._roads.hold(state, self._model)
        if self._now >= len(self._samples) * _SAMPLE - 1e-6:
            yaw_rate = state.twist(self._model)[2]
            self._samples.append((state.acceleration, state.speed * yaw_rate, yaw_rate))

    def _end(self, x: float, y: float, apart: float) -> Ended | None:
        length = self._route.length
        left = math.dist((x, y), self._places[-1, :2])
        if self.progress > _COMPLETED * length and left < _ARRIVED:
            return Ended.COMPLETED
        if apart >= _OFF_ROUTE or self._strayed > _STRAYED_SHARE * length:
            return Ended.OFF_ROUTE
        if self._now - self._moved_at >= _BLOCKED:
            return Ended.BLOCKED
        return Ended.TIMEOUT if self._now >= self.time_limit else None


class _Roads:
    """Where lanes are and which way they run, and what may be driven on: all lanes, and in junctions what lies among
    them."""

    def __init__(self, network: RoadNetwork) -> None:
        lanes = [(lane, np.array(lane.centre.poses(_SPACING))) for lane in network.lanes.values()]
        poses = np.concatenate([places for _, places in lanes])
        self._lanes = cKDTree(poses[:, :2])
        self._headings = poses[:, 2].tolist()
        self._crossing = [lane.junction is not None for lane, places in lanes for _ in places]
        strips: dict[int | None, list[shapely.Geometry]] = {}
        for lane, places in lanes:
            strip = shapely.LineString(places[:, :2]).buffer(LANE_WIDTH / 2.0 + _SEAM, cap_style="flat")
            strips.setdefault(lane.junction, []).append(strip)
        ground = strips.pop(None, [])
        for crossing in strips.values():
            covered = shapely.union_all(crossing).buffer(_SEAM)
            ground += [shapely.Polygon(part.exterior) for part in shapely.get_parts(covered)]
        self._ground = shapely.union_all(ground)
        shapely.prepare(self._ground)

    def outside(self, x: float, y: float, yaw: float) -> bool:
        """Beside all lanes, or on one that runs the other way."""
        apart, index = self._lanes.query((x, y))
        if apart > LANE_WIDTH / 2.0 + _BESIDE:
            return True
        return not self._crossing[index] and abs(wrap(yaw - self._headings[index])) > _AGAINST

    def hold(self, state: CarState, model: CarModel) -> bool:
        """The car's four corners."""
        x, y, yaw = state.pose
        ahead, aside = 0.5 * model.length * np.array([1, -1, -1, 1]), 0.5 * model.width * np.array([1, 1, -1, -1])
        cos, sin = math.cos(yaw), math.sin(yaw)
        corners = x + cos * ahead - sin * aside, y + sin * ahead + cos * aside
        return bool(shapely.contains_xy(self._ground, *corners).all())


class _StopLines:
    """Where arms meet their junctions, and whose tail crosses one of these lines while its light is red.

    As the leaderboard has it: who stopped with the nose beyond the line and waits has run no red, and who came late and
    is still on the line when the light turns red has.
    """

    def __init__(self, network: RoadNetwork, lights: Mapping[int, Lights]) -> None:
        lines = {
            (way.junction, way.entry): network.lanes[LaneId(way.id, -1)].centre.start
            for way in network.connections
            if way.junction in lights
        }
        self._lights = lights
        self._arms: list[tuple[int, RoadEnd]] = list(lines)
        self._poses = np.array(list(lines.values())).reshape(-1, 3)
        self._cos, self._sin = np.cos(self._poses[:, 2]), np.sin(self._poses[:, 2])
        self._run: set[tuple[int, RoadEnd]] = set()

    def run(self, time: float, pose: Vector, length: float) -> list[tuple[int, RoadEnd]]:
        """Arms whose red light a car of `length` metres at `pose` runs, each once for as long as its tail is there."""
        half = 0.5 * length
        beyond, aside = self._seen(compose(pose, (-_TAIL * half, 0.0, 0.0)))
        behind, _ = self._seen(compose(pose, (-half - _TRAIL, 0.0, 0.0)))
        right, left = -(0.5 * LANE_WIDTH + _BESIDE), 1.5 * LANE_WIDTH + _BESIDE
        across = (behind < 0.0) & (beyond >= 0.0) & (right <= aside) & (aside <= left)
        crossed = {self._arms[index] for index in np.flatnonzero(across)}
        red = {arm for arm in crossed if self._lights[arm[0]].colour(arm[1], time) is Colour.RED}
        found = [arm for arm in self._arms if arm in red - self._run]
        self._run = (self._run & crossed) | red
        return found

    def _seen(self, point: Vector) -> tuple[np.ndarray, np.ndarray]:
        """m beyond each line, and to the left of the middle of its lane."""
        dx, dy = point[0] - self._poses[:, 0], point[1] - self._poses[:, 1]
        return self._cos * dx + self._sin * dy, self._cos * dy - self._sin * dx


def _comfort(samples: np.ndarray) -> tuple[float, float, float]:
    """Share of stretches of 2 s within all bounds; the largest lateral acceleration and jerk. samples: (n, 3) of
    acceleration along and across and yaw rate, every 0.1 s."""
    count = len(samples)
    window = min(_SMOOTHED, count - 1 + count % 2)
    if window < 3:
        return 1.0, float(np.abs(samples[:, 1]).max()), 0.0
    along, across, yaw_rate = savgol_filter(samples, window, 2, axis=0).T
    along_jerk, across_jerk, yaw_acceleration = savgol_filter(samples, window, 2, deriv=1, delta=_SAMPLE, axis=0).T
    jerk = np.hypot(along_jerk, across_jerk)
    kept = (along > _BRAKING) & (along < _ACCELERATION) & (np.abs(across) < _LATERAL)
    kept &= (jerk < _JERK) & (np.abs(along_jerk) < _ALONG_JERK)
    kept &= (np.abs(yaw_rate) < _YAW_RATE) & (np.abs(yaw_acceleration) < _YAW_ACCELERATION)
    whole = count // _STRETCH * _STRETCH
    stretches = kept[:whole].reshape(-1, _STRETCH) if whole else kept[None]
    return float(stretches.all(axis=1).mean()), float(np.abs(across).max()), float(jerk.max())
