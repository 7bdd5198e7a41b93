"""What a car may be commanded: whatever comes in, what comes out is within every limit, and it can always stop."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.car_limits import CarLimits
from wam_controller.limits import LimitHit, Motion

TICK = 0.02
REST = Motion(np.zeros(3))
ZERO = np.zeros(3)
CAR = CarLimits(emergency_braking=6.0)

limits = st.builds(
    CarLimits,
    speed_max=st.floats(0.5, 30.0),
    curvature_max=st.floats(0.02, 1.0),
    lateral_acceleration=st.floats(0.5, 8.0),
    longitudinal_acceleration=st.floats(0.2, 6.0),
    braking=st.floats(0.5, 10.0),
    jerk=st.one_of(st.floats(0.5, 50.0), st.just(math.inf)),
    steering_rate=st.floats(0.05, 3.0),
    wheelbase=st.floats(0.3, 5.0),
)
driving = st.tuples(st.floats(0.0, 30.0), st.just(0.0), st.floats(-3.0, 3.0))
anything = st.tuples(st.floats(), st.floats(), st.floats())
twists = st.one_of(driving, st.just((0.0, 0.0, 0.0)), anything).map(np.array)
commands = st.lists(st.tuples(twists, st.integers(1, 60)), max_size=6)


def drive(car: CarLimits, wanted: list[tuple[np.ndarray, int]]) -> Iterator[tuple[Motion, Motion, LimitHit]]:
    """Every tick from rest as (motion before, motion after, which limits bit), each twist being wanted for some."""
    motion = REST
    for twist, ticks in wanted:
        target, _ = car.within(twist)
        for _ in range(ticks):
            before = motion
            motion, hit = car.ramp(target, before, TICK)
            yield before, motion, hit


def end(car: CarLimits, wanted: list[tuple[np.ndarray, int]]) -> Motion:
    return next((motion for _, motion, _ in reversed(list(drive(car, wanted)))), REST)


def angle(car: CarLimits, motion: Motion) -> float:
    return math.atan(car.wheelbase * motion.curvature)


def keeps_within(car: CarLimits, motion: Motion) -> bool:
    speed, sideways, turn = motion.twist
    return sideways == 0.0 and turn == speed * motion.curvature and car.excess(motion.twist) <= 1e-6


@given(limits, twists)
def test_whatever_is_wanted_becomes_a_twist_within_every_limit(car, twist):
    within, _ = car.within(twist)
    assert np.isfinite(within).all() and within[0] >= 0.0 and within[1] == 0.0
    assert car.excess(within) <= 1e-6


@given(limits, twists)
def test_what_is_within_the_limits_stays_as_it_is(car, twist):
    within, _ = car.within(twist)
    again, hit = car.within(within)
    np.testing.assert_allclose(again, within, rtol=1e-9)
    assert hit is LimitHit.NONE


@given(limits, st.floats(0.1, 60.0), st.floats(-1.0, 1.0))
def test_a_command_that_is_slowed_keeps_the_path(car, speed, share):
    curvature = share * car.curvature_max
    within, _ = car.within(np.array([speed, 0.0, speed * curvature]))
    assert within[2] == pytest.approx(curvature * within[0])


@pytest.mark.parametrize(
    ("twist", "expected", "hit"),
    [
        ([8.0, 0.0, 0.375], [8.0, 0.0, 0.375], LimitHit.NONE),
        ([16.0, 0.0, 0.16], [8.0, 0.0, 0.08], LimitHit.VX),
        ([8.0, 0.0, -0.8], [math.sqrt(30.0), 0.0, -0.1 * math.sqrt(30.0)], LimitHit.LATERAL_ACCELERATION),
        ([1.0, 0.0, 0.5], [1.0, 0.0, 0.2], LimitHit.CURVATURE),
        ([5.0, 0.0, 2.0], [math.sqrt(15.0), 0.0, 0.2 * math.sqrt(15.0)], LimitHit.CURVATURE | LimitHit(32)),
        ([2.0, 0.3, 0.1], [2.0, 0.0, 0.1], LimitHit.VY),
        ([-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], LimitHit.VX),
        ([0.0, 0.0, 0.5], [0.0, 0.0, 0.0], LimitHit.CURVATURE),
        ([math.nan, 0.0, 0.0], [0.0, 0.0, 0.0], LimitHit.VX),
        ([1.0, 0.0, math.inf], [0.0, 0.0, 0.0], LimitHit.VX | LimitHit.CURVATURE),
    ],
)
def test_the_report_names_each_limit_that_bit(twist, expected, hit):
    limited, reported = CAR.within(np.array(twist))
    np.testing.assert_allclose(limited, expected, atol=1e-12)
    assert reported == hit


@pytest.mark.parametrize(
    ("twist", "excess"),
    [
        ([9.0, 0.0, 0.0], 1.0),
        ([-0.4, 0.0, 0.0], 0.4),
        ([2.0, 0.0, 0.7], 0.3),
        ([6.0, 0.0, -0.6], 0.1),
        ([0.0, 0.0, 0.2], 0.2),
        ([4.0, 1.0, 0.7], -0.05),
    ],
)
def test_the_excess_is_that_of_the_worst_component_and_turning_moves_a_car_sideways(twist, excess):
    assert CAR.excess(np.array(twist)) == pytest.approx(excess)


@given(limits, commands)
def test_no_command_makes_a_car_leave_its_limits_or_change_faster_than_they_say(car, wanted):
    for before, after, _ in drive(car, wanted):
        assert keeps_within(car, after)
        change = after.twist[0] - before.twist[0]
        assert -car.braking * TICK - 1e-9 <= change <= car.longitudinal_acceleration * TICK + 1e-9
        assert abs(angle(car, after) - angle(car, before)) <= car.steering_rate * TICK + 1e-9


@given(limits, commands)
def test_only_a_bend_or_standing_still_changes_the_acceleration_faster_than_the_jerk(car, wanted):
    for before, after, hit in drive(car, wanted):
        if LimitHit.LATERAL_ACCELERATION not in hit and after.twist[0] > 0.0:
            assert abs(after.acceleration - before.acceleration) <= car.jerk * TICK + 1e-6


@given(limits, commands, st.lists(st.floats(0.0, 0.1), max_size=30))
def test_ticks_of_any_length_keep_within_the_limits(car, wanted, lengths):
    motion, (target, _) = end(car, wanted), car.within(np.array([6.0, 0.0, 1.0]))
    for seconds in lengths:
        before = motion
        motion, _ = car.ramp(target, before, seconds)
        assert keeps_within(car, motion)
        change = motion.twist[0] - before.twist[0]
        assert -car.braking * seconds - 1e-9 <= change <= car.longitudinal_acceleration * seconds + 1e-9


@given(limits, commands)
def test_a_ramp_to_zero_keeps_the_path_and_arrives_in_the_time_it_may_take(car, wanted):
    motion = end(car, wanted)
    speed, rising = float(motion.twist[0]), max(motion.acceleration, 0.0)
    turning = (rising + car.braking) / car.jerk
    bound = turning + (speed + 0.5 * rising * turning) / car.braking + car.braking / car.jerk + 5 * TICK
    curvature = motion.curvature
    for _ in range(math.ceil(bound / TICK)):
        motion, hit = car.ramp(ZERO, motion, TICK)
        assert motion.curvature == curvature
    np.testing.assert_array_equal(motion.twist, ZERO)
    assert motion.acceleration == 0.0
    assert hit is LimitHit.NONE


@given(limits, commands, twists)
def test_a_ramp_arrives_at_whatever_is_wanted_and_stays_there(car, wanted, twist):
    motion, (target, _) = end(car, wanted), car.within(twist)
    gentlest = min(car.longitudinal_acceleration, car.braking)
    seconds = 2.0 * car.speed_max / gentlest + 8.0 * (car.longitudinal_acceleration + car.braking) / car.jerk
    for _ in range(math.ceil((seconds + math.pi / car.steering_rate + 1.0) / TICK)):
        motion, _ = car.ramp(target, motion, TICK)
    np.testing.assert_allclose(motion.twist, target, atol=0.01 if target[0] <= 0.01 else 1e-9)
    after, hit = car.ramp(target, motion, TICK)
    np.testing.assert_allclose(after.twist, motion.twist, atol=1e-9)
    assert hit is LimitHit.NONE


@given(limits, commands, st.floats(0.0, 5.0))
def test_a_brake_waits_for_nothing_and_keeps_the_path(car, wanted, harder):
    motion = end(car, wanted)
    car = CarLimits(**{**vars(car), "emergency_braking": car.braking + harder})
    speed, curvature = float(motion.twist[0]), motion.curvature
    for tick in range(1, math.ceil(speed / car.emergency_braking / TICK) + 2):
        motion, hit = car.brake(motion, TICK)
        assert motion.twist[0] == pytest.approx(max(speed - tick * car.emergency_braking * TICK, 0.0), abs=1e-9)
        assert keeps_within(car, motion) and motion.curvature == curvature
        assert (hit is LimitHit.ACCELERATION) == (motion.twist[0] > 0.0)
    np.testing.assert_array_equal(motion.twist, ZERO)
    assert motion.acceleration == 0.0


def test_without_another_figure_it_brakes_as_it_does_on_command():
    motion = end(CarLimits(), [(np.array([8.0, 0.0, 0.0]), 200)])
    assert CarLimits().brake(motion, TICK)[0].twist[0] == pytest.approx(motion.twist[0] - 3.0 * TICK)


def test_after_a_brake_the_car_is_driven_on_gently():
    motion, _ = CAR.brake(end(CAR, [(np.array([8.0, 0.0, 0.0]), 400)]), TICK)
    accelerations = []
    for _ in range(100):
        motion, _ = CAR.ramp(np.array([8.0, 0.0, 0.0]), motion, TICK)
        accelerations.append(motion.acceleration)
    assert accelerations[0] == pytest.approx(-3.0)  # as hard as it may on command, and no harder
    assert max(np.diff(accelerations)) <= 10.0 * TICK + 1e-9
    assert max(accelerations) == pytest.approx(1.5)


def test_the_wheels_of_a_car_that_stands_stay_and_turn_on_from_there():
    motion = end(CAR, [(np.array([2.0, 0.0, 0.4]), 200), (ZERO, 200)])
    assert not motion.twist.any()
    assert motion.curvature == pytest.approx(0.2)
    motion, hit = CAR.ramp(np.array([2.0, 0.0, -0.4]), motion, TICK)
    assert LimitHit.STEERING_RATE in hit
    assert angle(CAR, motion) == pytest.approx(math.atan(2.88 * 0.2) - 0.8 * TICK)


def test_a_command_to_stand_turns_no_wheel_whatever_its_noise():
    motion, _ = CAR.ramp(np.array([0.001, 0.0, 0.0002]), REST, TICK)
    assert motion.curvature == 0.0


def test_the_lateral_acceleration_goes_before_comfort():
    """A sharp bend at speed: it brakes at once, although it was gaining speed, and turns its wheels as it may."""
    fast = end(CAR, [(np.array([8.0, 0.0, 0.0]), 240)])
    assert fast.acceleration == pytest.approx(1.5)
    target, _ = CAR.within(np.array([8.0, 0.0, 1.6]))
    seen = []
    for _ in range(150):
        fast, hit = CAR.ramp(target, fast, TICK)
        seen.append((fast.twist[0] * fast.twist[2], fast.acceleration, hit))
    lateral, accelerations, hits = zip(*seen)
    assert max(lateral) == pytest.approx(3.0)
    assert min(accelerations) == pytest.approx(-3.0)
    assert any(LimitHit.LATERAL_ACCELERATION in hit for hit in hits)
    np.testing.assert_allclose(fast.twist, target)


def test_no_time_allows_no_change():
    motion, hit = CAR.ramp(np.array([1.0, 0.0, 0.0]), REST, 0.0)
    assert motion is REST and hit is LimitHit.ACCELERATION
    assert CAR.ramp(ZERO, REST, 0.0) == (REST, LimitHit.NONE)


def test_the_report_of_a_ramp_names_what_held_it_up():
    target = np.array([8.0, 0.0, 0.08])
    hits = [hit for _, _, hit in drive(CAR, [(target, 600)])]
    assert hits[0] == LimitHit.JERK | LimitHit.STEERING_RATE
    assert hits[100] is LimitHit.ACCELERATION
    assert hits[-1] is LimitHit.NONE


def test_limits_read_as_one_line():
    across = "lateral acceleration 3 m/s^2, curvature 0.2 1/m"
    assert str(CAR) == f"speed 8 m/s, {across}, braking 3 m/s^2"


@pytest.mark.parametrize("name", [name for name in vars(CAR) if name != "jerk"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_that_limits_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be above 0 and finite"):
        CarLimits(**{name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_jerk_may_be_endless_but_not_nothing(value):
    assert CarLimits(jerk=math.inf).jerk == math.inf
    with pytest.raises(ValueError, match="jerk must be above 0"):
        CarLimits(jerk=value)


def test_what_stops_a_car_in_need_may_not_be_the_gentler_brake():
    with pytest.raises(ValueError, match="need braking <= emergency_braking"):
        CarLimits(emergency_braking=2.0)
