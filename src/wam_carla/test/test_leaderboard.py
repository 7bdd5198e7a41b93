"""The agent with fakes of all that is the leaderboard's: what it is told, how it drives, what it says."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from wam_carla import leaderboard_agent
from wam_carla.adapter import Steering
from wam_carla.leaderboard_agent import Agent, AgentConfig, get_entry_point, make_agent, read_config
from wam_carla.leaderboard_driver import PLAN_PERIOD, PolicyAtTheWheel, Senses
from wam_carla.route_instructions import FOLLOW, SAID_BEFORE, TURNS, RouteInstructions, on_plane
from wam_carla.vehicle_control import Pedals
from wam_models.baselines import make_baseline
from wam_models.policy import Policy
from wam_models.se2 import compose
from wam_models.types import Observation, Plan, Refusal, RefusalReason, Trajectory

PARAMETERS = Path(__file__).parents[3] / "config" / "carla.yaml"
TICK = 0.05  # s
PICTURE = np.zeros((192, 320, 3), np.uint8)


def section(node: str) -> dict[str, Any]:
    return yaml.safe_load(PARAMETERS.read_text())[f"/**/{node}"]["ros__parameters"]


class Curve(Policy):
    """5 m/s on a circle of 25 m to the left, of the rear axle; remembers what it was shown. mute: refuses."""

    def __init__(self) -> None:
        self.spec = make_baseline("lane_blind").spec
        self.seen: list[Observation] = []
        self.mute = False

    def plan(self, observation: Observation) -> Plan | Refusal:
        self.seen.append(observation)
        if self.mute:
            return Refusal(RefusalReason.EGO_NOT_FINITE, "mute")
        angles = 5.0 / 25.0 * 0.25 * np.arange(1, 9)
        axle = np.column_stack([25.0 * np.sin(angles), 25.0 * (1.0 - np.cos(angles)), angles])
        poses = np.array([compose((-1.44, 0.0, 0.0), compose(tuple(pose), (1.44, 0.0, 0.0))) for pose in axle])
        return Plan(Trajectory(observation.stamp, 0.25, poses), poses[None], np.zeros(1), {}, "curve")


class Road:
    """A car that answers pedals at once: 4 m/s^2 of throttle, 8 of brake; the wheels reach 1 rad."""

    def __init__(self, policy: Policy) -> None:
        self.wheel = PolicyAtTheWheel(policy, section("controller"), section("carla_bridge"), Steering(1.0), 2.88)
        self.time = self.speed = self.yaw_rate = self.yaw = 0.0

    def drive(self, seconds: float) -> Pedals:
        for _ in range(round(seconds / TICK)):
            self.time += TICK
            pedals = self.wheel.step(Senses(self.time, {"front": PICTURE}, self.speed, self.yaw_rate, FOLLOW))
            self.speed = max(self.speed + (4.0 * pedals.throttle - 8.0 * pedals.brake) * TICK, 0.0)
            self.yaw_rate = self.speed * math.tan(-pedals.steer) / 2.88
            self.yaw += self.yaw_rate * TICK
        return pedals


def test_a_policy_drives_a_car_at_its_speed_and_along_its_curve():
    road = Road(Curve())
    road.drive(5.0)
    before = road.yaw
    road.drive(5.0)
    assert road.speed == pytest.approx(5.0, abs=0.4)
    assert (road.yaw - before) / 5.0 == pytest.approx(5.0 / 25.0, rel=0.1)


def test_it_plans_five_times_a_second_from_the_newest_picture_and_the_measured_motion():
    policy = Curve()
    road = Road(policy)
    road.drive(2.0)
    stamps = [seen.stamp for seen in policy.seen]
    assert np.diff(stamps) == pytest.approx(PLAN_PERIOD)
    assert policy.seen[-1].ego.vx == pytest.approx(road.speed, abs=0.8)
    assert policy.seen[0].instruction == FOLLOW


def test_a_policy_that_refuses_lets_the_last_plan_grow_old_and_the_car_stands():
    policy = Curve()
    road = Road(policy)
    road.drive(5.0)
    policy.mute = True
    pedals = road.drive(4.0)
    assert road.speed == 0.0 and pedals.brake == 1.0
    assert road.wheel.refusals["ego_not_finite"] > 5


def test_senses_that_are_not_finite_brake_the_car():
    road = Road(Curve())
    road.drive(4.0)
    for _ in range(10):
        road.time += TICK
        pedals = road.wheel.step(Senses(road.time, {"front": PICTURE}, road.speed, math.nan, FOLLOW))
    assert pedals == Pedals(0.0, 1.0, pedals.steer)


def test_a_parameter_that_no_node_has_is_refused():
    with pytest.raises(ValueError, match="no parameter 'speed'"):
        PolicyAtTheWheel(Curve(), {"speed": 1.0}, section("carla_bridge"), Steering(1.0), 2.88)
    with pytest.raises(ValueError, match="control is ackermann"):
        bridge = section("carla_bridge") | {"control": "ackermann"}
        wheel = PolicyAtTheWheel(Curve(), section("controller"), bridge, Steering(1.0), 2.88)
        for i in range(40):
            wheel.step(Senses(TICK * i, {"front": PICTURE}, 3.0, 0.0, FOLLOW))


def test_the_words_are_those_that_the_towns_models_know():
    sayings = pytest.importorskip("wam_sim.town.instructions")
    said = {key: texts[0] for key, texts in sayings.SAYINGS.items()}
    assert said == {"follow": FOLLOW, **{name.lower(): text for name, text in TURNS.items()}}
    assert sayings.SAID_BEFORE == SAID_BEFORE


def test_a_turn_is_said_in_time_through_the_junction_and_not_after_it():
    # As the leaderboard leaves a route: a point wherever the option changes, and one now and then.
    points = [(0.0, 0.0), (100.0, 0.0), (115.0, 12.0), (115.0, 200.0)]
    route = RouteInstructions(points, ["LANEFOLLOW", "LEFT", "LANEFOLLOW", "LANEFOLLOW"])
    assert route.at((10.0, 0.5)) == FOLLOW
    assert route.at((50.0, -0.5)) == FOLLOW
    assert route.at((60.0, 0.5)) == TURNS["LEFT"]
    assert route.at((97.0, 0.0)) == TURNS["LEFT"]
    assert route.at((108.0, 4.0)) == TURNS["LEFT"]
    assert route.at((115.0, 13.0)) == FOLLOW
    assert route.at((115.0, 60.0)) == FOLLOW


def test_a_route_that_comes_back_to_a_place_is_not_cut_short():
    points = [(0.0, 0.0), (50.0, 0.0), (50.0, 50.0), (0.0, 50.0), (0.0, 0.0), (-50.0, 0.0)]
    route = RouteInstructions(points, ["LANEFOLLOW"] * 4 + ["RIGHT", "LANEFOLLOW"])
    assert route.at((0.0, 0.0)) == FOLLOW
    for place in ((50.0, 0.0), (50.0, 50.0), (0.0, 50.0)):
        assert route.at(place) == FOLLOW
    assert route.at((0.0, 20.0)) == TURNS["RIGHT"]


def test_a_lane_change_is_no_turn_and_a_route_without_points_is_none():
    assert RouteInstructions([(0.0, 0.0), (10.0, 0.0)], ["CHANGELANELEFT", "VOID"]).at((0.0, 0.0)) == FOLLOW
    with pytest.raises(ValueError, match="points"):
        RouteInstructions([], [])


def test_degrees_are_metres():
    assert on_plane(0.001, 0.0) == pytest.approx((111.32, 0.0), abs=0.01)
    assert on_plane(0.0, 0.001) == pytest.approx((0.0, 111.32), abs=0.01)


class Host:
    """What the leaderboard gives its agents."""

    def __init__(self) -> None:
        option = SimpleNamespace
        self._global_plan = [
            ({"lat": 0.0, "lon": 0.0, "z": 0.0}, option(name="LANEFOLLOW", value=4)),
            ({"lat": 0.0003, "lon": 0.0, "z": 0.0}, option(name="RIGHT", value=2)),
        ]
        self.town_id, self.scenario_cofing_name = "Town05", "routes_3"


def said(speed: float = 3.0, gyro: float = 0.1) -> dict[str, Any]:
    """Of all sensors."""
    image = np.zeros((192, 320, 4), np.uint8)
    image[..., 0], image[..., 2] = 10, 200  # blue, red
    return {
        "front": (1, image),
        "imu": (1, np.array([0.0, 0.0, 9.81, 0.0, 0.0, gyro, math.nan])),
        "gps": (1, np.array([0.0, 0.0, 0.0])),
        "speed": (1, {"speed": speed}),
    }


def config(**values: Any) -> AgentConfig:
    return AgentConfig(**{"model": "baseline:lane_blind", "parameters": str(PARAMETERS)} | values)


def test_the_sensors_are_those_of_the_configuration_and_within_what_the_leaderboard_allows():
    sensors = {each["id"]: each for each in Agent(config()).sensors()}
    assert set(sensors) == {"front", "imu", "gps", "speed"}
    front = sensors["front"]
    assert (front["x"], front["y"], front["z"], front["yaw"], front["fov"]) == (1.3, 0.0, 2.3, 0.0, 100.0)
    assert (front["width"], front["height"]) == (320, 192)
    assert math.sqrt(front["x"] ** 2 + front["y"] ** 2 + front["z"] ** 2) <= 3.0


def test_what_the_sensors_say_reaches_the_policy_in_its_own_axes_and_colours():
    carla = pytest.importorskip("carla")
    policy = Curve()
    control = Agent(config(), policy).step(said(), 1.0, Host())
    assert isinstance(control, carla.VehicleControl)
    (seen,) = policy.seen
    assert seen.frames[0, 0, 0, 0].tolist() == [200, 0, 10]
    assert (seen.ego.vx, seen.ego.yaw_rate) == (3.0, -0.1)  # CARLA's gyroscope is right positive
    assert seen.instruction == TURNS["RIGHT"]


def test_the_wheel_is_turned_farther_where_the_cars_curve_asks_for_it():
    pytest.importorskip("carla")
    steers = {}
    for name, curve in (("flat", ((0.0, 1.0),)), ("own", AgentConfig.steering_curve)):
        agent = Agent(config(steering_curve=curve), Curve())
        for tick in range(20):
            control = agent.step(said(speed=5.0), 0.05 * tick, Host())
        steers[name] = control.steer
    assert abs(steers["flat"]) > 0.01
    # 5 m/s are 18 km/h, where CARLA's curve leaves 0.91.
    assert steers["own"] == pytest.approx(steers["flat"] / 0.91, rel=1e-3)


class Planner(ModuleType):
    """Stands for LMDrive's team_code.planner."""

    def __init__(self) -> None:
        super().__init__("team_code.planner")
        self.ticks: list[dict[str, Any]] = []
        outer = self

        class RoutePlanner:
            mean, scale = np.zeros(2), np.array([111324.6, 111319.5])

            def __init__(self, nearest: float, farthest: float) -> None:
                self.route: list[Any] = []

            def set_route(self, plan: Any, gps: bool) -> None:
                self.route = [(np.array([each["lat"], each["lon"]]) * self.scale, option) for each, option in plan]

            def run_step(self, gps: np.ndarray) -> Any:
                return self.route[1]

        class InstructionPlanner:
            def __init__(self, name: str, lights: bool) -> None:
                assert (name, lights) == ("routes_3", True)

            def command2instruct(self, town: str, tick: dict[str, Any], route: Any) -> str:
                outer.ticks.append(tick)
                return f"{town}: at the next junction, turn right"

        self.RoutePlanner, self.InstructionPlanner = RoutePlanner, InstructionPlanner


