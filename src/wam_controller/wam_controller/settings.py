"""The parameters of the two nodes, and the pure objects they describe."""

from __future__ import annotations

import math
from collections.abc import Mapping

from wam_controller.car_limits import CarLimits
from wam_controller.control_loop import ControlLoop
from wam_controller.follower import Follower, FollowerConfig
from wam_controller.limits import AccelerationLimits, HolonomicLimits, Limits, VelocityLimits
from wam_controller.parameters import Parameter, Value
from wam_controller.plan_freshness import FreshnessLimits
from wam_controller.safety_gate import GateConfig, SafetyGate
from wam_controller.tracker import Tracker
from wam_controller.trackers import CAR_TRACKERS, TRACKERS, make_tracker

_RATE = Parameter(
    "rate", 50.0, "Hz, commands per second; slower than the bridge's watchdog allows stops the robot", 10, 200
)
_FUTURE = Parameter("future_tolerance", 0.05, "s that a stamp may lie ahead of this machine's clock", 0, 1)
_ODOMETRY = Parameter("odometry_timeout", 0.2, "s, the oldest odometry that still lets the robot move", 0.05, 1)

_VELOCITY = (
    Parameter("vx_min", -0.3, "m/s, fastest backwards, 0 or less; the Go2 allows -2.5", -2.5, 0),
    Parameter("vx_max", 1.2, "m/s, fastest forwards; the Go2 allows 3.8", 0, 3.8),
    Parameter("vy_max", 0.4, "m/s, fastest sideways; the Go2 allows 1", 0, 1),
    Parameter("yaw_rate_max", 1.2, "rad/s, fastest turn; the Go2 allows 4", 0, 4),
)
_ACCELERATION = (
    Parameter("acceleration", 1.5, "m/s^2, change of vx and of vy", 0.1, 5),
    Parameter("yaw_acceleration", 3.0, "rad/s^2, change of the yaw rate", 0.1, 20),
)
_CAR = (
    Parameter(
        "kinematics",
        "holonomic",
        "how the robot moves: in every direction, or as a car, whose limits are those below instead of those above",
        choices=("holonomic", "ackermann"),
    ),
    Parameter("wheelbase", 2.88, "m, a car's, between its axles", 0.1, 10),
    Parameter("speed_max", 8.0, "m/s, a car's fastest; it does not reverse", 0.1, 40),
    Parameter(
        "lateral_acceleration", 3.0, "m/s^2, a car's speed times yaw rate: it slows where its way bends", 0.1, 10
    ),
    Parameter("curvature_max", 0.2, "1/m, of a car's smallest circle", 0.005, 5),
    Parameter("steering_rate", 0.8, "rad/s at a car's front wheels", 0.05, 5),
    Parameter("longitudinal_acceleration", 1.5, "m/s^2, a car gaining speed", 0.1, 10),
    Parameter("braking", 3.0, "m/s^2, a car losing speed as it is told", 0.5, 12),
)

CONTROLLER = (
    _RATE,
    Parameter("tracker", "holonomic", "the law that follows the plan", choices=tuple(TRACKERS)),
    Parameter(
        "command_delay", 0.15, "s from a command to the robot's motion: the plan is sampled that far ahead", 0, 0.5
    ),
    Parameter("slow_age", 0.5, "s, a plan older than this is followed more slowly", 0.05, 2),
    Parameter("stop_age", 1.0, "s, a plan this old is not followed; its own horizon may end it earlier", 0.1, 3),
    _ODOMETRY,
    _FUTURE,
    *_VELOCITY,
    *_ACCELERATION,
    *_CAR,
    Parameter("jerk", 10.0, "m/s^3, change of a car's acceleration; it delays no stop for want of a plan", 0.5, 100),
    Parameter("rear_axle", 1.44, "m from base_link back to a car's rear axle", 0, 5),
)

