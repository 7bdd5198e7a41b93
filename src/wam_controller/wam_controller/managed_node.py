"""What every node of this project has in common: life cycle, parameters, health, and an orderly end.

A node starts itself (`autostart`), or waits for a lifecycle manager. A parameter out of its range, or whatever else
`setup` raises as a ValueError, leaves it up and unconfigured with one message and an ERROR in /diagnostics. However it
ends, short of SIGKILL, `halt` runs first.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer

from wam_controller.executor import StaticSingleThreadedExecutor
from wam_controller.parameters import Parameter, Value
from wam_controller.qos import DIAGNOSTICS

_AUTOSTART = Parameter("autostart", True, "configure and activate at start, without a lifecycle manager")
_DIAGNOSTICS_PERIOD = 1.0  # s
_SIGNAL_LATENCY = 0.05  # s until a signal is noticed when nothing else happens


class ManagedNode(LifecycleNode):
    """Subclasses say what they need in `parameters` and fill in setup, start, halt and tear_down.

    rclpy.Node keeps what it serves in `_timers`, `_services`, `_subscriptions` and the like: an attribute of that name
    in a subclass takes its life cycle and its diagnostics away.
    """

    parameters: tuple[Parameter, ...] = ()
    # How long a last message may take to be acknowledged before the node goes all the same.
    last_words = Duration(seconds=0.2)

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._health = DiagnosticStatus(level=DiagnosticStatus.WARN, message="not configured")
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS)
        self.steady_timer(_DIAGNOSTICS_PERIOD, self._publish_health)
        self.add_on_set_parameters_callback(self._refuse_while_configured)
        self._configured = False
        self._active = False

    # To be filled in by a node.

    def setup(self, settings: Mapping[str, Value]) -> None:
        """Make what the parameters describe; a ValueError refuses to configure with its text."""

    def start(self) -> None:
        """Begin to act: timers run, commands flow."""

    def halt(self) -> None:
        """Undo `start`, the robot's motion first."""

    def tear_down(self) -> None:
        """Undo `setup`."""

    # To be used by a node.

    @property
    def now(self) -> float:
        """Seconds of the node clock: for the ages of data."""
        return self.get_clock().now().nanoseconds * 1e-9

    @property
    def steady_now(self) -> float:
        """Seconds of a clock that never jumps: for watchdogs."""
        return time.monotonic()

    def steady_timer(self, period: float, callback: Callable[[], None]) -> Timer:
        """A timer that goes on when simulated time stands still. period: s."""
        return self.create_timer(period, callback, clock=self._steady)

    def report_health(self, level: bytes, message: str, values: Mapping[str, object]) -> None:
        """What /diagnostics says of this node from now on. A change of level is published at once."""
        changed = level != self._health.level
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        self._health = DiagnosticStatus(level=level, message=message, values=pairs)
        if changed:
            self._publish_health()

    # Transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and set up; a bad one is named and the node stays unconfigured."""
        with _Reported(self, "configure"):
            try:
                self.setup({parameter.name: self._declare(parameter) for parameter in self.parameters})
            except ValueError as error:
                self._refuse(str(error))
                return TransitionCallbackReturn.FAILURE
            self._configured = True
            self.report_health(DiagnosticStatus.WARN, "configured, not active", {})
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start."""
        with _Reported(self, "activate"):
            # Before it has started: what fails half-way must be halted too.
            self._active = True
            self.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Halt."""
        with _Reported(self, "deactivate"):
            self._halt()
        self.report_health(DiagnosticStatus.WARN, "configured, not active", {})
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down; the parameters may be set anew."""
        with _Reported(self, "cleanup"):
            self._tear_down()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Halt and tear down what is up; this state is final, and the process stays."""
        with _Reported(self, "shut down"):
            self._halt()
            self._tear_down()
        self.report_health(DiagnosticStatus.WARN, "shut down", {})
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition raised: whatever moved must stop."""
        with _Reported(self, "stop after an error"):
            self._halt()
        return super().on_error(state)

    def autostart(self) -> None:
        """Configure and activate, unless the parameter says to wait."""
        try:
            wanted = self._declare(_AUTOSTART)
        except ValueError as error:
            self._refuse(str(error))
            return
        if wanted and self.trigger_configure() is TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Halt if active and destroy. Not by a transition: one that was cut off would refuse the next."""
        try:
            with _Reported(self, "halt"):
                self._halt()
        finally:
            self.destroy_node()

    def _halt(self) -> None:
        if self._active:
            self.halt()
            self._active = False

    def _tear_down(self) -> None:
        if self._configured:
            self.tear_down()
            self._configured = False

    def _refuse(self, fault: str) -> None:
        self.get_logger().error(f"not configured: {fault}")
        self.report_health(DiagnosticStatus.ERROR, f"not configured: {fault}", {})

    def _declare(self, parameter: Parameter) -> Value:
        """The parameter's value; ValueError with the rule when it breaks it."""
        if not self.has_parameter(parameter.name):
            try:
                self.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                raise ValueError(f"parameter {parameter.name} must be {parameter.rule}: {error}") from error
        value: Value = self.get_parameter(parameter.name).value
        if violation := parameter.violation(value):
            raise ValueError(f"parameter {violation}")
        return value

    def _refuse_while_configured(self, changed: list[rclpy.Parameter]) -> SetParametersResult:
        known = {parameter.name for parameter in self.parameters}
        if self._configured and any(each.name in known for each in changed):
            return SetParametersResult(
                successful=False,
                reason="parameters are read when the node configures: deactivate and clean it up first",
            )
        return SetParametersResult(successful=True)

    def _publish_health(self) -> None:
        self._health.name = self._health.hardware_id = self.get_fully_qualified_name()
        message = DiagnosticArray(status=[self._health])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


class _Reported:
    """rclpy turns an exception in a transition into a silent error state; this says what it was."""

    def __init__(self, node: ManagedNode, transition: str) -> None:
        self._node = node
        self._transition = transition

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            where = "".join(traceback.format_exception(kind, error, trace))
            self._node.get_logger().fatal(f"could not {self._transition}: {where}")
            self._node.report_health(DiagnosticStatus.ERROR, f"could not {self._transition}: {error}", {})


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.description)
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(parameter.choices)}"
    if parameter.minimum is None or parameter.maximum is None:
        return descriptor
    if isinstance(parameter.default, float):
        bounds = FloatingPointRange(from_value=float(parameter.minimum), to_value=float(parameter.maximum))
        descriptor.floating_point_range = [bounds]
    else:
        bounds = IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum), step=1)
        descriptor.integer_range = [bounds]
    return descriptor


def run(make_node: Callable[[], ManagedNode]) -> None:
    """The main of every node: runs it until SIGINT or SIGTERM and halts it while it can still speak.

    rclpy's own signal handlers would shut the context down first, and the last zero could not be sent.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    node = make_node()
    executor = StaticSingleThreadedExecutor()
    executor.add_node(node)
    try:
        node.autostart()
        while not stopping.is_set():
            executor.spin_once(timeout_sec=_SIGNAL_LATENCY)
    finally:
        try:
            node.close()
        finally:
            executor.shutdown()
            rclpy.shutdown()
