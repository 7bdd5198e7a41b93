"""Life cycle, parameters and health that every node has in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node

from wam_controller.managed_node import ManagedNode
from wam_controller.parameters import Parameter, Value
from wam_controller.qos import DIAGNOSTICS


class Probe(ManagedNode):
    """Writes down what is asked of it."""

    parameters = (
        Parameter("rate", 50.0, "Hz", 10, 200),
        Parameter("kind", "plain", "which kind", choices=("plain", "fancy")),
    )

    def __init__(self, **overrides: Value) -> None:
        values = [rclpy.Parameter(name, value=value) for name, value in overrides.items()]
        super().__init__("probe", parameter_overrides=values)
        self.events: list[str] = []
        self.settings: Mapping[str, Value] = {}
        self.fails_in = ""
        self.failure: type[BaseException] = RuntimeError

    def setup(self, settings: Mapping[str, Value]) -> None:
        if settings["kind"] == "fancy" and settings["rate"] < 20.0:
            raise ValueError("fancy needs a rate of 20 Hz or more")
        self.settings = settings
        self._event("setup")

    def start(self) -> None:
        self._event("start")

    def halt(self) -> None:
        self._event("halt")

    def tear_down(self) -> None:
        self._event("tear_down")

    def _event(self, name: str) -> None:
        self.events.append(name)
        if self.fails_in == name:
            raise self.failure("a bug")


@pytest.fixture(autouse=True)
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.shutdown()


def health_of(node: ManagedNode) -> DiagnosticStatus:
    """What /diagnostics says of a node."""
    heard: list[DiagnosticStatus] = []
    listener = Node("listener")
    listener.create_subscription(DiagnosticArray, "/diagnostics", lambda it: heard.extend(it.status), DIAGNOSTICS)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(listener)
    for _ in range(100):
        if heard:
            break
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    listener.destroy_node()
    return heard[-1]


def test_it_configures_and_starts_itself_with_its_settings():
    node = Probe(rate=80.0)
    node.autostart()
    assert node.events == ["setup", "start"]
    assert node.settings == {"rate": 80.0, "kind": "plain"}
    node.close()
    assert node.events == ["setup", "start", "halt"]


def test_without_autostart_it_waits_for_a_manager():
    node = Probe(autostart=False)
    node.autostart()
    assert node.events == []
    node.trigger_configure()
    node.trigger_activate()
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.events == ["setup", "start", "halt", "tear_down"]
    node.close()
    assert node.events.count("halt") == 1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"rate": 5.0}, ("rate", "from 10 to 200")),
        ({"rate": 80}, ("rate", "decimal point")),
        ({"kind": "odd"}, ("kind", "one of plain, fancy")),
        ({"kind": "fancy", "rate": 15.0}, ("fancy needs a rate",)),
        ({"autostart": 3}, ("autostart", "true or false")),
    ],
)
def test_a_bad_parameter_leaves_it_up_unconfigured_and_says_the_rule_in_diagnostics(overrides, words):
    node = Probe(**overrides)
    node.autostart()
    assert "start" not in node.events
    health = health_of(node)
    assert health.level == DiagnosticStatus.ERROR
    assert health.name == "/probe"
    for word in words:
        assert word in health.message
    node.close()


def test_parameters_can_be_set_only_while_it_is_not_configured():
    node = Probe()
    node.autostart()
    (answer,) = node.set_parameters([rclpy.Parameter("rate", value=100.0)])
    assert not answer.successful
    assert "clean it up" in answer.reason
    node.trigger_deactivate()
    node.trigger_cleanup()
    (answer,) = node.set_parameters([rclpy.Parameter("rate", value=100.0)])
    assert answer.successful
    node.trigger_configure()
    assert node.settings["rate"] == 100.0
    node.close()


def test_a_value_out_of_range_cannot_be_set():
    node = Probe()
    node.autostart()
    node.trigger_deactivate()
    node.trigger_cleanup()
    (answer,) = node.set_parameters([rclpy.Parameter("rate", value=1000.0)])
    assert not answer.successful
    node.close()


def test_an_unexpected_error_in_a_transition_halts_it_and_is_reported():
    node = Probe()
    node.fails_in = "start"
    assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() is TransitionCallbackReturn.ERROR
    assert node.events == ["setup", "start", "halt"]
    health = health_of(node)
    assert health.level == DiagnosticStatus.ERROR
    assert "a bug" in health.message
    node.close()


def test_shutting_down_halts_what_is_active_and_tears_down_what_is_configured():
    active, configured, unconfigured = Probe(), Probe(), Probe()
    active.autostart()
    configured.trigger_configure()
    for node in (active, configured, unconfigured):
        assert node.trigger_shutdown() is TransitionCallbackReturn.SUCCESS
    assert active.events == ["setup", "start", "halt", "tear_down"]
    assert configured.events == ["setup", "tear_down"]
    assert unconfigured.events == []
    assert health_of(active).message == "shut down"
    for node in (active, configured, unconfigured):
        node.close()
    assert active.events.count("halt") == active.events.count("tear_down") == 1


def test_a_lifecycle_manager_that_shuts_it_down_halts_it():
    node = Probe()
    node.autostart()
    manager, executor = Node("manager"), SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(manager)
    client = manager.create_client(ChangeState, "probe/change_state")
    assert client.wait_for_service(20.0)
    future = client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)))
    executor.spin_until_future_complete(future, timeout_sec=20.0)
    assert future.result().success
    assert node.events == ["setup", "start", "halt", "tear_down"]
    executor.shutdown()
    manager.destroy_node()
    node.close()


def test_a_halt_that_fails_in_a_shutdown_is_tried_again_and_reported():
    node = Probe()
    node.autostart()
    node.fails_in = "halt"
    assert node.trigger_shutdown() is TransitionCallbackReturn.ERROR
    assert node.events == ["setup", "start", "halt", "halt"]
    node.fails_in = ""
    node.close()
    assert node.events.count("halt") == 3


def test_closing_halts_a_node_whose_last_transition_was_cut_off_and_refuses_the_next():
    node = Probe()
    node.fails_in, node.failure = "start", SystemExit
    node.trigger_configure()
    with pytest.raises(SystemExit):
        node.trigger_activate()
    with pytest.raises(RCLError):
        node.trigger_deactivate()
    node.close()
    assert node.events == ["setup", "start", "halt"]


FAULTY = """
from wam_controller.managed_node import ManagedNode, run

class Faulty(ManagedNode):
    def __init__(self):
        super().__init__("faulty")
    def start(self):
        self.steady_timer(0.01, self.fail)
    def halt(self):
        print("halted", flush=True)
    def fail(self):
        raise RuntimeError("a bug in a callback")

run(Faulty)
"""


def test_an_error_in_a_callback_halts_the_robot_before_the_process_ends():
    ended = subprocess.run([sys.executable, "-c", FAULTY], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "halted\n"
    assert "a bug in a callback" in ended.stderr
    assert ended.returncode != 0
