"""Everything a node has is served, whenever it came, and nothing of it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from wam_controller.executor import StaticSingleThreadedExecutor


class Served:
    """A node and its executor."""

    def __init__(self) -> None:
        self.node = Node("served")
        self.executor = StaticSingleThreadedExecutor()
        self.executor.add_node(self.node)

    def until(self, condition: Callable[[], object], patience: float = 5.0) -> bool:
        """Whether it came true while the node was served."""
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.05)
        return bool(condition())


@pytest.fixture
def served() -> Iterator[Served]:
    rclpy.init()
    it = Served()
    yield it
    it.node.destroy_node()
    it.executor.shutdown()
    rclpy.shutdown()


def test_messages_timers_guards_requests_and_answers_are_served(served):
    node, seen = served.node, []
    node.create_subscription(String, "talk", lambda message: seen.append(message.data), 10)
    publisher = node.create_publisher(String, "talk", 10)
    node.create_timer(0.01, lambda: seen.append("timer"))
    guard = node.create_guard_condition(lambda: seen.append("guard"))
    node.create_service(Trigger, "ask", lambda _, response: seen.append("service") or response)
    client = node.create_client(Trigger, "ask")
    assert client.wait_for_service(5.0)
    publisher.publish(String(data="message"))
    guard.trigger()
    answer = client.call_async(Trigger.Request())
    assert served.until(lambda: {"message", "timer", "guard", "service"} <= set(seen) and answer.done())


def test_a_callback_may_add_and_take_away_what_is_waited_for(served):
    node, seen = served.node, []

    def first():
        seen.append("first")
        node.destroy_timer(timers.pop())
        node.destroy_timer(timers.pop())
        timers.append(node.create_timer(0.01, lambda: seen.append("third")))

    timers = [node.create_timer(0.01, lambda: seen.append("second")), node.create_timer(0.01, first)]
    assert served.until(lambda: seen.count("third") >= 3)
    assert seen.count("first") == 1
    assert seen.index("third") > seen.index("first") and "second" not in seen[seen.index("first") :]


def test_a_ring_is_heard_though_something_was_added_in_the_same_breath(served):
    node, seen = served.node, []
    guard = node.create_guard_condition(lambda: seen.append("rung"))

    def add(_):
        node.create_timer(10.0, lambda: None)

    node.create_subscription(String, "talk", add, 10)
    publisher = node.create_publisher(String, "talk", 10)
    for number in range(1, 21):
        served.executor.spin_once(timeout_sec=0.0)
        publisher.publish(String(data="add"))
        time.sleep(0.02)  # both are ready in one wait
        guard.trigger()
        served.until(lambda number=number: len(seen) == number, patience=1.0)
        assert len(seen) == number


def test_a_timer_that_is_cancelled_by_what_runs_before_it_does_not_fire(served):
    node, seen = served.node, []
    late = node.create_timer(0.01, lambda: seen.append("late"))
    node.create_subscription(String, "talk", lambda _: late.cancel(), 10)
    publisher = node.create_publisher(String, "talk", 10)
    time.sleep(0.1)
    served.executor.spin_once(timeout_sec=0.0)
    seen.clear()
    publisher.publish(String(data="cancel"))
    time.sleep(0.1)  # by now both are ready
    served.until(lambda: False, patience=0.2)
    assert len(seen) <= 1  # at most once by the full look, which has its own order


def test_what_came_while_nobody_looked_is_taken_in_order(served):
    node, seen = served.node, []
    node.create_subscription(String, "talk", lambda message: seen.append(message.data), 10)
    publisher = node.create_publisher(String, "talk", 10)
    for number in range(5):
        publisher.publish(String(data=str(number)))
    assert served.until(lambda: len(seen) == 5)
    assert seen == list("01234")


def test_another_thread_may_ring_and_add(served):
    node, seen = served.node, []
    guard = node.create_guard_condition(lambda: seen.append("rung"))

    def other():
        time.sleep(0.1)
        guard.trigger()
        node.create_timer(0.01, lambda: seen.append("timer"))

    thread = threading.Thread(target=other)
    thread.start()
    began = time.monotonic()
    served.executor.spin_once(timeout_sec=5.0)
    assert time.monotonic() - began < 4.0  # woken, not timed out
    assert served.until(lambda: {"rung", "timer"} <= set(seen))
    thread.join()


def test_it_waits_no_longer_than_it_is_told(served):
    served.executor.spin_once(timeout_sec=0.0)
    began = time.monotonic()
    for _ in range(4):
        served.executor.spin_once(timeout_sec=0.05)
    assert time.monotonic() - began < 2.0


def test_an_exception_in_a_callback_comes_out(served):
    def fail():
        raise ValueError("a bug")

    served.node.create_timer(0.01, fail)
    with pytest.raises(ValueError, match="a bug"):
        served.until(lambda: False)


def test_a_callback_that_awaits_is_refused_and_not_left_half_done(served):
    async def waits():
        await rclpy.task.Future()

    served.node.create_timer(0.01, waits)
    with pytest.raises(RuntimeError, match="plain functions only"):
        served.until(lambda: False)


def test_a_publisher_that_offers_too_little_is_still_told(served):
    told: list[object] = []
    heard = SubscriptionEventCallbacks(incompatible_qos=told.append)
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    served.node.create_subscription(String, "talk", lambda _: None, reliable, event_callbacks=heard)
    served.node.create_publisher(String, "talk", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    assert served.until(lambda: told)


def test_after_its_shutdown_it_spins_no_more(served):
    served.executor.spin_once(timeout_sec=0.0)
    served.executor.shutdown()
    with pytest.raises(ShutdownException):
        served.executor.spin_once(timeout_sec=0.0)
