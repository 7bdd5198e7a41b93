"""When the planner plans, what it lets out, and what it says about it."""

from __future__ import annotations

import math
import queue
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.tracker import Reference, make_reference
from wam_models.policy import Policy
from wam_models.types import Observation, Plan, Refusal, RefusalReason, Trajectory
from wam_planner.continuity import PlanChain, committed_points
from wam_planner.inference_worker import Finished, InferenceWorker
from wam_planner.observation_buffer import BufferConfig, Verdict
from wam_planner.plan_validator import ValidatorLimits
from wam_planner.planner_core import Outcome, PlannerConfig, PlannerCore, PlanTask

POSE = (2.0, 3.0, math.pi / 2)
COMMIT = 0.5  # s
PATIENCE = 10.0  # s until a test gives up waiting


class Robot:
    """A planner core fed by a robot that stands at POSE and a live camera."""

    def __init__(self, **config) -> None:
        self.core = PlannerCore(PlannerConfig(BufferConfig(cameras=("front",), **config)))
        self.now = 10.0

    def frame(self, after: float = 0.1) -> None:
        self.now += after
        self.core.add_odometry(self.now, self.now, POSE, (0.0, 0.0, 0.0))
        image = np.full((4, 6, 3), round(self.now * 100) % 256, dtype=np.uint8)
        self.core.add_frame("front", self.now, self.now, image, image.tobytes())

    def task(self):
        self.frame()
        return self.core.consider(self.now, rivals=0)

    def conclude(self, task: PlanTask, answer: Plan | Refusal | BaseException, after: float = 0.0) -> Plan | None:
        """What is made of the policy's answer, `after` s from now, once it was checked."""
        if isinstance(answer, Plan):
            answer = PlanChain(Answering(answer), ValidatorLimits(), 0.25, 0.0).plan(task.observation, task.pose)
        return self.core.conclude(self.now + after, task, answer)


class Answering(Policy):
    """Gives one answer to everything."""

    def __init__(self, answer: Plan) -> None:
        self._answer = answer

    def plan(self, observation: Observation) -> Plan:
        return self._answer


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
    assert robot.conclude(task, answer, after=0.04) is answer
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
            robot.conclude(task, plan(task.observation.stamp))
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


def test_when_simulated_time_begins_anew_it_plans_on(robot):
    """A server that crashed and came back, another map, a bag from the beginning."""
    robot.now = 600.0
    assert robot.task() is not None
    robot.now = 0.0
    planned = sum(robot.task() is not None for _ in range(10))
    assert planned >= 8


def test_a_refusal_is_counted_by_its_reason_and_shown(robot):
    refusal = Refusal(RefusalReason.GOAL_MISSING, "this model needs a goal: publish one on `goal`")
    assert robot.conclude(robot.task(), refusal) is None
    report = robot.core.report
    assert (report.outcome, report.refusal) == (Outcome.REFUSED, "goal_missing")
    assert "publish one" in report.error
    assert robot.core.counts["refused_goal_missing"] == 1


def test_a_full_machine_is_a_failure_and_not_the_observation_s_fault(robot):
    refusal = Refusal(RefusalReason.OUT_OF_MEMORY, "does not fit on cuda: tried to allocate 2 GiB")
    assert robot.conclude(robot.task(), refusal) is None
    assert robot.core.report.outcome is Outcome.FAILED
    assert "2 GiB" in robot.core.report.error


def test_a_plan_that_breaks_a_rule_does_not_go_out(robot):
    task = robot.task()
    assert robot.conclude(task, plan(task.observation.stamp, speed=9.0)) is None
    assert robot.core.report.outcome is Outcome.REJECTED
    assert any("speed" in violation for violation in robot.core.report.violations)
    assert robot.core.counts["rejected_speed"] == 1


def test_a_policy_that_fails_is_reported_and_the_next_frame_is_planned(robot):
    assert robot.conclude(robot.task(), RuntimeError("CUDA error")) is None
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
    robot.conclude(task, plan(task.observation.stamp))
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


class Slow(Policy):
    """Takes for every plan until the test says what came of it."""

    def __init__(self) -> None:
        self.asked: queue.Queue[Observation] = queue.Queue()
        self.answers: queue.Queue[Plan | Refusal | Exception] = queue.Queue()

    def plan(self, observation: Observation) -> Plan | Refusal:
        self.asked.put(observation)
        answer = self.answers.get(timeout=PATIENCE)
        if isinstance(answer, Exception):
            raise answer
        return answer


