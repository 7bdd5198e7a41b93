"""The car as a body, and the tracker that drives it, over roads and latencies."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.ackermann import AckermannTracker, WaypointPid, steering_angle
from wam_controller.tracker import Tracker, make_reference
from wam_models.se2 import Vector, compose, relative
from wam_models.types import Trajectory
from wam_sim.town.car import CarModel, CarState, outline, step_car
from wam_sim.town.curves import Arc, Curve

CAR = CarModel()
TICK = 0.02


def above(axle: Vector) -> Vector:
    """base_link of a car whose rear axle is there."""
    return compose(axle, (CAR.rear, 0.0, 0.0))


def drive(curve: Curve, speed: float, latency: float, tracker: Tracker, start: CarState, seconds: float) -> np.ndarray:
    """The rear axle along a curve that is planned anew ten times a second, as a policy would that knows the way;
    commands come `latency` s late. Metres of the axle beside the curve at every tick."""
    state = start
    waiting: deque[tuple[float, float]] = deque([(0.0, 0.0)] * round(latency / TICK))
    beside, reference, steering, places = [], None, 0.0, curve.poses(0.25)
    for tick in range(round(seconds / TICK)):
        now = tick * TICK
        if tick % 5 == 0:
            poses = np.array([relative(state.pose, above(curve.pose(speed * (now + 0.5 * (i + 1))))) for i in range(8)])
            reference = make_reference(Trajectory(now, 0.5, poses), np.array(state.pose))
        target = tracker.command(reference, now, np.array(state.pose), np.array(state.twist(CAR))).twist
        steering = steering_angle(tuple(target), CAR.wheelbase, steering)
        waiting.append((steering, 2.0 * (target[0] - state.speed)))
        state = step_car(state, CAR, *waiting.popleft(), TICK)
        axle = compose(state.pose, (-CAR.rear, 0.0, 0.0))
        nearest = min(places, key=lambda pose: math.dist(pose[:2], axle[:2]))
        beside.append(abs(relative(nearest, axle)[1]))
    return np.array(beside)


ROUND = Curve((Arc((0.0, 0.0, 0.0), 200.0, 1 / 25.0),))
BENDS = [Arc((0.0, 0.0, 0.0), 30.0)]
for curvature in (1 / 30.0, -1 / 30.0, 1 / 20.0, -1 / 40.0):
    BENDS.append(Arc(BENDS[-1].end, 25.0, curvature))
WINDING = Curve(tuple(BENDS))


def cubic(lead: float) -> AckermannTracker:
    return AckermannTracker(rear_axle=CAR.rear, lead=lead)


@pytest.mark.parametrize(
    ("curve", "speed"), [(ROUND, 7.0), (WINDING, 7.0), (WINDING, 3.0)], ids=["round", "winding", "slow"]
)
@pytest.mark.parametrize(
    ("tracker", "latency", "bound"),
    [("cubic", 0.0, 0.15), ("cubic", 0.1, 0.2), ("cubic", 0.3, 0.4), ("lmdrive", 0.0, 0.6), ("lmdrive", 0.1, 0.6)],
)  # s, m
def test_a_car_keeps_to_the_middle_of_its_way(
    curve: Curve, speed: float, tracker: str, latency: float, bound: float
) -> None:
    made = cubic(latency + 0.15) if tracker == "cubic" else WaypointPid(CAR.wheelbase)
    beside = drive(curve, speed, latency, made, CarState(above(curve.pose(0.0)), speed), 0.9 * curve.length / speed)
    assert beside.max() < bound


def test_what_the_command_waits_for_is_made_up_for() -> None:
    start = CarState(above(WINDING.pose(0.0)), 7.0)
    known, unknown = (drive(WINDING, 7.0, 0.3, cubic(lead), start, 16.0).max() for lead in (0.45, 0.0))
    assert known < unknown


@pytest.mark.parametrize("tracker", [cubic(0.25), WaypointPid(CAR.wheelbase)], ids=["cubic", "lmdrive"])
def test_a_car_beside_its_way_comes_back_to_it_without_swinging(tracker: Tracker) -> None:
    straight = Curve((Arc((0.0, 0.0, 0.0), 200.0),))
    beside = drive(straight, 7.0, 0.1, tracker, CarState((0.0, 1.0, 0.0), 7.0), 12.0)
    assert beside[0] > 0.9 and beside[-1] < 0.05
    settled = int(np.argmax(beside < 0.1))
    assert beside[settled:].max() < 0.2


@given(
    steering=st.floats(-1.0, 1.0),
    acceleration=st.floats(-12.0, 6.0),
    speed=st.floats(0.0, 15.0),
    seconds=st.floats(0.02, 1.0),
)
def test_a_car_keeps_within_what_a_car_can(steering: float, acceleration: float, speed: float, seconds: float) -> None:
    before = CarState((1.0, 2.0, 0.5), speed)
    after = step_car(before, CAR, steering, acceleration, seconds)
    assert abs(after.steering) <= min(CAR.max_steering, CAR.steering_rate * seconds) + 1e-9
    assert -CAR.braking * seconds - 1e-9 <= after.speed - speed <= CAR.acceleration * seconds + 1e-9
    assert after.speed >= 0.0
    moved = math.dist(before.pose[:2], after.pose[:2])
    assert moved <= max(speed, after.speed) * seconds * 1.1 + 1e-9  # its middle swings out where it turns
    _, sideways, yaw_rate = after.twist(CAR)
    assert sideways == pytest.approx(yaw_rate * CAR.rear)


def test_a_car_that_brakes_stops_and_stays() -> None:
    state = step_car(CarState((0.0, 0.0, 0.0), 8.0), CAR, 0.0, -8.0, 3.0)
    assert state.speed == 0.0 and 4.0 < state.pose[0] < 7.0
    later = step_car(state, CAR, 0.3, -8.0, 2.0)
    assert later.pose == pytest.approx(state.pose)
    assert step_car(later, CAR, 0.0, 2.0, 1.0).speed > 1.0


def test_the_rear_axle_follows_the_circle_of_the_steering_angle() -> None:
    state = CarState((0.0, 0.0, 0.0), 5.0, 0.3)
    radius = CAR.wheelbase / math.tan(0.3)
    centre = (-CAR.rear, radius)
    for _ in range(50):
        state = step_car(state, CAR, 0.3, 0.0, 0.1)
        x, y, yaw = state.pose
        axle = (x - CAR.rear * math.cos(yaw), y - CAR.rear * math.sin(yaw))
        assert math.dist(axle, centre) == pytest.approx(radius, abs=0.01)


@pytest.mark.parametrize("command", [(math.nan, 0.0), (0.0, math.inf)])
def test_a_command_that_is_not_finite_is_refused(command: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="finite commands"):
        step_car(CarState((0.0, 0.0, 0.0)), CAR, *command, 0.1)


def test_an_outline_is_the_car_s() -> None:
    shape = outline((3.0, -2.0, 1.0), CAR)
    assert shape.area == pytest.approx(CAR.length * CAR.width)
    assert (shape.centroid.x, shape.centroid.y) == pytest.approx((3.0, -2.0))


@given(
    speed=st.floats(0.2, 15.0),
    angle=st.floats(-0.6, 0.6),
)
def test_a_steering_angle_is_what_turns_the_car_as_wanted(speed: float, angle: float) -> None:
    twist = CarState((0.0, 0.0, 0.0), speed, angle).twist(CAR)
    assert steering_angle(twist, CAR.wheelbase, before=9.0) == pytest.approx(angle, abs=1e-9)
    assert steering_angle((0.0, 0.0, 0.0), CAR.wheelbase, before=angle) == angle


@pytest.mark.parametrize("changes", [{"preview": 0.0}, {"shortest": math.nan}, {"lead": -0.1}, {"kp_speed": math.inf}])
def test_settings_of_the_tracker_keep_their_rule(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))} must be"):
        AckermannTracker(**changes)


def test_a_plan_that_stops_or_reverses_is_not_driven_backwards() -> None:
    for metres in (0.0, -2.0):
        poses = np.array([[metres * (i + 1) / 8, 0.0, 0.0] for i in range(8)])
        reference = make_reference(Trajectory(0.0, 0.5, poses), np.zeros(3))
        twist = AckermannTracker().command(reference, 0.1, np.zeros(3), np.zeros(3)).twist
        assert twist.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("measured", "speed"), [(7.0, 7.0), (7.6, 7.0), (7.8, 0.0)])
def test_lmdrives_law_brakes_where_the_car_is_a_tenth_too_fast(measured: float, speed: float) -> None:
    poses = np.array([[3.5 * (i + 1), 0.0, 0.0] for i in range(8)])
    reference = make_reference(Trajectory(0.0, 0.5, poses), np.zeros(3))
    twist = WaypointPid().command(reference, 0.0, np.zeros(3), np.array([measured, 0.0, 0.0])).twist
    assert twist == pytest.approx([speed, 0.0, 0.0])


def test_lmdrives_law_steers_by_its_published_gains() -> None:
    """At the first call the mean of the window is the bearing itself: 1.25 + 0.75 of it, and 0.8 of that is applied."""
    bearing, moving = 0.1, np.array([7.0, 0.0, 0.0])
    steps = 3.5 * np.arange(1, 9)
    poses = np.stack([steps * math.cos(bearing), steps * math.sin(bearing), np.full(8, bearing)], axis=1)
    law = WaypointPid(wheelbase=2.88, max_steering=1.22)
    for stamp in (5.0, 0.0):  # the clock begins anew, and so does the window
        reference = make_reference(Trajectory(stamp, 0.5, poses), np.zeros(3))
        speed, _, yaw_rate = law.command(reference, stamp, np.zeros(3), moving).twist
        angle = steering_angle((speed, 0.0, yaw_rate), 2.88, before=0.0)
        assert angle == pytest.approx(0.8 * 2.0 * bearing / (0.5 * math.pi) * 1.22)
