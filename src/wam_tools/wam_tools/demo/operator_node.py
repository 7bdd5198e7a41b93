"""Who stands beside the robot: says what to do and where to go, engages it, watches it. A node inside the demo."""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import String
from std_srvs.srv import SetBool

from wam_controller import qos
from wam_controller.conversions import pose_message, time_message
from wam_msgs.msg import PlannerStatus, Trajectory
from wam_tools.guest_node import GuestNode

_FIND_TIME = 15.0  # s; on a busy machine it takes several until a new participant knows the gate
_ANSWER_TIME = 2.0  # s that the gate has to answer


class OperatorNode(GuestNode):
    """See GuestNode. bridge: the name of the robot's; state: what that says; plans:
    trajectories seen; complaint: what the planner said last, empty when it was content; refusal: why a node would not
    configure, empty when all did."""

    def __init__(self, domain: int, bridge: str = "go2_bridge") -> None:
        super().__init__("operator", domain)
        self.state = ""
        self.plans = 0
        self.complaint = self.refusal = ""
        self._engage = self.node.create_client(SetBool, "safety_gate/engage")
        self.node.create_subscription(String, f"{bridge}/state", self._on_state, qos.LATCHED)
        self.node.create_subscription(Trajectory, "trajectory", self._on_plan, qos.PLAN)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)
        self.node.create_subscription(PlannerStatus, "planner/status", self._on_planner, qos.STATUS)

    def ask(self, instruction: str, goal: tuple[float, float]) -> None:
        """Tell the planner what to do and where to go; goal: (x, y) m in odom."""
        # Kept, because who joins late is told by the publisher; made here, because a car's simulator says it all.
        self._instruction = self.node.create_publisher(String, "instruction", qos.LATCHED)
        self._goal = self.node.create_publisher(PoseStamped, "goal", qos.LATCHED)
        self._instruction.publish(String(data=instruction))
        message = PoseStamped(pose=pose_message((*goal, 0.0)))
        message.header.frame_id = "odom"
        message.header.stamp = time_message(self.node.get_clock().now().nanoseconds * 1e-9)
        self._goal.publish(message)

    def engage(self, wanted: bool) -> tuple[bool, str]:
        """Ask the gate; whether it did, and what it said."""
        if not self._engage.wait_for_service(_FIND_TIME):
            return False, f"no gate was found in {_FIND_TIME:.0f} s: does it run, and in this ROS_DOMAIN_ID?"
        done = threading.Event()
        future = self._engage.call_async(SetBool.Request(data=wanted))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(_ANSWER_TIME):
            return False, "safety_gate/engage did not answer"
        answer = future.result()
        return answer.success, answer.message

    def _on_state(self, message: String) -> None:
        self.state = message.data

    def _on_plan(self, _: Trajectory) -> None:
        self.plans += 1

    def _on_planner(self, message: PlannerStatus) -> None:
        self.complaint = message.error_text or message.detail

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level == DiagnosticStatus.ERROR and status.message.startswith("not configured"):
                self.refusal = f"{status.name} is {status.message}"
