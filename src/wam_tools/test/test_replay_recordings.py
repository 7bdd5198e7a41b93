"""What a bag says of itself is used in its replay: what was planned, told and aimed at when it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import IMAGE, write_bag
from typer.testing import CliRunner

from wam_models.baselines import Baseline
from wam_models.data.bag_copy import copy_messages
from wam_models.data.bag_messages import BagMessages
from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import BagWriter, whole_bag
from wam_models.data.bags import read_run
from wam_models.types import Observation, Plan, Refusal
from wam_tools.message_types import typestore
from wam_tools.replay import app
from wam_tools.replay.job import RECORDED

CONFIG = Path(__file__).parents[3] / "config" / "go2.yaml"
TYPES = typestore()
PLAN, TEXT = "wam_msgs/msg/Trajectory", "std_msgs/msg/String"


def replay(bag: Path, *words: object) -> tuple[Any, dict[str, Any]]:
    out = bag.parent / "out"
    done = CliRunner().invoke(
        app, [str(word) for word in (bag, "--parameters", CONFIG, "--out", out, "--no-video", *words)]
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done, json.loads((out / "metrics.json").read_text())


def with_more(source: Path, target: Path, add) -> Path:
    """A copy, with messages that `add` writes after the others."""
    with BagReader(source) as bag, whole_bag(target, TYPES) as writer:
        copy_messages(bag, writer)
        add(writer)
    return target


def ahead(stamp: float, logged: float, writer: BagWriter) -> None:
    """A plan of then: straight on along x of odom at 0.8 m/s from where the robot was at the start."""
    t = TYPES.types
    header = t["std_msgs/msg/Header"](t["builtin_interfaces/msg/Time"](*divmod(round(stamp * 1e9), 10**9)), "odom")
    vector, straight = t["geometry_msgs/msg/Vector3"], t["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    still = t["geometry_msgs/msg/Twist"](vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    nothing = t["geometry_msgs/msg/Accel"](vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0))

    def after(seconds: float) -> Any:
        return t["builtin_interfaces/msg/Duration"](*divmod(round(seconds * 1e9), 10**9))

    points = [
        t["wam_msgs/msg/TrajectoryPoint"](
            after(time),
            t["geometry_msgs/msg/Pose"](t["geometry_msgs/msg/Point"](0.8 * (stamp + time), 0.0, 0.0), straight),
            still,
            nothing,
        )
        for time in (0.5, 1.0)
    ]
    message = t[PLAN](header, points, after(1.0), "then@1", 0, float("nan"))
    writer.write_message(writer.add("/trajectory", PLAN), round(logged * 1e9), message)


def test_the_plans_of_then_are_scored_beside_those_of_now(tmp_path):
    """On a straight way at 0.8 m/s they are right; one is made before there is odometry and is left out."""
    write_bag(tmp_path / "plain", frames=40, yaw_rate=1e-6)

    def add(writer: BagWriter) -> None:
        for stamp in (-1.0, 1.0, 2.0):
            ahead(max(stamp, 0.0) if stamp > 0 else 1e6, stamp + 2.0, writer)

    _, found = replay(with_more(tmp_path / "plain", tmp_path / "bag", add), "--model", "baseline:constant_velocity")
    recorded = found["policies"][RECORDED]
    assert (recorded["model_id"], recorded["plans"], recorded["scored"]) == ("then@1", 2, 2)
    assert recorded["fde"] < 0.01
    assert set(found["together"]) == {"stop", "straight", RECORDED}
    assert found["together"]["stop"]["seconds"] == 2.0
    then = found["together"][RECORDED]
    assert (then["moments"], then["seconds"]) == (2, 1.0)
    assert then["ade"] < 0.01 and then["first_ade"] < 0.01


def test_what_the_planner_pursued_holds_again_wherever_it_came_from(tmp_path):
    """A goal 6 m ahead and an instruction that were parameters then; whatever somebody else said on the topic goal."""
    write_bag(tmp_path / "plain", frames=24, names={"/instruction": ""}, goal_frame="map")

    def pursue(writer: BagWriter) -> None:
        made = BagMessages(TYPES)
        goal, text = "geometry_msgs/msg/PoseStamped", made.make(TEXT, "to the tree")
        writer.write_message(writer.add("/planner/goal", goal), 1, made.pose_stamped(1, "odom", (6.0, 0.0, 0.0)))
        writer.write_message(writer.add("/planner/instruction", TEXT), 1, text)

    bag = with_more(tmp_path / "plain", tmp_path / "bag", pursue)
    done, found = replay(bag, "--model", "baseline:straight")
    assert found["policies"]["straight"]["plans"] > 20, done.output
    assert read_run(bag).instructions[0] == "to the tree"
    assert read_run(bag).goal == (6.0, 0.0)
    done, found = replay(tmp_path / "plain", "--model", "baseline:straight")
    assert found["policies"]["straight"]["plans"] == 0
    assert done.exit_code == 1


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_predictions_are_recorded_when_the_recording_had_their_pictures(tmp_path, offset):
    """Whatever the stamps say: a viewer plays both by when they were recorded."""
    write_bag(tmp_path / "bag", frames=24, stamp_offset=offset)
    replay(tmp_path / "bag", "--model", "baseline:constant_velocity", "--model", "baseline:stop")
    with BagReader(tmp_path / "bag") as bag:
        pictures = {logged for _, logged, _ in bag.messages({IMAGE})}
    with BagReader(tmp_path / "out" / "predictions.mcap") as bag:
        plans = list(bag.messages({"/replay/constant_velocity/planned_path"}))
        assert {channel.topic for channel in bag.channels} >= {"/replay/driven_path", "/replay/stop/planned_path"}
    assert len(plans) == 24
    assert {logged for _, logged, _ in plans} <= pictures
    stamps = np.array([message.header.stamp.sec for _, _, message in plans])
    assert stamps.min() >= offset


def test_a_policy_that_fails_is_counted_and_costs_no_other(tmp_path, monkeypatch):
    plans = Baseline.plan

    def fail(policy: Baseline, observation: Observation) -> Plan | Refusal:
        if policy.spec.model_id == "baseline:straight":
            raise RuntimeError("no memory")
        return plans(policy, observation)

    write_bag(tmp_path / "bag", frames=24)
    monkeypatch.setattr(Baseline, "plan", fail)
    done, found = replay(tmp_path / "bag", "--model", "baseline:straight")
    assert done.exit_code == 1
    assert found["policies"]["straight"]["refusals"] == {"failed: RuntimeError": 24}
    assert found["policies"]["stop"]["scored"] == 16