class SlowPlanner:
    """Core, worker and chain as the node wires them, with an executor as late as it can be: a plan is concluded when
    the next one has begun. driven: the plan that went out last and is still to be continued."""

    def __init__(self) -> None:
        self.robot = Robot()
        self.policy = Slow()
        self.driven: Reference | None = None
        self.under_way: Observation | None = None
        self.begun = 0
        self._chain = PlanChain(self.policy, ValidatorLimits(), 0.25, COMMIT)
        self._results: queue.Queue[Finished] = queue.Queue()
        self.worker: InferenceWorker = InferenceWorker(
            lambda task: self._chain.plan(task.observation, task.pose), self._results.put
        )
        self._epoch = 0
        self._waiting: Observation | None = None

    @property
    def waits(self) -> bool:
        """Whether an observation waits for the plan under way."""
        return self._waiting is not None

    def close(self) -> None:
        self.policy.answers.put(RuntimeError("the test is over"))
        self.worker.stop()

    def frame(self) -> None:
        task = self.robot.task()
        self.worker.submit(task)
        self._waiting = task.observation
        if self.under_way is None:
            self._begin()

    def reset(self) -> None:
        self.worker.reset(lambda: self._chain.reset(0))
        self.robot.core.forget()
        self._waiting = self.driven = None

    def finish(self, answer: Plan | Refusal | Exception) -> None:
        outdated = self._epoch != self.worker.epoch
        self.policy.answers.put(answer)
        self._begin()
        if outdated:
            return
        finished = self._results.get(timeout=PATIENCE)
        core = self.robot.core
        if core.conclude(self.robot.now, finished.task, finished.error or finished.outcome) is not None:
            self.driven = make_reference(answer.trajectory, np.array(finished.task.pose))
        elif core.report.outcome is Outcome.REJECTED:
            self.driven = None

    def _begin(self) -> None:
        waiting, self._waiting, self.under_way = self._waiting, None, None
        if waiting is not None:
            self.under_way = self.policy.asked.get(timeout=PATIENCE)
            self.begun += 1
            self._epoch = self.worker.epoch
            assert self.under_way.stamp == waiting.stamp  # the newest


# So slow that a robot that stands is on it.
CRAWL = 0.05  # m/s
ANSWERS = {
    "good": lambda stamp: plan(stamp, speed=CRAWL),
    "too fast": lambda stamp: plan(stamp, speed=9.0),
    "refused": lambda _: Refusal(RefusalReason.GOAL_MISSING, "publish one on `goal`"),
    "failed": lambda _: RuntimeError("CUDA error"),
}


def test_planning_slower_than_the_camera_continues_the_plan_that_was_just_made():
    with closing(SlowPlanner()) as it:
        for _ in range(3):
            it.frame()
        it.finish(plan(it.under_way.stamp, speed=CRAWL))
        assert it.under_way.committed == pytest.approx(np.array([[CRAWL * 0.45, 0.0, 0.0], [CRAWL * 0.7, 0.0, 0.0]]))


# What happens while a plan is made, and what comes of it.
ROUND = st.tuples(
    st.lists(st.sampled_from(["frame", "frame", "frame", "reset"]), max_size=3), st.sampled_from([*ANSWERS])
)


@given(rounds=st.lists(ROUND, max_size=8))
def test_every_plan_continues_the_last_one_that_went_out_and_nothing_else(rounds):
    with closing(SlowPlanner()) as it:
        frames = 0
        for step in (step for meanwhile, answer in rounds for step in ("frame", *meanwhile, answer)):
            before = it.begun
            if step == "frame":
                it.frame()
                frames += 1
            elif step == "reset":
                it.reset()
            else:
                it.finish(ANSWERS[step](it.under_way.stamp))
            if it.begun > before:
                stamp, committed = it.under_way.stamp, it.under_way.committed
                wanted = None if it.driven is None else committed_points(it.driven, stamp, POSE, 0.25, COMMIT)
                assert (committed is None) == (wanted is None)
                assert wanted is None or committed == pytest.approx(wanted)
        assert it.worker.dropped + it.begun + it.waits == frames
