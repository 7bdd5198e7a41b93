"""The privileged expert drives the town with the controller's and the bridge's numbers of config/carla.yaml: what lies
between a good plan and the road spoils nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("mujoco")
pytest.importorskip("carla")

from wam_carla.adapter import Steering
from wam_carla.leaderboard_driver import PolicyAtTheWheel, Senses
from wam_models.baselines import make_baseline
from wam_models.evaluation.town import Ended, Verdict
from wam_models.policy import Policy
from wam_models.types import Observation, Plan
from wam_sim.town.criteria import Criteria
from wam_sim.town.expert import TownExpert
from wam_sim.town.scenarios import make_world
from wam_sim.town.simulation import TownSimulation
from wam_sim.virtual_carla.drivetrain import STEERING_CURVE, Drivetrain

PARAMETERS = Path(__file__).parents[3] / "config" / "carla.yaml"
PICTURE = np.zeros((96, 160, 3), np.uint8)
TICK = 0.05  # s


class Expert(Policy):
    """Looks at no picture."""

    def __init__(self, simulation: TownSimulation) -> None:
        self.spec = make_baseline("lane_blind").spec
        self._expert = TownExpert(simulation)

    def plan(self, observation: Observation) -> Plan:
        trajectory = replace(self._expert.plan(), stamp=observation.stamp)
        return Plan(trajectory, trajectory.poses[None], np.zeros(1), {}, "expert")


def drive(seed: int, scenario: str) -> Verdict:
    """Through the pedals of the virtual CARLA's car."""
    sections = yaml.safe_load(PARAMETERS.read_text())

    def parameters(node: str) -> dict[str, Any]:
        return sections[f"/**/{node}"]["ros__parameters"]

    simulation, drivetrain = TownSimulation(make_world("val", seed, scenario)), Drivetrain()
    steering = Steering(drivetrain.max_steering, tuple((speed / 3.6, share) for speed, share in STEERING_CURVE))
    wheel = PolicyAtTheWheel(
        Expert(simulation), parameters("controller"), parameters("carla_bridge"), steering, simulation.model.wheelbase
    )
    world = simulation.world
    judge = Criteria(world.route, world.network, world.lights, simulation.model)
    while judge.ended is None:
        state = simulation.state
        senses = Senses(simulation.time, {"front": PICTURE}, state.speed, float(simulation.twist[2]), "")
        pedals = wheel.step(senses)
        simulation.step(
            drivetrain.steering(pedals.steer, state.speed),
            drivetrain.acceleration(pedals.throttle, pedals.brake, pedals.hand_brake, state.speed),
            TICK,
        )
        judge.step(simulation.time, simulation.state, simulation.contacts)
    return judge.finish()


@pytest.mark.parametrize("scenario", ["red_light", "turn_left", "crossing"])
def test_the_expert_breaks_no_rule_through_controller_and_pedals(scenario):
    verdict = drive(0, scenario)
    assert (verdict.ended, verdict.infractions) == (Ended.COMPLETED, ())
    assert verdict.drivable_area > 0.99
