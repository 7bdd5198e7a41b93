"""The robot in its world: how it answers a command, what touches it, what its camera shows."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_sim.body import BodyState, footprint, step_body
from wam_sim.camera import CameraEffects
from wam_sim.expert import YardExpert
from wam_sim.rollout import ExpertDriver, walk
from wam_sim.simulation import GOAL_RADIUS, YardSimulation
from wam_sim.worlds import make_world

STILL = BodyState(np.zeros(3), np.zeros(3))


def test_an_instant_has_one_picture() -> None:
    """Exposure and noise go on with every picture: one that is asked for twice must not go on twice."""
    asked_twice, once = (YardSimulation(make_world("val", 0), (90, 160), seed=3) for _ in range(2))
    assert np.array_equal(asked_twice.render(), asked_twice.render())
    once.render()
    for simulation in (asked_twice, once):
        simulation.step((0.5, 0.0, 0.0), 0.1)
    assert np.array_equal(asked_twice.render(), once.render())
    asked_twice.close()
    once.close()


def test_the_body_reaches_a_commanded_speed_with_lag_and_within_its_acceleration() -> None:
    state, speeds = STILL, []
    for _ in range(100):
        state = step_body(state, np.array([0.8, 0.0, 0.0]), 0.02)
        speeds.append(state.twist[0])
    steps = np.diff([0.0, *speeds])
    assert speeds[-1] == pytest.approx(0.8, abs=1e-3)
    assert steps.max() <= 2.5 * 0.02 + 1e-9
    assert 0.2 < 0.02 * int(np.argmax(np.array(speeds) > 0.76)) < 0.8


@settings(max_examples=40, deadline=None)
@given(st.floats(-1, 1), st.floats(-0.5, 0.5), st.floats(-1.5, 1.5))
def test_a_turned_robot_moves_as_the_same_robot_turned(vx: float, vy: float, w: float) -> None:
    turn = 1.1
    plain, turned = STILL, BodyState(np.array([0.0, 0.0, turn]), np.zeros(3))
    for _ in range(20):
        plain = step_body(plain, np.array([vx, vy, w]), 0.02)
        turned = step_body(turned, np.array([vx, vy, w]), 0.02)
    c, s = np.cos(turn), np.sin(turn)
    assert np.array([[c, -s], [s, c]]) @ plain.pose[:2] == pytest.approx(turned.pose[:2], abs=1e-9)


def test_a_command_acts_after_the_link_s_delay() -> None:
    simulation = YardSimulation(make_world("val", 1))
    first = None
    for tick in range(10):
        simulation.step((0.5, 0.0, 0.0), 0.01)
        if first is None and simulation.twist[0] > 0:
            first = 0.01 * (tick + 1)
    assert first is not None and 0.02 <= first <= 0.07


def test_touching_is_the_footprint_meeting_an_outline() -> None:
    world = make_world("val", 1)
    thing = next(t for t in world.things if t.kind not in ("wall", "building"))
    outline = thing.footprint()
    x, y = outline.centroid.x, outline.centroid.y
    away = YardSimulation(world, pose=(0.0, 0.0, 0.0))
    on = YardSimulation(world, pose=(x, y, 0.3))
    assert on.in_contact and on.clearance == 0.0
    expected = min(shapely.distance(footprint(away.pose), other) for other in world.static_footprints)
    assert not away.in_contact and away.clearance == pytest.approx(expected)


def test_reached_is_within_the_radius_of_the_goal() -> None:
    world = make_world("val", 2)
    x, y = world.goal
    assert YardSimulation(world, pose=(x - GOAL_RADIUS + 0.01, y, 0.0)).reached
    assert not YardSimulation(world, pose=(x - GOAL_RADIUS - 0.01, y, 0.0)).reached
    assert YardSimulation(world, pose=(x, y - 2.0, np.pi / 2)).goal_in_base == pytest.approx((2.0, 0.0))


def test_the_picture_is_the_same_for_the_same_seed_and_moves_with_the_robot() -> None:
    world = make_world("unseen", 2)
    pictures = []
    for pose in ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.4)):
        simulation = YardSimulation(world, camera_size=(90, 160), pose=pose)
        pictures.append(simulation.render())
        simulation.close()
    assert pictures[0].shape == (90, 160, 3) and pictures[0].dtype == np.uint8
    assert np.array_equal(pictures[0], pictures[1])
    assert np.abs(pictures[0].astype(int) - pictures[2]).mean() > 5
    assert 25 < pictures[0].mean() < 200  # night, and the exposure has found it


def test_two_frames_of_a_standing_robot_are_never_equal() -> None:
    """Sensor noise is what tells a live camera from a frozen one."""
    simulation = YardSimulation(make_world("val", 4), camera_size=(90, 160))
    frames = []
    for _ in range(6):
        frames.append(simulation.render())
        simulation.step((0.0, 0.0, 0.0), 0.1)
    simulation.close()
    assert all(not np.array_equal(a, b) for a, b in zip(frames, frames[1:]))


def test_exposure_lifts_the_dark_and_lowers_the_bright() -> None:
    effects = CameraEffects(seed=0)
    dark, bright = np.full((64, 64, 3), 25, np.uint8), np.full((64, 64, 3), 250, np.uint8)
    assert 60 < effects.expose(dark).mean() < 160
    for _ in range(30):
        lowered = effects.expose(bright)
    assert lowered.mean() < 170


def test_a_person_paces_and_stands_still_for_a_robot() -> None:
    world = next(w for w in (make_world("unseen", seed) for seed in range(1, 60)) if w.walkers)
    simulation = YardSimulation(world)
    begun = simulation.walkers[0]
    for _ in range(100):
        simulation.step((0.0, 0.0, 0.0), 0.02)
    x, y, yaw = simulation.walkers[0]
    moved = float(np.hypot(x - begun[0], y - begun[1]))
    assert moved == pytest.approx(2.0 * world.walkers[0].beat[1], abs=0.02)
    beside = YardSimulation(world, pose=(x + 0.9, y, yaw))
    stood = beside.walkers[0]
    beside.step((0.0, 0.0, 0.0), 0.2)
    assert (beside.walkers[0] == stood) == (beside.clearance <= 0.75)


def test_the_expert_walks_to_the_goal_without_contact() -> None:
    for split, seed in (("val", 0), ("val", 1), ("unseen", 3)):
        world = make_world(split, seed)
        simulation = YardSimulation(world)
        result = walk(simulation, ExpertDriver(YardExpert(world)))
        assert result.reached and not result.contact and result.clearance > 0.05
        assert result.seconds < 40 and result.path_length < 1.6 * result.shortest


def test_a_walk_is_deterministic() -> None:
    results = []
    for _ in range(2):
        world = make_world("val", 1)
        results.append(walk(YardSimulation(world, seed=3), ExpertDriver(YardExpert(world)), time_limit=6.0))
    assert results[0].path_length == results[1].path_length and results[0].clearance == results[1].clearance
