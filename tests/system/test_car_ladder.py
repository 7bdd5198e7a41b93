"""Drives the car's graph against the virtual CARLA in real processes, breaks one link of the chain at a time, and
measures how long and how far the car goes on.

    scripts/run python -m pytest -s tests/system/test_car_ladder.py

Limits are those of config/carla.yaml, in simulated time; a loaded machine may be SLACK seconds late.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from system.car_harness import PATIENCE, STILL, CarGraph, car_graph, now
from system.go2_harness import wait_for

from wam_planner.bringup import config_file

try:
    config_file("carla.yaml")
except ValueError:
    pytest.skip("the workspace is not built", allow_module_level=True)

SPEED = 5.0  # m/s
TOP = 7.3  # m/s, of baseline:lane_blind
SLACK = 0.5  # s
LAG = 0.5  # s of the pedals and the body
# Until the plan is too old, then the controller's braking; it slows down before.
PLAN_STOPS = 1.0 + TOP / 6.0 + LAG
# Until the gate misses commands, then its own braking.
GATE_STOPS = 0.25 + TOP / 8.0 + LAG
# Until the bridge misses commands, then the whole brake.
BRIDGE_STOPS = 0.3 + TOP / 8.0 + LAG


@dataclass(frozen=True)
class Fault:
    """strike: what fails; heal: puts it right again; seconds: the limit until the car stands."""

    name: str
    strike: Callable[[CarGraph], object]
    heal: Callable[[CarGraph], object]
    seconds: float


def hangs(name: str, seconds: float) -> Fault:
    return Fault(
        f"{name} hangs",
        lambda it: it.signal(name, signal.SIGSTOP),
        lambda it: it.signal(name, signal.SIGCONT),
        seconds,
    )


PASSING = (
    hangs("planner", PLAN_STOPS),
    hangs("controller", GATE_STOPS),
    hangs("safety_gate", BRIDGE_STOPS),
    Fault("camera silent", lambda it: it.car.fault("camera missing"), lambda it: it.car.fault("camera ok"), PLAN_STOPS),
    Fault("user disengages", lambda it: it.operator.engage(False), lambda it: None, GATE_STOPS),
)


def check(name: str, it: CarGraph, moment: float, seconds: float) -> None:
    stop = it.car.stop_since(moment)
    print(f"\n{name}: stands after {stop.seconds:.2f} s, {stop.metres:.2f} m (limit {seconds:.2f} s)")
    assert stop.seconds <= seconds + SLACK
    assert stop.metres <= TOP * (seconds + SLACK)


@pytest.fixture(scope="module")
def driving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarGraph]:
    """The whole graph, for faults that pass."""
    with car_graph(tmp_path_factory.mktemp("car")) as it:
        yield it


def test_the_simulator_says_what_the_route_asks_and_the_gate_holds_until_engaged(driving: CarGraph):
    driving.drive(SPEED)
    driving.operator.engage(False)
    steps = driving.car.steps
    assert steps[-1]["instruction"] == "follow the road"
    assert steps[-1]["began"] and steps[-1]["progress"] > 1.0
    # The scenario begins on the move: before anybody engaged, the car was braked to a stand.
    waiting = [step for step in steps if not step["began"]]
    assert waiting and waiting[-1]["speed"] < STILL


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_a_fault_that_passes_stops_the_car(driving: CarGraph, fault: Fault):
    driving.drive(SPEED)
    moment = now()
    fault.strike(driving)
    try:
        check(fault.name, driving, moment, fault.seconds)
    finally:
        fault.heal(driving)
        driving.operator.engage(False)


@pytest.mark.parametrize(
    ("victim", "seconds"),
    [("planner", PLAN_STOPS), ("controller", GATE_STOPS), ("safety_gate", BRIDGE_STOPS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_killed_node_stops_the_car(tmp_path, victim: str, seconds: float):
    with car_graph(tmp_path) as it:
        it.drive(SPEED)
        moment = now()
        it.signal(victim, signal.SIGKILL)
        check(f"{victim} killed", it, moment, seconds)


def test_after_a_crash_of_the_server_the_car_drives_again_when_it_is_engaged(tmp_path):
    with car_graph(tmp_path) as it:
        it.drive(SPEED)
        crashed = it.car.steps[-1]["simulated"]
        it.car.fault("server gone")
        wait_for(lambda: it.operator.state == "LOST", "LOST", PATIENCE)
        it.car.fault("server ok")
        wait_for(lambda: it.operator.state == "READY", "the new server", PATIENCE)
        plans = it.operator.plans
        wait_for(lambda: it.operator.plans > plans, "a plan", PATIENCE)
        # Simulated time begins anew, and plans do not wait for the old one.
        assert it.car.steps[-1]["simulated"] < crashed
        # The new car begins on the move too, and nobody has engaged.
        wait_for(lambda: it.car.speed < STILL, "the car to stand", PATIENCE)
        it.drive(SPEED)
