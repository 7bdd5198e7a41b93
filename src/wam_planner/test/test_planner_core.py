"""When the planner plans, what it lets out, and what it says about it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wam_models.types import Plan, Refusal, RefusalReason, Trajectory
from wam_planner.observation_buffer import BufferConfig, Verdict
from wam_planner.planner_core import Outcome, PlannerConfig, PlannerCore

POSE = (2.0, 3.0, math.pi / 2)


class Robot:
    """A planner core fed by a robot that stands at POSE and a live camera."""

    def __init__(self, commit: float = 0.0, **config) -> None:
        self.core = PlannerCore(PlannerConfig(BufferConfig(cameras=("front",), **config), commit=commit))
        self.now = 10.0

    def frame(self, after: float = 0.1) -> None:
        self.now += after
        self.core.add_odometry(self.now, self.now, POSE, (0.0, 0.0, 0.0))
        image = np.full((4, 6, 3), round(self.now * 100) % 256, dtype=np.uint8)
        self.core.add_frame("front", self.now, self.now, image, image.tobytes())

    def task(self):
        self.frame()
        return self.core.consider(self.now, rivals=0)


def plan(stamp: float, speed: float = 0.8) -> Plan:
    poses = np.array([[speed * 0.25 * (i + 1), 0.0, 0.0] for i in range(8)])
    return Plan(Trajectory(stamp, 0.25, poses), poses[None], np.ones(1), {"encode": 3.0, "denoise": 9.0}, "test@1+0")


@pytest.fixture
def robot() -> Robot:
    return Robot()


def test_a_good_plan_goes_out_with_its_latency(robot):
    task = robot.task()
    assert task.pose == pytest.approx(POSE)
    answer = plan(task.observation.stamp)
    assert robot.core.conclude(robot.now + 0.04, task, answer) is answer
    report = robot.core.report
    assert (report.verdict, report.outcome) == (Verdict.FRESH, Outcome.PUBLISHED)
    assert report.stages == {"encode": 3.0, "denoise": 9.0}
    assert robot.core.latency.last == pytest.approx(0.04)
    assert robot.core.counts["plans_published"] == 1


def test_a_planner_that_skips_every_second_frame_reads_no_other_for_its_context():
    robot = Robot(context_frames=2, context_dt=0.5)
    planned: set[float] = set()
    for _ in range(20):
        robot.frame()  # at 10 Hz: half a second back lies a frame that was skipped
        task = robot.task()
        if task is not None:
            past, newest = task.observation.stamps
            assert not planned or past in planned or past < min(planned)
            robot.core.conclude(robot.now, task, plan(task.observation.stamp))
            planned |= {past, newest}
    assert len(planned) > 15


def test_a_frame_is_planned_from_once(robot):
    assert robot.task() is not None
    assert robot.core.consider(robot.now, rivals=0) is None


def test_frames_faster_than_the_highest_rate_are_skipped(robot):
    robot.task()
    taken = 0
    for _ in range(30):
        robot.frame(after=1 / 30)
        taken += robot.core.consider(robot.now, rivals=0) is not None
    assert taken == 10


def test_a_refusal_is_counted_by_its_reason_and_shown(robot):
    refusal = Refusal(RefusalReason.GOAL_MISSING, "this model needs a goal: publish one on `goal`")
    assert robot.core.conclude(robot.now, robot.task(), refusal) is None
    report = robot.core.report
    assert (report.outcome, report.refusal) == (Outcome.REFUSED, "goal_missing")
    assert "publish one" in report.error
    assert robot.core.counts["refused_goal_missing"] == 1


def test_a_full_machine_is_a_failure_and_not_the_observation_s_fault(robot):
    refusal = Refusal(RefusalReason.OUT_OF_MEMORY, "does not fit on cuda: tried to allocate 2 GiB")
    assert robot.core.conclude(robot.now, robot.task(), refusal) is None
    assert robot.core.report.outcome is Outcome.FAILED
    assert "2 GiB" in robot.core.report.error


def test_the_next_plan_is_told_what_of_the_last_one_is_being_driven():
    robot = Robot(commit=0.5)
    task = robot.task()
    assert task.observation.committed is None
    robot.core.conclude(robot.now, task, plan(task.observation.stamp))
    committed = robot.task().observation.committed
    assert committed == pytest.approx(np.array([[0.8 * 0.35, 0.0, 0.0], [0.8 * 0.6, 0.0, 0.0]]))
    robot.core.forget()
    assert robot.task().observation.committed is None


def test_a_robot_that_is_held_keeps_nothing_of_a_plan_it_does_not_drive():
    robot = Robot(commit=0.5)
    task = robot.task()
    robot.core.conclude(robot.now, task, plan(task.observation.stamp))
    robot.frame()
    assert robot.task().observation.committed is None  # 0.2 s later the plan is 0.16 m ahead


def test_a_plan_that_was_rejected_leaves_nothing_to_keep():
    robot = Robot(commit=0.5)
    task = robot.task()
    robot.core.conclude(robot.now, task, plan(task.observation.stamp))
    task = robot.task()
    robot.core.conclude(robot.now, task, plan(task.observation.stamp, speed=9.0))
    assert robot.task().observation.committed is None


def test_nothing_is_kept_of_the_last_plan_unless_it_is_asked_for(robot):
    task = robot.task()
    robot.core.conclude(robot.now, task, plan(task.observation.stamp))
    assert robot.task().observation.committed is None


def test_a_plan_that_breaks_a_rule_does_not_go_out(robot):
    task = robot.task()
    assert robot.core.conclude(robot.now, task, plan(task.observation.stamp, speed=9.0)) is None
    assert robot.core.report.outcome is Outcome.REJECTED
    assert any("speed" in violation for violation in robot.core.report.violations)
    assert robot.core.counts["rejected_speed"] == 1


def test_a_policy_that_fails_is_reported_and_the_next_frame_is_planned(robot):
    assert robot.core.conclude(robot.now, robot.task(), RuntimeError("CUDA error")) is None
    assert "CUDA error" in robot.core.report.error
    assert robot.task() is not None


def test_beside_a_second_planner_nothing_is_planned(robot):
    robot.frame()
    assert robot.core.consider(robot.now, rivals=1) is None
    assert robot.core.report.outcome is Outcome.FAILED
    assert "2 planners" in robot.core.report.error
    assert robot.task() is not None


def test_at_the_goal_it_plans_no_further_until_there_is_another(robot):
    assert robot.core.aim((2.0, 3.4)) == ""
    assert robot.task() is None
    assert robot.core.report.outcome is Outcome.ARRIVED
    robot.core.aim((2.0, 8.0))
    task = robot.task()
    assert task.observation.goal == pytest.approx((5.0, 0.0))


def test_a_goal_from_the_start_is_fixed_by_the_first_odometry(robot):
    robot.core.aim_from_start(4.0, 1.0)
    assert robot.core.goal is None
    robot.frame()
    assert robot.core.goal == pytest.approx((1.0, 7.0))
    robot.core.add_odometry(robot.now + 0.1, robot.now + 0.1, (9.0, 9.0, 0.0), (0.0, 0.0, 0.0))
    assert robot.core.goal == pytest.approx((1.0, 7.0))


def test_a_goal_that_is_not_finite_is_not_taken(robot):
    robot.core.aim((1.0, 1.0))
    assert "NaN" in robot.core.aim((math.nan, 1.0))
    assert robot.core.goal == (1.0, 1.0)


def test_odometry_with_nan_is_counted_and_nothing_is_planned_from_it(robot):
    robot.now += 0.1
    robot.core.add_odometry(robot.now, robot.now, (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0))
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    robot.core.add_frame("front", robot.now, robot.now, image, b"x")
    assert robot.core.consider(robot.now, rivals=0) is None
    assert "odometry" in robot.core.report.detail
    assert robot.core.counts["odometry_invalid"] == 1


def test_a_corrupt_frame_is_counted_and_said(robot):
    robot.core.reject_frame("camera front sent a JPEG that cannot be decoded")
    assert robot.core.consider(robot.now, rivals=0) is None
    assert "JPEG" in robot.core.report.error
    assert robot.core.counts["frames_invalid"] == 1
    task = robot.task()
    robot.core.conclude(robot.now, task, plan(task.observation.stamp))
    assert robot.core.report.error == ""


def test_after_forgetting_only_the_goal_is_left(robot):
    robot.core.aim((9.0, 9.0))
    robot.task()
    robot.core.forget()
    assert robot.core.consider(robot.now, rivals=0) is None
    assert robot.core.report.verdict is Verdict.WAITING
    assert robot.core.goal == (9.0, 9.0)


@pytest.mark.parametrize("settings", [{"goal_tolerance": 0.0}, {"max_rate": math.inf}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="above 0"):
        PlannerConfig(BufferConfig(cameras=("front",)), **settings)
