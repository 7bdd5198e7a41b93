"""A node beside a graph that is somebody else's: on a ROS domain of its choice, in a thread of its own."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TypeVar

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

Guest = TypeVar("Guest", bound="GuestNode")


class GuestNode:
    """A context manager: `node` is there from the making on, its callbacks are called while the context lasts."""

    def __init__(self, name: str, domain: int) -> None:
        self._context = Context()
        self._context.init(domain_id=domain)
        self.node = Node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def __enter__(self: Guest) -> Guest:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.try_shutdown()
        self._thread.join(timeout=5.0)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            self.node.destroy_node()