GATE = (
    # Below 25 Hz its fallback ticks lie farther apart than a ramp's longest step.
    Parameter("rate", 50.0, "Hz, its own pace; commands go on as they come, at most three in that time", 25, 200),
    Parameter("command_timeout", 0.25, "s, the oldest command that still lets the robot move", 0.05, 1),
    _ODOMETRY,
    _FUTURE,
    *_VELOCITY,
    *_ACCELERATION,
    Parameter("deceleration", 2.5, "m/s^2, the ramp to zero when something fails", 0.5, 10),
    Parameter("yaw_deceleration", 6.0, "rad/s^2, the same for turning", 0.5, 40),
    Parameter("over_limit_time", 0.5, "s that a limit may stay broken before the gate latches", 0.05, 5),
    Parameter("robot_margin", 0.5, "m/s or rad/s above the limits that gait sway may show in odometry", 0, 2),
    Parameter("engage_speed", 0.3, "m/s or rad/s: a robot that moves faster is not taken over", 0.01, 1),
    Parameter("resume_window", 1.0, "s, after a longer outage a human must engage again", 0.1, 10),
    Parameter("require_ready", True, "engage only when robot_ready says yes; false for a bridge that never says it"),
    *_CAR,
    Parameter("emergency_braking", 6.0, "m/s^2, a car's ramp to zero when something fails; braking or more", 0.5, 12),
    Parameter("ackermann_drive", False, "tell a car on ackermann_cmd too; needs the package ackermann_msgs"),
)


def make_limits(settings: Mapping[str, Value]) -> Limits:
    """From the values of CONTROLLER or of GATE. Raises ValueError with the rule.

    The gate knows no jerk: it would hold up a stop that the controller commands.
    """
    number = {name: float(value) for name, value in settings.items() if not isinstance(value, str)}
    if settings["kinematics"] == "ackermann":
        same = [parameter.name for parameter in _CAR if parameter.name != "kinematics"]
        return CarLimits(
            jerk=number.get("jerk", math.inf),
            emergency_braking=number.get("emergency_braking"),
            **{name: number[name] for name in same},
        )
    ramps = [("acceleration", "yaw_acceleration"), ("deceleration", "yaw_deceleration")]
    return HolonomicLimits(
        VelocityLimits(**{parameter.name: number[parameter.name] for parameter in _VELOCITY}),
        *(AccelerationLimits(number[along], number[turn]) for along, turn in ramps if along in number),
    )


def make_follower(settings: Mapping[str, Value]) -> Follower:
    """From the values of CONTROLLER. Raises ValueError with the rule when two of them contradict each other."""
    loop = ControlLoop(
        _tracker(settings),
        FreshnessLimits(*(float(settings[name]) for name in ("slow_age", "stop_age", "future_tolerance"))),
        make_limits(settings),
    )
    return Follower(
        loop,
        FollowerConfig(
            odometry_timeout=float(settings["odometry_timeout"]),
            future_tolerance=float(settings["future_tolerance"]),
        ),
    )


def _tracker(settings: Mapping[str, Value]) -> Tracker:
    name = str(settings["tracker"])
    if settings["kinematics"] == "ackermann" and name not in CAR_TRACKERS:
        raise ValueError(
            f"a car cannot follow what the tracker {name!r} wants: choose one of {', '.join(CAR_TRACKERS)}"
        )
    from_settings = {
        "holonomic": {"lead": "command_delay"},
        "ackermann": {
            "lead": "command_delay",
            "rear_axle": "rear_axle",
            "max_curvature": "curvature_max",
            "max_lateral": "lateral_acceleration",
        },
        "waypoint_pid": {"wheelbase": "wheelbase"},
    }
    return make_tracker(name, **{own: float(settings[given]) for own, given in from_settings.get(name, {}).items()})


def make_gate(settings: Mapping[str, Value]) -> SafetyGate:
    """From the values of GATE. Raises ValueError with the rule."""
    if settings["ackermann_drive"] and settings["kinematics"] != "ackermann":
        raise ValueError("ackermann_drive is for a car: set kinematics to ackermann, or ackermann_drive to false")
    same = (
        "command_timeout",
        "odometry_timeout",
        "future_tolerance",
        "over_limit_time",
        "robot_margin",
        "engage_speed",
        "resume_window",
    )
    return SafetyGate(
        GateConfig(
            limits=make_limits(settings),
            require_ready=bool(settings["require_ready"]),
            **{name: float(settings[name]) for name in same},
        )
    )
