"""An agent for the CARLA leaderboard 1.0 and 2.0 and for LangAuto: a policy of ours at the wheel, without ROS.

    leaderboard_evaluator.py --agent src/wam_carla/wam_carla/leaderboard_agent.py --agent-config agent.yaml ...

docs/carla.md says what the file for --agent-config holds. The leaderboard is imported when it asks for the agent.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wam_carla.adapter import Steering, steering_of
from wam_carla.leaderboard_driver import PolicyAtTheWheel, Senses
from wam_carla.route_instructions import RouteInstructions, on_plane
from wam_carla.world import vehicle_control
from wam_controller.parameter_files import read_parameters, read_table
from wam_models.policy import Policy, load_policy

_BASE = "leaderboard.autoagents.autonomous_agent"
_LANGAUTO = "team_code.planner"
# Degrees of carla.Rotation, to the right, of the cameras that models call so.
_CAMERAS = {"front": 0.0, "left": -60.0, "right": 60.0}
_DRAWN = 2  # times as wide and high as the model wants them
_PLACE = {"x": 0.0, "y": 0.0, "z": 0.0, "roll": 0.0, "pitch": 0.0, "yaw": 0.0}
_YAW_RATE = 5  # of the IMU's numbers: rad/s, to the right


def get_entry_point() -> str:
    """The leaderboard asks for the name of the class."""
    return "WamAgent"


def __getattr__(name: str) -> type:
    if name != get_entry_point():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = make_agent(
        _import(_BASE, "put the leaderboard's and scenario_runner's folders on PYTHONPATH")
    )
    return made


@dataclass(frozen=True)
class AgentConfig:
    """model: see load_policy; parameters: a file like config/carla.yaml; language: route, which says the next turn of
    the route, or langauto, LMDrive's own sentences; device: cpu or cuda; max_steering: degrees of the wheels, and
    wheelbase: m, and steering_curve: (km/h, share of max_steering), of the leaderboard's car, which its agents cannot
    ask; the default is CARLA's own. Raises ValueError for what is none of that."""

    model: str
    parameters: str
    language: str = "route"
    device: str = "cpu"
    max_steering: float = 70.0
    wheelbase: float = 2.86
    steering_curve: tuple[tuple[float, float], ...] = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))

    def __post_init__(self) -> None:
        if self.language not in ("route", "langauto"):
            raise ValueError(f"language is {self.language!r}: it must be route or langauto")
        for name, most, unit in (("max_steering", 90.0, "degrees"), ("wheelbase", 20.0, "m")):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0.0 < value < most):
                raise ValueError(f"{name} is {value!r}: it must be a number of {unit} above 0 and below {most:g}")
        try:
            _ = self.steering
        except (TypeError, ValueError) as error:
            raise ValueError(f"steering_curve is {self.steering_curve!r}: {error}") from error

    @property
    def steering(self) -> Steering:
        """Of the leaderboard's car."""
        return steering_of([self.max_steering], [(float(speed), float(share)) for speed, share in self.steering_curve])


def read_config(path: str | Path) -> AgentConfig:
    """Raises ValueError when it cannot be read, or names what an agent does not have."""
    values = read_table(path)
    known = [each.name for each in fields(AgentConfig)]
    unknown = sorted(values.keys() - set(known))
    missing = sorted({"model", "parameters"} - values.keys())
    if unknown or missing:
        wrong = f"unknown {', '.join(unknown)}" if unknown else f"without {', '.join(missing)}"
        raise ValueError(f"{path}: {wrong}; an agent has {', '.join(known)}")
    return AgentConfig(**values)


