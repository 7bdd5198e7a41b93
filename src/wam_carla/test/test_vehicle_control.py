"""Speed and steering to pedals, and the brake that comes when nothing sensible is heard."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_carla.adapter import Steering
from wam_carla.vehicle_control import AckermannTarget, ControlConfig, Driver, Pedals, SpeedLoop

CONFIG = ControlConfig()
STEERING = Steering(0.7)
DT = 0.05


def driver(config: ControlConfig = CONFIG) -> Driver:
    return Driver(config, STEERING, wheelbase=2.9)


def drive(loop: SpeedLoop, wanted: list[float], push: float = 4.0, drag: float = 0.2) -> list[float]:
    """Speeds of a car with a lag of 0.2 s between pedal and motion, one every 0.05 s."""
    speed = acceleration = 0.0
    speeds = []
    for target in wanted:
        throttle, brake, hand_brake = loop.step(target, speed, DT)
        given = throttle * push - brake * 8.0 - drag - 5.0 * hand_brake
        acceleration += (given - acceleration) * DT / 0.2
        speed = max(speed + acceleration * DT, 0.0)
        speeds.append(speed)
    return speeds


@pytest.mark.parametrize(("push", "drag"), [(4.0, 0.2), (2.5, 0.6), (6.0, 0.1)])
def test_it_reaches_and_keeps_a_speed(push, drag):
    speeds = drive(SpeedLoop(CONFIG), [8.0] * 400, push, drag)
    assert max(speeds) < 8.4
    assert speeds[-1] == pytest.approx(8.0, abs=0.15)


def test_it_stops_and_then_holds_the_car():
    loop = SpeedLoop(CONFIG)
    speeds = drive(loop, [8.0] * 200 + [0.0] * 200)
    assert speeds[-1] == 0.0
    assert loop.step(0.0, 0.0, DT) == (0.0, 1.0, True)


def test_a_car_that_stood_at_the_kerb_for_long_does_not_jump():
    """The integral must not grow against a brake, nor while a pedal is down."""
    loop = SpeedLoop(CONFIG)
    for _ in range(400):
        loop.step(10.0, 0.0, DT)  # held by something for 20 s
    assert max(drive(loop, [3.0] * 200)) < 3.5


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(-1.0, 30.0)), min_size=1, max_size=60))
def test_never_both_pedals_and_never_beyond_them(steps):
    loop = SpeedLoop(CONFIG)
    for wanted, speed in steps:
        throttle, brake, hand_brake = loop.step(wanted, speed, DT)
        assert 0.0 <= throttle <= 1.0 and 0.0 <= brake <= 1.0
        assert throttle == 0.0 or brake == 0.0
        assert not hand_brake or (wanted < 0.05 and abs(speed) < CONFIG.standing)


def test_before_the_first_command_it_brakes():
    told = driver()
    assert told.step(0.0, 0.0) == Pedals(0.0, 1.0, 0.0, hand_brake=True)
    assert told.fault == "no command yet"


def test_a_twist_is_a_velocity_and_never_an_angle():
    told = driver()
    assert told.on_twist(1.0, 1.0, 5.0, 0.5) == ""
    pedals = told.step(1.0, 5.0)
    assert pedals.steer == pytest.approx(-math.atan(2.9 * 0.5 / 5.0) / 0.7)  # left: negative


def test_the_same_turn_at_half_the_speed_needs_more_wheel():
    steers = []
    for speed in (4.0, 8.0):
        told = driver()
        told.on_twist(0.0, 0.0, speed, 0.4)
        steers.append(abs(told.step(0.0, speed).steer))
    assert steers[0] > 1.5 * steers[1]


def test_silence_is_a_full_brake_with_the_wheels_as_they_are():
    told = driver()
    told.on_drive(0.0, 0.0, 5.0, 0.35)
    assert told.step(0.25, 5.0).brake == 0.0
    assert told.step(0.31, 5.0) == Pedals(0.0, 1.0, pytest.approx(-0.5), hand_brake=False)
    assert told.step(3.0, 0.0).hand_brake
    assert "0.3 s" in told.fault


@pytest.mark.parametrize("began", [0.05 * tick for tick in range(0, 4000, 37)])
def test_on_every_grid_of_ticks_silence_brakes_after_six(began):
    told = driver()
    assert told.on_drive(began, began, 5.0, 0.0) == ""
    now = began
    for tick in range(1, 7):
        now += 0.05
        assert (told.step(now, 5.0).brake == 1.0) is (tick == 6)


def test_silence_counts_from_when_the_command_was_decided():
    told = driver()
    told.on_drive(0.2, 0.0, 5.0, 0.0)
    assert told.step(0.29, 5.0).brake == 0.0
    assert told.step(0.31, 5.0).brake == 1.0


def test_time_that_stands_still_wears_out_no_patience():
    told = driver()
    told.on_drive(1.0, 1.0, 5.0, 0.0)
    assert all(told.step(1.1, 2.0).throttle > 0.0 for _ in range(100))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("call", ["on_twist", "on_drive"])
def test_nonsense_is_a_full_brake_at_once_and_is_counted(bad, which, call):
    told = driver()
    told.on_drive(0.0, 0.0, 5.0, 0.1)
    values = [5.0, 0.1]
    values[which] = bad
    assert getattr(told, call)(0.05, 0.05, *values) == "not finite"
    pedals = told.step(0.05, 5.0)
    assert (pedals.throttle, pedals.brake) == (0.0, 1.0) and math.isfinite(pedals.steer)
    assert told.refused["not finite"] == 1
    told.on_drive(0.1, 0.1, 5.0, 0.1)  # the next good one is followed
    assert told.step(0.1, 2.0).throttle > 0.0 and told.fault == ""


def test_a_speed_that_is_not_known_is_a_full_brake():
    told = driver()
    told.on_drive(0.0, 0.0, 5.0, 0.1)
    assert told.step(0.0, math.nan) == Pedals(0.0, 1.0, pytest.approx(-0.1 / 0.7), hand_brake=False)


@pytest.mark.parametrize("stamp", [0.7, 1.1, math.nan])
def test_a_stamp_from_another_time_is_refused(stamp):
    told = driver()
    assert told.on_drive(1.0, stamp, 5.0, 0.0)
    assert told.step(1.0, 0.0).brake == 1.0
    assert sum(told.refused.values()) == 1


def test_an_older_command_does_not_overtake_a_newer_one():
    told = driver()
    told.on_drive(1.0, 1.0, 0.0, 0.0)
    assert told.on_drive(1.0, 0.9, 5.0, 0.0) == "older than the command before"
    assert told.step(1.0, 5.0).brake > 0.0


def test_while_it_is_held_no_command_passes():
    told = driver()
    told.on_drive(1.0, 1.0, 5.0, 0.0)
    told.hold("2 nodes publish cmd_vel")
    assert told.on_drive(1.0, 1.0, 5.0, 0.0) == "2 nodes publish cmd_vel"
    assert told.step(1.0, 5.0).brake == 1.0
    told.hold("")
    assert told.step(1.0, 5.0).brake == 1.0  # what was said before does not count
    told.on_drive(1.0, 1.0, 5.0, 0.0)
    assert told.step(1.0, 2.0).throttle > 0.0


def test_zero_is_a_command():
    told = driver()
    told.on_twist(0.0, 0.0, 0.0, 0.0)
    assert told.step(0.0, 5.0).brake > 0.3 and told.fault == ""


def test_speeds_are_bounded_and_backwards_is_zero():
    told = driver(replace(CONFIG, max_speed=5.0))
    told.on_drive(0.0, 0.0, 50.0, 0.0)
    assert told.step(0.0, 5.5).brake > 0.0
    told.on_drive(0.05, 0.05, -3.0, 0.0)
    assert told.step(0.05, 0.0).hand_brake
    assert told.refused == {"limited": 1, "reverse: taken as zero": 1}


def test_the_ackermann_controller_is_told_an_angle_to_the_right():
    told = driver(replace(CONFIG, ackermann=True))
    told.on_drive(0.0, 0.0, 5.0, 0.2)
    assert told.step(0.0, 3.0) == AckermannTarget(-0.2, 5.0)


def test_and_stops_by_pedals_all_the_same():
    told = driver(replace(CONFIG, ackermann=True))
    told.on_drive(0.0, 0.0, 5.0, 0.2)
    told.step(0.0, 3.0)
    assert told.step(0.5, 3.0).brake == 1.0
    told.on_drive(0.5, 0.5, 0.0, 0.0)
    assert told.step(0.5, 0.1).hand_brake


@given(
    st.lists(
        st.tuples(st.floats(0.0, 0.4), st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(allow_nan=True)),
        max_size=40,
    )
)
def test_whatever_is_said_the_pedals_stay_in_bounds(steps):
    told, now = driver(), 0.0
    for dt, speed, yaw_rate, measured in steps:
        now += dt
        told.on_twist(now, now, speed, yaw_rate)
        pedals = told.step(now, measured)
        assert 0.0 <= pedals.throttle <= 1.0 and 0.0 <= pedals.brake <= 1.0 and -1.0 <= pedals.steer <= 1.0
        assert pedals.throttle == 0.0 or pedals.brake == 0.0


@pytest.mark.parametrize("name", ["command_timeout", "max_command_age", "max_speed", "full_brake"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_that_is_none_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        replace(CONFIG, **{name: value})
