"""Follows the newest plan with velocity commands, 50 times a second."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry

from wam_controller import qos
from wam_controller.control_loop import ControlOutput
from wam_controller.conversions import command_message, reference_from, time_message, twist_message
from wam_controller.follower import Follower, Placed
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_controller.plan_freshness import Level
from wam_controller.settings import CONTROLLER, make_follower
from wam_models.messages import motion
from wam_msgs.msg import ControllerStatus, SafetyStatus, Trajectory

_STATUS_PERIOD = 0.1  # s
_WARN_PERIOD = 2.0  # s between two warnings of one kind


class ControllerNode(ManagedNode):
    """trajectory, odom, safety/status -> cmd_vel_nav, controller/status."""

    parameters = CONTROLLER

    def __init__(self, **options: object) -> None:
        super().__init__("controller", **options)

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode."""
        self._follower: Follower = make_follower(settings)
        self._period = 1.0 / float(settings["rate"])
        self._command = self.create_publisher(TwistStamped, "cmd_vel_nav", qos.COMMAND)
        self._status = self.create_publisher(ControllerStatus, "controller/status", qos.STATUS)

    def start(self) -> None:
        """See ManagedNode."""
        self._follower.reset()
        self._planners = 0
        self._engaged = False
        self._output: ControlOutput | None = None
        self._reason = ""
        self._late_ticks = 0
        self._last_tick = self.steady_now
        self._inputs = [
            self.create_subscription(Trajectory, "trajectory", self._on_plan, qos.PLAN),
            self.create_subscription(Odometry, "odom", self._on_odometry, qos.ODOMETRY),
            self.create_subscription(SafetyStatus, "safety/status", self._on_safety, qos.LATCHED_STATUS),
        ]
        self._own_timers = [
            self.steady_timer(self._period, self._on_tick),
            self.steady_timer(_STATUS_PERIOD, self._on_status),
        ]

    def halt(self) -> None:
        """See ManagedNode."""
        self._command.publish(command_message(np.zeros(3), self.now))
        self._command.wait_for_all_acked(self.last_words)
        for timer in self._own_timers:
            self.destroy_timer(timer)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)

    def tear_down(self) -> None:
        """See ManagedNode."""
        self.destroy_publisher(self._command)
        self.destroy_publisher(self._status)

    def _on_plan(self, message: Trajectory) -> None:
        try:
            reference = reference_from(message)
        except ValueError as error:
            self._follower.plans_dropped += 1
            self._warn(f"plan dropped: {error}")
            return
        placed = Placed(reference, message.epoch, message.header.frame_id, message.model_id)
        if fault := self._follower.on_plan(self.now, placed):
            self._warn(f"plan dropped: {fault}")

    def _on_odometry(self, message: Odometry) -> None:
        if fault := self._follower.on_odometry(self.now, *motion(message), message.header.frame_id):
            self._warn(f"odometry dropped: {fault}")

    def _on_safety(self, message: SafetyStatus) -> None:
        self._engaged = message.state in (SafetyStatus.STATE_ACTIVE, SafetyStatus.STATE_STOPPING)

    def _on_tick(self) -> None:
        # 1. The loop's own rate is part of what keeps the robot safe, so a late tick is counted.
        self._late_ticks += self.steady_now - self._last_tick > 2.0 * self._period
        self._last_tick = self.steady_now
        # 2. Decide.
        now = self.now
        self._output, self._reason = self._follower.step(now, self._planners, self._engaged)
        # 3. Say it, zero included: silence is no way to stop, it makes the gate disengage.
        if not self._follower.silent:
            self._command.publish(command_message(self._output.twist, now))

    def _on_status(self) -> None:
        self._planners = self.count_publishers("trajectory")
        output = self._output
        if output is None:
            return
        now = self.now
        message = ControllerStatus(
            level=int(output.level),
            plan_age=output.plan_age,
            cross_track=output.cross_track,
            heading_error=output.heading_error,
            requested=twist_message(output.requested),
            issued=twist_message(output.twist),
            limits_hit=int(output.limits_hit),
            model_id=self._follower.model_id,
            reason_text=self._reason,
        )
        message.header.stamp = time_message(now)
        message.header.frame_id = "base_link"
        self._status.publish(message)

        level = DiagnosticStatus.OK if output.level is Level.FULL else DiagnosticStatus.WARN
        if self._planners > 1:
            level = DiagnosticStatus.ERROR
        values = {
            "plan_age_s": f"{output.plan_age:.3f}",
            "plans_dropped": self._follower.plans_dropped,
            "late_ticks": self._late_ticks,
        }
        self.report_health(level, self._reason or "following the plan", values)

    def _warn(self, text: str) -> None:
        self.get_logger().warn(text, throttle_duration_sec=_WARN_PERIOD)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(ControllerNode)


if __name__ == "__main__":
    main()
