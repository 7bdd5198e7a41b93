"""The judge of drives, on drives along the routes of real towns whose verdict can be told beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_models.evaluation.town import DriveOutcome, Ended, InfractionKind, driving_score
from wam_models.se2 import Vector, compose, wrap
from wam_sim.town.car import CarModel, CarState, step_car
from wam_sim.town.criteria import Contact, Criteria
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import Colour, Lights, make_lights
from wam_sim.town.network import RoadNetwork
from wam_sim.town.routes import Route, make_route

CAR = CarModel()
TICK = 0.05
TOWNS = {split: make_network(split, 0) for split in SPLITS}
TOWN = TOWNS["train"]


def route_of(length: float = 250.0, seed: int = 0, network: RoadNetwork = TOWN) -> Route:
    return make_route(network, length, np.random.default_rng(seed))


def judge(route: Route, lights: dict[int, Lights] | None = None, network: RoadNetwork = TOWN) -> Criteria:
    return Criteria(route, network, lights or {}, CAR)


def always(colour: Colour, network: RoadNetwork = TOWN) -> dict[int, Lights]:
    """One colour for every arm."""
    ages = {Colour.GREEN: (1e6, 0.0), Colour.YELLOW: (0.0, 1e6), Colour.RED: (0.0, 0.0)}[colour]
    return {each.id: Lights(each.id, (each.arms,), *ages, clearing=1e6) for each in network.junctions}


Beside = Callable[[float], Vector]


def along(
    route: Route, speed: float, beside: Beside = lambda s: (0.0, 0.0, 0.0), to: float = 1e9
) -> Iterator[CarState]:
    """A drive at a constant speed, tick by tick, beside the middle of the lane by what is given for the metres made,
    steering as the bends ask."""
    before, s = route.pose(-speed * TICK)[2], 0.0
    while s <= min(route.length, to):
        pose = route.pose(s)
        yaw_rate = wrap(pose[2] - before) / TICK
        before = pose[2]
        yield CarState(compose(pose, beside(s)), speed, math.atan(yaw_rate * CAR.wheelbase / speed))
        s += speed * TICK


def drive(criteria: Criteria, states: Iterator[CarState], begins: float = 0.0) -> Criteria:
    for number, state in enumerate(states):
        criteria.step(begins + number * TICK, state)
        if criteria.ended is not None:
            break
    return criteria


def straight_part(route: Route, metres: float) -> tuple[float, float]:
    """m along the route between which it runs on one road, away from junctions."""
    begins = -route.start
    for lane in route.lanes:
        first, last = max(begins, 0.0) + 5.0, min(begins + lane.centre.length, route.length) - 5.0
        if lane.junction is None and last - first >= metres:
            return first, first + metres
        begins += lane.centre.length
    raise AssertionError("no road on this route is that long")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(3))
def test_who_keeps_to_the_route_scores_everything(split: str, seed: int) -> None:
    network = TOWNS[split]
    route = route_of(300.0, seed, network)
    criteria = judge(route, always(Colour.GREEN, network), network)
    verdict = drive(criteria, along(route, 5.0), begins=7.0).finish()
    assert verdict.ended is Ended.COMPLETED and verdict.completion == 1.0
    assert verdict.infractions == () and driving_score(verdict) == 100.0
    assert verdict.drivable_area == 1.0 and verdict.ttc == 1.0 and verdict.time_to_contact == math.inf
    assert verdict.route_length == route.length
    # Over when 99 % of the way are made, not at its last metre.
    assert verdict.seconds == pytest.approx(0.99 * route.length / 5.0, abs=0.3)


@given(seed=st.integers(0, 50), split=st.sampled_from(SPLITS), aside=st.floats(-1.0, 1.0), waves=st.floats(5.0, 40.0))
@settings(max_examples=15, deadline=None)
def test_progress_is_where_the_car_is(seed: int, split: str, aside: float, waves: float) -> None:
    """Also beside the middle, and where the route comes by the same place again."""
    route = route_of(200.0 + 20.0 * seed, seed, TOWNS[split])
    criteria, before = judge(route, network=TOWNS[split]), 0.0
    for number, state in enumerate(along(route, 8.0, lambda s: (0.0, aside * math.sin(s / waves), 0.0))):
        criteria.step(number * TICK, state)
        assert criteria.progress >= before
        before = criteria.progress
        if criteria.ended is not None:
            break
        # The chord of a bend of 8 m within the noise.
        assert criteria.progress == pytest.approx(number * TICK * 8.0, abs=0.6)
        assert criteria.completion == pytest.approx(criteria.progress / route.length)
    assert criteria.ended is Ended.COMPLETED and criteria.infractions == ()


def test_a_loop_of_the_route_is_not_skipped() -> None:
    routes = [route_of(900.0, seed) for seed in range(20)]
    route = next(each for each in routes if len({lane.id for lane in each.lanes}) < len(each.lanes))
    criteria = drive(judge(route), along(route, 8.0))
    assert criteria.ended is Ended.COMPLETED
    assert criteria.finish().seconds == pytest.approx(0.99 * route.length / 8.0, abs=0.3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("side", [0.0, 3.5])
def test_every_red_light_is_found_once(seed: int, side: float) -> None:
    """By those too who go round it on the other lane."""
    route = route_of(300.0, seed)
    verdict = drive(judge(route, always(Colour.RED)), along(route, 5.0, lambda s: (0.0, side, 0.0))).finish()
    reds = [each for each in verdict.infractions if each.kind is InfractionKind.RED_LIGHT]
    # When the tail crosses, not the bumper.
    crossings = [(begins + 0.8 * CAR.length / 2.0) / 5.0 for begins, _ in route.turns]
    assert len(crossings) >= 2
    assert [each.time for each in reds] == pytest.approx(crossings, abs=0.2)  # in a bend the tail keeps inside
    ways = [lane.junction for lane in route.lanes if lane.junction is not None]
    assert [each.detail.split(",")[0] for each in reds] == [f"junction {junction}" for junction in ways]


@pytest.mark.parametrize("lights", [{}, always(Colour.YELLOW)], ids=["none", "yellow"])
def test_without_a_red_light_none_is_run(lights: dict[int, Lights]) -> None:
    route = route_of()
    assert drive(judge(route, lights), along(route, 5.0)).infractions == ()


@pytest.mark.parametrize(
    ("stops", "green", "reds"),
    [
        pytest.param(0.5, False, 0, id="waits with its nose over the line"),
        pytest.param(3.0, False, 0, id="waits with half of it over the line"),
        pytest.param(5.2, False, 1, id="waits with its tail on the line"),
        pytest.param(9.0, False, 1, id="goes on under red"),
        pytest.param(9.0, True, 0, id="goes on under green"),
    ],
)
def test_a_red_light_is_run_by_the_tail(stops: float, green: bool, reds: int) -> None:
    """stops: m of the car beyond the line in the end."""
    route = route_of(300.0, 0)
    end = route.turns[0][0] + stops - CAR.length / 2.0
    criteria = judge(route, always(Colour.GREEN if green else Colour.RED))
    states = list(along(route, 5.0, to=end))
    states += [CarState(states[-1].pose, 0.0)] * 100
    kinds = [each.kind for each in drive(criteria, iter(states)).infractions]
    assert kinds == [InfractionKind.RED_LIGHT] * reds


def test_who_is_late_on_the_line_runs_the_red_that_comes() -> None:
    """Its nose was over it at yellow."""
    route = route_of(300.0, 0)
    begins, _ = route.turns[0]
    entry = next(way for way in TOWN.connections if way.id == route.at(begins + 0.1)[0].id.road)
    lights = next(make_lights(each, 0.0) for each in TOWN.junctions if each.id == entry.junction)
    turns_red = next(
        0.05 * tick
        for tick in range(1, 4000)
        if lights.colour(entry.entry, 0.05 * (tick - 1)) is Colour.YELLOW
        and lights.colour(entry.entry, 0.05 * tick) is Colour.RED
    )
    nose_at_line = (begins - CAR.length / 2.0) / 5.0
    for early, reds in ((0.3, 1), (2.5, 0)):
        states = along(route, 5.0, to=begins + 12.0)
        criteria = drive(judge(route, {entry.junction: lights}), states, begins=turns_red - nose_at_line - early)
        assert len(criteria.infractions) == reds


def test_who_waits_for_green_runs_no_red() -> None:
    network, route = TOWN, route_of(400.0, 1)
    lights = {each.id: make_lights(each, 4.0) for each in network.junctions}
    entries = {way.id: (way.junction, way.entry) for way in network.connections}
    criteria, s, time, waited = judge(route, lights), 0.0, 0.0, 0
    while criteria.ended is None:
        line = s + CAR.length / 2.0
        ahead = next((begins for begins, _ in route.turns if line <= begins < line + 1.0), None)
        speed = 6.0
        if ahead is not None:
            junction, arm = entries[route.at(ahead + 0.1)[0].id.road]
            speed = 6.0 if lights[junction].colour(arm, time) is Colour.GREEN else 0.0
        waited += speed == 0.0
        s, time = s + speed * TICK, time + TICK
        criteria.step(time, CarState(route.pose(s), speed))
    assert criteria.ended is Ended.COMPLETED and criteria.infractions == () and waited * TICK > 5.0


def test_the_other_lane_counts_by_its_share() -> None:
    route = route_of()
    first, last = straight_part(route, 20.0)
    criteria = drive(judge(route), along(route, 5.0, lambda s: (0.0, 3.5 if first <= s < last else 0.0, 0.0)))
    (infraction,) = criteria.infractions
    assert infraction.kind is InfractionKind.OUTSIDE_LANES
    assert infraction.share == pytest.approx(20.0 / (0.99 * route.length), abs=0.005)
    assert infraction.time == pytest.approx(first / 5.0, abs=0.1)
    assert driving_score(criteria.finish()) == pytest.approx(100.0 * (1.0 - infraction.share))


def test_the_share_is_of_the_way_that_was_made() -> None:
    route = route_of()
    first, last = straight_part(route, 20.0)
    criteria = drive(judge(route), along(route, 5.0, lambda s: (0.0, 3.5 if first <= s else 0.0, 0.0), to=last))
    (infraction,) = criteria.infractions
    assert last < 0.5 * route.length and infraction.share == pytest.approx(20.0 / last, abs=0.01)


@pytest.mark.parametrize(("aside", "outside"), [(-4.0, True), (-2.8, False), (1.5, False), (2.0, True), (5.0, True)])
def test_beside_the_road_is_outside_and_the_kerb_is_not(aside: float, outside: bool) -> None:
    """m to the left: 1.75 m reaches the other lane, 3.05 m to the right is as far as the leaderboard lets go."""
    route = route_of()
    first, last = straight_part(route, 20.0)
    criteria = drive(judge(route), along(route, 5.0, lambda s: (0.0, aside if first <= s < last else 0.0, 0.0)))
    assert bool(criteria.infractions) is outside


def test_a_way_across_lanes_within_a_junction_is_none_outside() -> None:
    route = route_of(300.0, 1)
    turns = [(begins + 3.0, begins + 9.0) for begins, _ in route.turns]
    criteria = drive(judge(route), along(route, 5.0, lambda s: (0.0, 2.5 * any(a < s < b for a, b in turns), 0.0)))
    assert criteria.infractions == () and len(turns) >= 2


def test_leaving_the_route_ends_the_drive() -> None:
    """Straight on where the route runs on elsewhere: nothing beyond is progress."""
    route = route_of()
    start = route.pose(40.0)
    states = [
        *along(route, 5.0, to=40.0),
        *(CarState(compose(start, (0.0, -0.25 * i, -1.57)), 5.0) for i in range(200)),
    ]
    criteria = drive(judge(route), iter(states))
    assert criteria.ended is Ended.OFF_ROUTE and criteria.progress == pytest.approx(40.0, abs=5.0)
    x, y, _ = states[round(criteria.finish().seconds / TICK)].pose
    assert math.dist((x, y), start[:2]) == pytest.approx(30.0, abs=5.0)


@pytest.mark.parametrize(("aside", "ended"), [(-20.0, Ended.OFF_ROUTE), (-14.0, None), (-9.0, Ended.COMPLETED)])
def test_straying_for_a_third_of_the_route_ends_the_drive(aside: float, ended: Ended | None) -> None:
    """At 14 m it would not, but nobody arrives more than 10 m from the end."""
    route = next(
        each for each in map(route_of, [120.0] * 30, range(30)) if [turn for _, turn in each.turns] == ["left"]
    )
    criteria = drive(judge(route), along(route, 4.0, lambda s: (0.0, aside, 0.0)))
    assert criteria.ended is ended
    if ended is Ended.OFF_ROUTE:
        assert 0.15 < criteria.completion <= 0.31  # more than the route's own metres are driven outside its bends


def test_who_stands_is_blocked() -> None:
    route = route_of()
    here, moving = CarState(route.pose(3.0), 0.05), CarState(route.pose(3.0), 0.2)
    criteria = judge(route)
    for second in range(100):
        criteria.step(10.0 + second, moving if second == 30 else here)
        assert criteria.ended is (Ended.BLOCKED if second >= 90 else None)
    verdict = criteria.finish()
    assert verdict.seconds == 90.0 and verdict.completion == pytest.approx(3.0 / route.length, abs=0.003)


def test_who_crawls_runs_out_of_time() -> None:
    route = route_of(200.0)
    criteria = drive(judge(route), along(route, 0.5))
    assert criteria.time_limit == pytest.approx(0.8 * route.length + 30.0)
    assert criteria.ended is Ended.TIMEOUT and criteria.finish().seconds == pytest.approx(criteria.time_limit, abs=0.1)
    assert criteria.completion == pytest.approx(0.5 * criteria.time_limit / route.length, abs=0.01)


def collisions(contacts: Callable[[float], list[Contact]], speed: float = 4.0) -> list[tuple[str, str, float]]:
    """Of a drive that touches these at its metres: kind, what, m at which."""
    route = route_of()
    criteria = judge(route)
    for number, state in enumerate(along(route, speed)):
        criteria.step(number * TICK, state, contacts(number * TICK * speed))
    return [(each.kind.value, each.detail, each.time * speed) for each in criteria.infractions]


def test_a_touch_is_one_collision_however_long_it_takes() -> None:
    found = collisions(lambda s: [Contact("vehicle", "car-1")] if 10.0 <= s < 16.0 else [])
    assert found == [("collision_vehicle", "car-1", pytest.approx(10.0, abs=0.3))]


def test_the_same_counts_again_after_five_seconds_and_three_metres() -> None:
    pushed = collisions(lambda s: [Contact("static", "bin")] if 10.0 <= s < 50.0 else [])
    assert [s for _, _, s in pushed] == pytest.approx([10.0, 30.2], abs=0.3)  # 4 m/s for 5 s
    slow = collisions(lambda s: [Contact("static", "bin")] if 10.0 <= s < 12.9 else [], speed=0.5)
    assert len(slow) == 1


def test_others_nearby_are_the_same_collision_and_farther_on_are_not() -> None:
    def touched(s: float) -> list[Contact]:
        places = [("car-1", 10.0), ("car-2", 12.0), ("car-3", 13.5), ("car-4", 19.0)]
        return [Contact("vehicle", name) for name, at in places if at <= s < at + 0.5]

    assert [name for _, name, _ in collisions(touched)] == ["car-1", "car-3", "car-4"]


def test_of_what_is_touched_at_once_the_worst_counts() -> None:
    both = [Contact("static", "kerb"), Contact("pedestrian", "walker-2"), Contact("vehicle", "car-1")]
    assert [kind for kind, _, _ in collisions(lambda s: both if 10.0 <= s < 11.0 else [])] == ["collision_pedestrian"]


def test_frames_near_to_a_contact_are_counted() -> None:
    route = route_of()
    criteria = judge(route)
    for number in range(100):
        criteria.step(number * TICK, CarState(route.pose(0.2 * number), 4.0), ttc=0.7 if number < 20 else 1.0)
    verdict = criteria.finish()
    assert (verdict.ttc, verdict.time_to_contact) == (0.8, 0.7)


@pytest.mark.parametrize(("aside", "kept"), [(0.7, True), (-0.7, True), (1.2, True), (-1.2, False), (4.6, False)])
def test_all_corners_have_to_be_on_the_road(aside: float, kept: bool) -> None:
    """A car 1.95 m wide in lanes of 3.5 m."""
    route = route_of()
    first, last = straight_part(route, 20.0)
    criteria = judge(route)
    for number, s in enumerate(np.arange(first, last, 0.25)):
        criteria.step(number * TICK, CarState(compose(route.pose(float(s)), (0.0, aside, 0.0)), 5.0))
    assert criteria.finish().drivable_area == float(kept)


@pytest.mark.parametrize("split", SPLITS)
def test_within_a_junction_everything_among_its_lanes_is_road(split: str) -> None:
    """Where three ways meet they leave a patch uncovered in the middle."""
    network = TOWNS[split]
    criteria = judge(route_of(network=network), network=network)
    for junction in network.junctions:
        for turned in np.arange(0.0, math.tau, 0.25):
            for ahead in (-1.0, 0.0, 1.0):
                pose = compose((*junction.centre, float(turned)), (ahead, 0.0, 0.0))
                criteria.step(0.0, CarState(pose, 1.0))
                criteria.ended = None  # it is nowhere near its route, and only the ground is asked for
    assert criteria.finish().drivable_area == 1.0


Signal = Callable[[float], float]


def feel(acceleration: Signal, yaw_rate: Signal, speed: float) -> tuple[float, float, float]:
    """Comfort, lateral acceleration and jerk of 8 s with these signals, at 20 Hz."""
    route = route_of()
    criteria = judge(route)
    for time in np.arange(0.0, 8.0, TICK):
        steering = math.atan(yaw_rate(time) * CAR.wheelbase / speed)
        criteria.step(float(time), CarState(route.pose(0.0), speed, steering, acceleration(time)))
    verdict = criteria.finish()
    return verdict.comfort, verdict.lateral_acceleration, verdict.jerk


def constant(value: float) -> Signal:
    return lambda time: value


def zigzag(height: float, slope: float) -> Signal:
    """Up and down between -height and height."""
    period = 4.0 * height / slope
    return lambda time: height * (4.0 * abs((time / period) % 1.0 - 0.5) - 1.0)


@pytest.mark.parametrize(
    ("acceleration", "yaw_rate", "speed", "quiet"),
    [
        (constant(2.3), constant(0.0), 5.0, True),
        (constant(2.5), constant(0.0), 5.0, False),
        (constant(-4.0), constant(0.0), 5.0, True),
        (constant(-4.1), constant(0.0), 5.0, False),
        (zigzag(2.2, 3.9), constant(0.0), 5.0, True),
        (zigzag(2.2, 4.4), constant(0.0), 5.0, False),
        (constant(0.0), constant(0.48), 10.0, True),
        (constant(0.0), constant(0.50), 10.0, False),
        (constant(0.0), zigzag(0.45, 0.80), 10.0, True),
        (constant(0.0), zigzag(0.45, 0.88), 10.0, False),
        (constant(0.0), constant(0.93), 2.0, True),
        (constant(0.0), constant(-0.97), 2.0, False),
        (constant(0.0), zigzag(0.9, 1.8), 2.0, True),
        (constant(0.0), zigzag(0.9, 2.1), 2.0, False),
    ],
)
def test_every_bound_of_comfort_holds(acceleration: Signal, yaw_rate: Signal, speed: float, quiet: bool) -> None:
    """nuPlan's: -4.05 to 2.40 m/s^2 along and 4.89 across, jerk of 4.13 m/s^3 along and 8.37 in all, 0.95 rad/s and
    1.93 rad/s^2 of yaw; each is missed alone."""
    assert feel(acceleration, yaw_rate, speed)[0] == float(quiet)


def test_jerk_and_lateral_acceleration_are_those_of_the_drive() -> None:
    _, lateral, jerk = feel(zigzag(2.2, 3.9), constant(0.3), 10.0)
    assert (lateral, jerk) == pytest.approx((3.0, 3.9), rel=0.01)
    assert feel(constant(0.0), zigzag(0.45, 0.8), 10.0)[2] == pytest.approx(8.0, rel=0.01)


def test_comfort_is_the_share_of_quiet_stretches() -> None:
    """One second of hard braking, of a car that answers as a car does, spoils the stretch of 2 s that it lies in and
    the one into which it fades."""
    route = route_of()
    criteria, state = judge(route), CarState(route.pose(0.0), 11.0)
    for number in range(160):
        criteria.step(number * TICK, CarState(route.pose(0.0), state.speed, 0.0, state.acceleration))
        state = step_car(state, CAR, 0.0, -8.0 if 60 <= number < 80 else 0.0, TICK)
    verdict = criteria.finish()
    assert verdict.comfort == 0.5 and verdict.jerk > 8.37


def test_a_drive_of_a_step_or_two_has_a_verdict_and_one_of_none_has_not() -> None:
    route = route_of()
    criteria = judge(route)
    with pytest.raises(ValueError, match="step the criteria first"):
        criteria.finish()
    for number in range(2):
        criteria.step(number * TICK, CarState(route.pose(0.0)))
        verdict = criteria.finish()
        assert verdict.ended is Ended.TIMEOUT and verdict.comfort == 1.0 and verdict.infractions == ()


def test_after_the_end_nothing_counts() -> None:
    route = route_of()
    criteria = drive(judge(route), along(route, 8.0))
    verdict = criteria.finish()
    criteria.step(1e3, CarState(route.pose(0.0), 3.0), [Contact("pedestrian", "walker-1")], ttc=0.0)
    assert criteria.finish() == verdict
    outcome = DriveOutcome(world="w", scenario="empty", split="train", wall_seconds=1.0, **vars(verdict))
    assert driving_score(outcome) == 100.0 and outcome.seconds == verdict.seconds