class Agent:
    """All that the leaderboard's class delegates to. policy: None loads the configured one."""

    def __init__(self, config: AgentConfig, policy: Policy | None = None) -> None:
        self._language = config.language
        self._policy = policy or load_policy(config.model, device=config.device)
        unknown = sorted(set(self._policy.spec.cameras) - _CAMERAS.keys())
        if unknown:
            raise ValueError(f"the model wants a camera {unknown[0]!r}: this agent has {', '.join(_CAMERAS)}")
        self._bridge = read_parameters(config.parameters, "carla_bridge")
        self._wheel = PolicyAtTheWheel(
            self._policy,
            read_parameters(config.parameters, "controller"),
            self._bridge,
            config.steering,
            config.wheelbase,
        )
        self._tells: RouteInstructions | LangAuto | None = None

    def sensors(self) -> list[dict[str, Any]]:
        """As the leaderboard wants them described; cameras where config/carla.yaml mounts them, y to the right."""
        height, width = self._policy.spec.image_size
        mount = {"x": self._bridge["camera_x"], "y": -self._bridge["camera_y"], "z": self._bridge["camera_z"]}
        size = {"width": _DRAWN * width, "height": _DRAWN * height, "fov": self._bridge["fov"]}
        cameras = [
            {"type": "sensor.camera.rgb", "id": name, **_PLACE, **mount, **size, "yaw": _CAMERAS[name]}
            for name in self._policy.spec.cameras
        ]
        return [
            *cameras,
            {"type": "sensor.other.imu", "id": "imu", **_PLACE},
            {"type": "sensor.other.gnss", "id": "gps", **_PLACE},
            {"type": "sensor.speedometer", "id": "speed", "reading_frequency": 20},
        ]

    def step(self, data: Mapping[str, Any], time: float, host: Any) -> Any:
        """A carla.VehicleControl. data: what the sensors said, by id: (frame, values); host: the leaderboard's agent,
        which knows the route."""
        imu, gps = data["imu"][1], data["gps"][1]
        speed = float(data["speed"][1]["speed"])
        if self._tells is None:
            self._tells = LangAuto(host) if self._language == "langauto" else _route(host)
        if isinstance(self._tells, LangAuto):
            text = self._tells.at(gps, float(imu[-1]), speed)
        else:
            text = self._tells.at(on_plane(float(gps[0]), float(gps[1])))
        pictures = {
            name: np.ascontiguousarray(data[name][1][:, :, 2::-1]) for name in self._policy.spec.cameras
        }  # BGRA as RGB
        return vehicle_control(self._wheel.step(Senses(time, pictures, speed, -float(imu[_YAW_RATE]), text)))


class LangAuto:
    """LMDrive's sentences, by its own planner, which is told what LMDrive's agent tells it. host: an agent under
    LMDrive's evaluator, which gives it town_id and scenario_cofing_name."""

    def __init__(self, host: Any) -> None:
        if not hasattr(host, "scenario_cofing_name"):
            raise ValueError("language is langauto, but this leaderboard is not LMDrive's: set language: route")
        planner = _import(_LANGAUTO, "put LMDrive's leaderboard folder on PYTHONPATH")
        self._host = host
        self._route = planner.RoutePlanner(5, 50.0)
        self._route.set_route(host._global_plan, True)
        self._sentences = planner.InstructionPlanner(host.scenario_cofing_name, True)

    def at(self, gps: np.ndarray, compass: float, speed: float) -> str:
        """gps: latitude, longitude, altitude; compass: rad, NaN at first; speed: m/s."""
        compass = compass if math.isfinite(compass) else 0.0
        place = (np.asarray(gps[:2]) - self._route.mean) * self._route.scale
        point, command = self._route.run_step(place)
        theta = compass + math.pi / 2.0
        turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
        tick = {
            "gps": place,
            "speed": speed,
            "compass": compass,
            "next_waypoint": point,
            "next_command": command.value,
            "measurements": [place[0], place[1], compass, speed],
            "target_point": turn.T.dot(np.array([point[0] - place[0], point[1] - place[1]])),
        }
        return str(self._sentences.command2instruct(self._host.town_id, tick, self._route.route))


def make_agent(base: Any) -> type:
    """The class, on the leaderboard's module `autonomous_agent`."""

    class WamAgent(base.AutonomousAgent):  # type: ignore[misc]
        """See Agent. The leaderboards differ in how they make it, and agree on these."""

        def setup(self, path_to_conf_file: str) -> None:
            self.track = base.Track.SENSORS
            self._wam = Agent(read_config(path_to_conf_file))

        def sensors(self) -> list[dict[str, Any]]:
            return self._wam.sensors()

        def run_step(self, input_data: Mapping[str, Any], timestamp: float) -> Any:
            return self._wam.step(input_data, timestamp, self)

        def destroy(self) -> None:
            self.__dict__.pop("_wam", None)

    return WamAgent


def _route(host: Any) -> RouteInstructions:
    places, options = zip(*host._global_plan)
    return RouteInstructions([on_plane(each["lat"], each["lon"]) for each in places], [each.name for each in options])


def _import(name: str, fix: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"no module {name} ({error}): {fix}") from error
