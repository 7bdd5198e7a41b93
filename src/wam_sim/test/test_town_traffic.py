"""Drivers reach their speed, keep their distance, and stop where they have to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_sim.town.driving import time_to
from wam_sim.town.idm import Driver

TICK = 0.05


def follow(driver: Driver, speed: float, gap: float, ahead: list[float]) -> tuple[list[float], list[float]]:
    """Gaps and speeds behind something that has these speeds, tick by tick."""
    gaps, speeds = [gap], [speed]
    for velocity in ahead:
        speed = max(0.0, speed + TICK * driver.drive(speed, gap, velocity))
        gap += TICK * (velocity - speed)
        gaps.append(gap)
        speeds.append(speed)
    return gaps, speeds


def test_on_a_free_road_the_wanted_speed_is_reached_and_kept() -> None:
    driver, speed = Driver(), 0.0
    for _ in range(1200):
        speed += TICK * driver.drive(speed)
    assert speed == pytest.approx(driver.speed, rel=0.01)
    assert driver.drive(0.0) == driver.acceleration


def test_where_less_is_allowed_less_is_driven() -> None:
    speed = 8.0
    for _ in range(600):
        speed += TICK * Driver().drive(speed, limit=4.0)
    assert speed == pytest.approx(4.0, rel=0.02)


@given(speed=st.floats(0.0, 12.0), spare=st.floats(0.0, 60.0))
def test_a_driver_stops_before_what_stands(speed: float, spare: float) -> None:
    """From wherever a braking of 5 m/s^2 would do."""
    gap = 3.0 + speed**2 / (2 * 5.0) + spare
    gaps, speeds = follow(Driver(), speed, gap, [0.0] * 1200)
    assert min(gaps) > 0.5
    assert speeds[-1] < 0.1 and gaps[-1] < Driver().standing + 1.5


@given(changes=st.lists(st.floats(-4.0, 2.0), min_size=4, max_size=12))
def test_a_driver_keeps_off_a_car_that_brakes_and_speeds_up(changes: list[float]) -> None:
    ahead, velocity = [], 8.0
    for change in changes:
        for _ in range(30):
            velocity = min(max(velocity + TICK * change, 0.0), 12.0)
            ahead.append(velocity)
    gaps, speeds = follow(Driver(), 8.0, 14.0, ahead)
    assert min(gaps) > 0.5
    assert min(speeds) >= 0.0


@given(speed=st.floats(0.0, 20.0), gap=st.floats(-1.0, 200.0), ahead=st.floats(0.0, 20.0))
def test_an_acceleration_is_one_that_a_driver_would_choose(speed: float, gap: float, ahead: float) -> None:
    driver = Driver()
    chosen = driver.drive(speed, gap, ahead)
    assert -driver.hardest <= chosen <= driver.acceleration
    assert driver.drive(speed, gap + 5.0, ahead) >= chosen - 1e-9


@given(
    distance=st.floats(0.1, 80.0),
    speed=st.floats(0.0, 10.0),
    top=st.one_of(st.floats(0.5, 12.0), st.just(float("inf"))),
)
def test_the_time_over_a_distance_is_that_of_speeding_up_to_the_top_speed_and_keeping_it(
    distance: float, speed: float, top: float
) -> None:
    driven, now, step = 0.0, 0.0, 1e-3
    while driven < distance:
        driven += step * min(speed + 1.5 * now, max(top, speed))
        now += step
    assert time_to(distance, speed, top=top) == pytest.approx(now, abs=0.02)
