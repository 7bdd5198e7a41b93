"""The parameters of the planner node, and the pure objects they describe."""

from __future__ import annotations

import math
from collections.abc import Mapping

from wam_controller.parameters import Parameter, Value
from wam_models.policy import PolicySpec
from wam_planner.observation_buffer import BufferConfig
from wam_planner.plan_validator import ValidatorLimits
from wam_planner.planner_core import PlannerConfig

PLANNER = (
    Parameter("model", "", "a checkpoint directory, or baseline: and stop, straight, constant_velocity or lane_blind"),
    Parameter("device", "cpu", "where the model runs", choices=("cpu", "cuda")),
    Parameter("precision", "float32", "number format of the model's weights", choices=("float32", "bfloat16")),
    Parameter(
        "rung",
        "cached",
        "of the speed ladder; what plans otherwise than plain is refused",
        choices=("plain", "cached", "graph", "compiled", "fp8"),
    ),
    Parameter("candidates", 1, "trajectories that a plan chooses among", 1, 64),
    Parameter("steps", 0, "flow-matching steps a plan; 0: the checkpoint's own", 0, 100),
    Parameter("seed", 0, "of the noise a plan starts from", 0, 2**31 - 1),
    Parameter("torch_threads", 2, "processor threads that the model may use", 1, 64),
    Parameter("instruction", "", "what to do, until one comes on the topic instruction"),
    Parameter("goal", "", "x,y in m forward and left of where the robot starts, until one comes on the topic goal"),
    Parameter("goal_tolerance", 0.5, "m, nearer than this the robot has arrived and no plan is made", 0.05, 5),
    Parameter("commit", 0.0, "s of the plan being driven that the next one keeps, for a model trained so", 0, 2),
    Parameter("max_rate", 10.0, "Hz, camera frames that come faster are skipped", 0.5, 60),
    Parameter("image_transport", "compressed", "the kind of image topic", choices=("compressed", "raw")),
    Parameter("max_frame_age", 0.3, "s, nothing is planned from an older frame", 0.05, 1),
    Parameter("frozen_frames", 5, "equal frames in a row that mean a frozen camera", 2, 100),
    Parameter("sync_tolerance", 0.1, "s between a frame and its odometry, or two cameras' frames", 0.005, 0.5),
    Parameter("future_tolerance", 0.05, "s that a stamp may lie ahead of this machine's clock", 0, 1),
    Parameter("max_speed", 2.0, "m/s, a plan that goes faster is rejected", 0.1, 40),
    Parameter("max_yaw_rate", 3.0, "rad/s, a plan that turns faster is rejected", 0.1, 10),
    Parameter("max_curvature", 5.0, "1/m, a plan that bends more while it moves is rejected", 0.1, 20),
    Parameter("curvature_speed", 0.3, "m/s, slower than this a plan may bend as it likes", 0.01, 5),
    Parameter("max_acceleration", 6.0, "m/s^2, a plan that changes its velocity faster is rejected", 0.5, 20),
    Parameter("max_start_distance", 0.2, "m, a plan that starts farther from the robot is rejected", 0.01, 2),
)


def make_config(settings: Mapping[str, Value], spec: PolicySpec) -> PlannerConfig:
    """From the values of PLANNER and what the policy needs. Raises ValueError with the rule."""
    limits = (
        "max_speed",
        "max_yaw_rate",
        "max_curvature",
        "curvature_speed",
        "max_acceleration",
        "max_start_distance",
    )
    return PlannerConfig(
        buffer=BufferConfig(
            cameras=spec.cameras,
            context_frames=spec.context_frames,
            context_dt=spec.context_dt,
            max_frame_age=float(settings["max_frame_age"]),
            frozen_frames=int(settings["frozen_frames"]),
            sync_tolerance=float(settings["sync_tolerance"]),
            future_tolerance=float(settings["future_tolerance"]),
        ),
        limits=ValidatorLimits(**{name: float(settings[name]) for name in limits}),
        goal_tolerance=float(settings["goal_tolerance"]),
        max_rate=float(settings["max_rate"]),
        dt=spec.dt,
        commit=float(settings["commit"]),
    )


def parse_goal(text: str) -> tuple[float, float] | None:
    """ "x,y" as two numbers, or None for an empty text. Raises ValueError with the rule."""
    if not text.strip():
        return None
    try:
        forward, left = (float(part) for part in text.split(","))
    except ValueError:
        forward = left = math.nan
    if not (math.isfinite(forward) and math.isfinite(left)):
        raise ValueError(f'the goal is {text!r}: it must be two numbers in m, forward and left, like "8.0,-1.5"')
    return forward, left
