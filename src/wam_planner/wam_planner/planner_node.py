"""Plans a trajectory for the robot from every fresh camera frame."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping
from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from wam_controller import qos
from wam_controller.conversions import pose_message, time_message
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_models.messages import motion, seconds
from wam_models.types import Refusal
from wam_msgs.msg import PlannerStatus, Trajectory, TrajectoryCandidates
from wam_planner.continuity import CheckedPlan, PlanChain
from wam_planner.conversions import (
    candidates_message,
    image_from,
    path_message,
    stage_seconds,
    trajectory_message,
)
from wam_planner.images import ImageError
from wam_planner.inference_worker import Finished, InferenceWorker
from wam_planner.observation_buffer import Verdict
from wam_planner.planner_core import Outcome, PlannerCore, PlanTask
from wam_planner.policy_loading import ready_policy
from wam_planner.settings import PLANNER, make_config, parse_goal

_STATUS_PERIOD = 0.1  # s
_WARN_PERIOD = 2.0  # s between two warnings of one kind
_COUNTS = ("frames_received", "frames_invalid", "plans_published", "plans_refused", "plans_rejected")


class PlannerNode(ManagedNode):
    """camera/*, odom, instruction, goal -> trajectory, trajectory_candidates, planned_path, planner/status, and what it
    pursues: planner/instruction, planner/goal."""

    parameters = PLANNER

    def __init__(self, **options: object) -> None:
        super().__init__("planner", **options)
        # The worker's thread only leaves results here and rings; everything of ROS happens in the executor's thread.
        self._results: deque[Finished[PlanTask, CheckedPlan | Refusal]] = deque()
        self._bell = self.create_guard_condition(self._on_results)

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode. Loads and prepares the model: seconds."""
        self._settings = settings
        self._goal_from_start = parse_goal(str(settings["goal"]))
        self._policy = ready_policy(settings)
        self._config = make_config(settings, self._policy.spec)
        self._trajectory = self.create_publisher(Trajectory, "trajectory", qos.PLAN)
        self._candidates = self.create_publisher(TrajectoryCandidates, "trajectory_candidates", qos.PLAN)
        self._path = self.create_publisher(Path, "planned_path", qos.PLAN)
        self._status = self.create_publisher(PlannerStatus, "planner/status", qos.STATUS)
        # Whatever they come from, a parameter included: who reads a recording must know.
        self._instruction_pursued = self.create_publisher(String, "planner/instruction", qos.LATCHED)
        self._goal_pursued = self.create_publisher(PoseStamped, "planner/goal", qos.LATCHED)
        self.get_logger().info(f"{self._policy.spec.model_id} is loaded")

    def start(self) -> None:
        """See ManagedNode."""
        # By which a consumer tells this planner from any other, itself started again included.
        self._first_epoch = secrets.randbits(31)
        self._core = PlannerCore(self._config)
        self._pursue(str(self._settings["instruction"]))
        if self._goal_from_start is not None:
            self._core.aim_from_start(*self._goal_from_start)
        self._rivals = 0
        self._odometry_frame = "odom"
        config = self._config
        # Only the worker's thread calls the chain: to plan, and to forget before the first plan after a reset.
        self._chain = PlanChain(self._policy, config.limits, config.dt, config.commit)
        self._worker: InferenceWorker[PlanTask, CheckedPlan | Refusal] = InferenceWorker(
            lambda task: self._chain.plan(task.observation, task.pose), self._deliver
        )
        self._inputs = [
            self.create_subscription(Odometry, "odom", self._on_odometry, qos.ODOMETRY),
            self.create_subscription(String, "instruction", self._on_instruction, qos.LATCHED),
            self.create_subscription(PoseStamped, "goal", self._on_goal, qos.LATCHED),
            *(self._subscribe_to(camera) for camera in self._policy.spec.cameras),
        ]
        self._reset = self.create_service(Trigger, "~/reset", self._on_reset)
        self._status_timer = self.steady_timer(_STATUS_PERIOD, self._on_status)

    def halt(self) -> None:
        """See ManagedNode. Without plans the controller stops the robot."""
        self._worker.stop()
        del self._chain
        self._results.clear()
        self.destroy_timer(self._status_timer)
        self.destroy_service(self._reset)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)

    def tear_down(self) -> None:
        """See ManagedNode."""
        plans = (self._trajectory, self._candidates, self._path, self._status)
        for publisher in (*plans, self._instruction_pursued, self._goal_pursued):
            self.destroy_publisher(publisher)
        del self._policy

    @property
    def _epoch(self) -> int:
        return self._first_epoch + self._worker.epoch

    def _subscribe_to(self, camera: str) -> object:
        topic, kind = f"camera/{camera}/image", Image
        if self._settings["image_transport"] == "compressed":
            topic, kind = f"{topic}/compressed", CompressedImage
        return self.create_subscription(kind, topic, partial(self._on_image, camera), qos.CAMERA)

    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        # 1. Decode; a picture that cannot be read is no picture.
        try:
            image = image_from(message)
        except ImageError as error:
            self._core.reject_frame(f"camera {camera}: {error}")
            self._warn(f"camera {camera}: {error}")
            return
        # 2. Keep it, unless its stamp is impossible.
        stamp = seconds(message.header.stamp)
        if fault := self._core.add_frame(camera, self.now, stamp, image, bytes(message.data)):
            self._warn(f"a frame of camera {camera} {fault.value}")
            return
        # 3. Plan from the newest observation, if it is good enough.
        if task := self._core.consider(self.now, self._rivals):
            self._worker.submit(task)

    def _on_odometry(self, message: Odometry) -> None:
        self._odometry_frame = message.header.frame_id
        without_goal = self._core.goal is None
        if fault := self._core.add_odometry(self.now, *motion(message)):
            self._warn(f"odometry {fault.value}")
        elif without_goal and self._core.goal is not None:
            self._tell_goal(*self._core.goal)

    def _tell_goal(self, x: float, y: float) -> None:
        forward, left = self._goal_from_start
        self.get_logger().info(
            f"goal: {x:.2f}, {y:.2f} m in {self._odometry_frame}, "
            f"which is {forward:g} m ahead and {left:g} m to the left of where the robot stands now"
        )
        self._show_goal(x, y)

    def _show_goal(self, x: float, y: float) -> None:
        message = PoseStamped(pose=pose_message((x, y, 0.0)))
        message.header.frame_id, message.header.stamp = self._odometry_frame, self.get_clock().now().to_msg()
        self._goal_pursued.publish(message)

    def _on_instruction(self, message: String) -> None:
        self._pursue(message.data)

    def _pursue(self, instruction: str) -> None:
        self._core.instruction = instruction
        self._instruction_pursued.publish(String(data=instruction))

    def _on_goal(self, message: PoseStamped) -> None:
        if message.header.frame_id != self._odometry_frame:
            self._warn(f"goal ignored: it is in {message.header.frame_id!r}, odometry in {self._odometry_frame!r}")
            return
        goal = message.pose.position.x, message.pose.position.y
        if fault := self._core.aim(goal):
            self._warn(fault)
        else:
            self._show_goal(*goal)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        seed = int(self._settings["seed"])
        self._worker.reset(lambda: self._chain.reset(seed))
        self._core.forget()
        response.success, response.message = True, f"epoch {self._epoch}"
        return response

    def _deliver(self, finished: Finished[PlanTask, CheckedPlan | Refusal]) -> None:
        self._results.append(finished)
        self._bell.trigger()

    def _on_results(self) -> None:
        while self._results:
            finished = self._results.popleft()
            # A reset may have come between the worker's answer and this.
            if finished.epoch == self._worker.epoch:
                self._publish(finished)

    def _publish(self, finished: Finished[PlanTask, CheckedPlan | Refusal]) -> None:
        answer = finished.error if finished.outcome is None else finished.outcome
        plan = self._core.conclude(self.now, finished.task, answer)
        if plan is None:
            report = self._core.report
            self._warn(f"no plan: {report.error or '; '.join(report.violations)}")
            return
        placed = (finished.task.pose, self._odometry_frame)
        message = trajectory_message(plan.trajectory, *placed, plan.model_id, self._epoch)
        self._trajectory.publish(message)
        self._candidates.publish(candidates_message(plan, *placed, self._epoch))
        self._path.publish(path_message(message))

    def _on_status(self) -> None:
        self._rivals = max(self.count_publishers("trajectory") - 1, 0)
        # Nothing may have arrived for a while: that too is a verdict.
        if task := self._core.consider(self.now, self._rivals):
            self._worker.submit(task)
        core, report = self._core, self._core.report
        stages, stage_latency = stage_seconds(report.stages)
        message = PlannerStatus(
            verdict=int(report.verdict),
            outcome=int(report.outcome),
            detail=report.detail,
            refusal=report.refusal,
            violations=list(report.violations),
            error_text=report.error,
            frame_age=report.frame_age,
            latency_last=core.latency.last,
            latency_p50=core.latency.percentile(50),
            latency_p95=core.latency.percentile(95),
            stages=stages,
            stage_latency=stage_latency,
            frames_dropped=self._worker.dropped,
            epoch=self._epoch,
            model_id=self._policy.spec.model_id,
            **{name: core.counts[name] for name in _COUNTS},
        )
        message.header.stamp = time_message(self.now)
        self._status.publish(message)
        self._report_health()

    def _report_health(self) -> None:
        core, report = self._core, self._core.report
        good = report.verdict is Verdict.FRESH and report.outcome in (Outcome.NONE, Outcome.PUBLISHED, Outcome.ARRIVED)
        level = DiagnosticStatus.OK if good else DiagnosticStatus.WARN
        if report.outcome is Outcome.FAILED:
            level = DiagnosticStatus.ERROR
        text = report.error or report.detail or "; ".join(report.violations)
        values = {
            "model_id": self._policy.spec.model_id,
            "latency_p95_s": f"{core.latency.percentile(95):.3f}",
            "frame_age_s": f"{report.frame_age:.3f}",
            **core.counts,
        }
        self.report_health(level, text or report.outcome.name.lower(), values)

    def _warn(self, text: str) -> None:
        self.get_logger().warn(text, throttle_duration_sec=_WARN_PERIOD)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(PlannerNode)


if __name__ == "__main__":
    main()