def test_langautos_sentences_come_from_its_own_planner(monkeypatch):
    pytest.importorskip("carla")
    planner, policy = Planner(), Curve()
    monkeypatch.setitem(sys.modules, "team_code", ModuleType("team_code"))
    monkeypatch.setitem(sys.modules, "team_code.planner", planner)
    Agent(config(language="langauto"), policy).step(said(), 1.0, Host())
    assert policy.seen[0].instruction == "Town05: at the next junction, turn right"
    (tick,) = planner.ticks
    assert (tick["next_command"], tick["compass"]) == (2, 0.0)
    assert np.hypot(*tick["target_point"]) == pytest.approx(33.4, abs=0.1)


def test_langauto_without_its_leaderboard_says_what_is_missing(monkeypatch):
    agent = Agent(config(language="langauto"), Curve())
    with pytest.raises(ValueError, match="language: route"):
        agent.step(said(), 1.0, SimpleNamespace(_global_plan=Host()._global_plan))
    monkeypatch.setitem(sys.modules, "team_code", None)
    with pytest.raises(ImportError, match="LMDrive's leaderboard folder on PYTHONPATH"):
        agent.step(said(), 1.0, Host())


def test_without_a_leaderboard_the_agent_says_what_to_put_on_the_path(monkeypatch):
    monkeypatch.setitem(sys.modules, "leaderboard", None)
    assert get_entry_point() == "WamAgent"
    with pytest.raises(ImportError, match="PYTHONPATH"):
        _ = leaderboard_agent.WamAgent
    with pytest.raises(AttributeError):
        _ = leaderboard_agent.Other


