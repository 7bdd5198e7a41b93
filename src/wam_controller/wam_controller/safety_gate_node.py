"""Lets commands through to the robot only while a human has engaged it and nothing is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wam_controller import qos
from wam_controller.conversions import command_message, drive_message, drive_type, time_message, twist_message
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_controller.safety_gate import Answer, GateOutput, GateState, Reason
from wam_controller.settings import GATE, make_gate, make_limits
from wam_models.messages import motion, planar_twist, seconds
from wam_msgs.msg import SafetyStatus

_STATUS_PERIOD = 0.1  # s
_LEVELS = {
    GateState.DISENGAGED: DiagnosticStatus.OK,
    GateState.ACTIVE: DiagnosticStatus.OK,
    GateState.STOPPING: DiagnosticStatus.WARN,
    GateState.ESTOP: DiagnosticStatus.ERROR,
}
_REASONS = {reason: getattr(SafetyStatus, f"REASON_{reason.name}") for reason in Reason}


class SafetyGateNode(ManagedNode):
    """cmd_vel_nav, odom, robot_ready -> cmd_vel, ackermann_cmd, safety/status; services engage, estop, clear."""

    parameters = GATE

    def __init__(self, **options: object) -> None:
        super().__init__("safety_gate", **options)

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode."""
        self._settings = settings
        self._gate = make_gate(settings)
        # Before the other publishers: where its package is missing it refuses, and must leave nothing behind.
        wanted = settings["ackermann_drive"]
        self._drive = self.create_publisher(drive_type(), "ackermann_cmd", qos.COMMAND) if wanted else None
        self.get_logger().info(f"limits: {make_limits(settings)}")
        self._command = self.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
        self._status = self.create_publisher(SafetyStatus, "safety/status", qos.LATCHED_STATUS)

    def start(self) -> None:
        """See ManagedNode. Always disengaged, whatever was before."""
        self._gate = make_gate(self._settings)
        self._output: GateOutput | None = None
        self._inputs = [
            self.create_subscription(TwistStamped, "cmd_vel_nav", self._on_command, qos.COMMAND),
            self.create_subscription(Odometry, "odom", self._on_odometry, qos.ODOMETRY),
            self.create_subscription(Bool, "robot_ready", self._on_ready, qos.LATCHED_STATUS),
        ]
        self._own_services = [
            self.create_service(SetBool, "~/engage", self._on_engage),
            self.create_service(Trigger, "~/estop", self._on_estop),
            self.create_service(Trigger, "~/clear", self._on_clear),
        ]
        self._period = 1.0 / float(self._settings["rate"])
        self._passed_on, self._owed = -math.inf, False
        self._own_timers = [
            self.steady_timer(self._period, self._on_timer),
            self.steady_timer(_STATUS_PERIOD, self._on_status),
        ]

    def halt(self) -> None:
        """See ManagedNode."""
        self._say(np.zeros(3), self._output.curvature if self._output else 0.0)
        self._command.wait_for_all_acked(self.last_words)
        for timer in self._own_timers:
            self.destroy_timer(timer)
        for service in self._own_services:
            self.destroy_service(service)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)

    def tear_down(self) -> None:
        """See ManagedNode."""
        self.destroy_publisher(self._command)
        self.destroy_publisher(self._status)
        if self._drive is not None:
            self.destroy_publisher(self._drive)

    def _on_command(self, message: TwistStamped) -> None:
        age = self.now - seconds(message.header.stamp)
        self._gate.on_command(self.steady_now, np.array(planar_twist(message.twist)), age)
        # A command goes on at once, not at the next tick; of a flood of them two a tick, and the last with it.
        self._owed = self.steady_now - self._passed_on < 0.5 * self._period
        if not self._owed:
            self._passed_on = self.steady_now
            self._on_tick()

    def _on_odometry(self, message: Odometry) -> None:
        stamp, _, twist = motion(message)
        self._gate.on_odometry(self.steady_now, np.array(twist), self.now - stamp)

    def _on_ready(self, message: Bool) -> None:
        self._gate.on_ready(message.data)

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._look_upstream()
        engage = request.data
        return self._answer(response, lambda: self._gate.engage(self.steady_now) if engage else self._gate.disengage())

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self._gate.estop)

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self._gate.clear)

    def _answer(self, response: SetBool.Response, ask: Callable[[], Answer]) -> SetBool.Response:
        answer = ask()
        response.success, response.message = answer.ok, answer.message
        # What was decided goes to the robot now, not at the next tick.
        self._on_tick()
        return response

    def _look_upstream(self) -> None:
        publishers = self.get_publishers_info_by_topic("cmd_vel_nav")
        self._gate.on_publishers(frozenset(bytes(info.endpoint_gid).hex() for info in publishers))

    def _on_timer(self) -> None:
        # While commands come they set the pace, however their clock lies to this one's.
        if self._owed or self.steady_now - self._passed_on >= 1.25 * self._period:
            self._owed = False
            self._on_tick()

    def _on_tick(self) -> None:
        before = self._output
        self._output = self._gate.step(self.steady_now)
        self._say(self._output.twist, self._output.curvature)
        if before is None or before.state is not self._output.state:
            self.get_logger().info(f"{self._output.state.name}: {self._output.reason.value}")
            self._publish_status(self._output)

    def _say(self, twist: np.ndarray, curvature: float) -> None:
        now = self.now
        self._command.publish(command_message(twist, now))
        if self._drive is not None:
            steering = math.atan(float(self._settings["wheelbase"]) * curvature)
            self._drive.publish(drive_message(float(twist[0]), steering, now))

    def _on_status(self) -> None:
        self._look_upstream()
        if self._output is not None:
            self._publish_status(self._output)

    def _publish_status(self, output: GateOutput) -> None:
        now = self.steady_now
        message = SafetyStatus(
            state=int(output.state),
            reason=_REASONS[output.reason],
            reason_text=output.reason.value,
            requested=twist_message(output.requested),
            issued=twist_message(output.twist),
            limits_hit=int(output.limits_hit),
            command_age=self._gate.command_age(now),
            odometry_age=self._gate.odometry_age(now),
            commands_rejected=self._gate.commands_rejected,
        )
        message.header.stamp = time_message(self.now)
        message.header.frame_id = "base_link"
        self._status.publish(message)
        values = {
            "state": output.state.name,
            "command_age_s": f"{message.command_age:.3f}",
            "odometry_age_s": f"{message.odometry_age:.3f}",
            "commands_rejected": message.commands_rejected,
        }
        self.report_health(_LEVELS[output.state], output.reason.value, values)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(SafetyGateNode)


if __name__ == "__main__":
    main()