def base() -> ModuleType:
    """A leaderboard.autoagents.autonomous_agent."""
    module = ModuleType("autonomous_agent")
    module.Track = SimpleNamespace(SENSORS="SENSORS")
    module.AutonomousAgent = object
    return module


def test_the_leaderboards_class_sets_up_senses_and_drives(tmp_path):
    carla = pytest.importorskip("carla")
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump({"model": "baseline:lane_blind", "parameters": str(PARAMETERS)}))
    agent = make_agent(base())()
    agent._global_plan = Host()._global_plan
    agent.setup(str(path))
    assert agent.track == "SENSORS"
    assert len(agent.sensors()) == 4
    controls = [agent.run_step(said(speed=0.0, gyro=0.0), 0.05 * i) for i in range(20)]
    assert isinstance(controls[0], carla.VehicleControl)
    assert controls[-1].throttle > 0.2 and controls[-1].brake == 0.0
    agent.destroy()
    agent.destroy()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: m\nparameters: p\nspeed: 3\n", "unknown speed"),
        ("model: m\n", "without parameters"),
        ("[1]\n", "no table"),
        ("model: m\nparameters: p\nlanguage: french\n", "route or langauto"),
        ("model: m\nparameters: p\nmax_steering: 0\n", "max_steering is 0"),
        ("model: m\nparameters: p\nwheelbase: short\n", "wheelbase is 'short'"),
        ("model: m\nparameters: p\nsteering_curve: [[0, 1.0], [0, 0.9]]\n", "steering_curve is"),
        ("model: m\nparameters: p\nsteering_curve: 7\n", "steering_curve is"),
        ("{", "cannot be read"),
    ],
)
def test_a_configuration_that_is_none_says_why(tmp_path, text, words):
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_config(path)


def test_parameters_of_another_robot_are_refused():
    with pytest.raises(ValueError, match="carla_bridge"):
        Agent(config(parameters=str(PARAMETERS.with_name("go2.yaml"))))
