"""Who receives what the bridge publishes, as somebody who records it would. A node inside the benchmark."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from wam_controller.conversions import seconds


class PictureReader:
    """A context manager on a ROS domain of its own, that takes in every picture of some topics."""

    def __init__(self, domain: int, topics: Sequence[str], raw: bool) -> None:
        self._context = Context()
        self._context.init(domain_id=domain)
        node = Node("picture_reader", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="picture reader", daemon=True)
        # Of each topic: s of the stamp -> bytes.
        self._pictures: dict[str, dict[float, int]] = {topic: {} for topic in topics}
        kind = Image if raw else CompressedImage
        for topic, pictures in self._pictures.items():

            def keep(message: Image | CompressedImage, pictures: dict[float, int] = pictures) -> None:
                pictures[seconds(message.header.stamp)] = len(message.data)

            # As whoever records them asks for them: every one.
            node.create_subscription(kind, topic, keep, QoSProfile(depth=10))

    def __enter__(self) -> PictureReader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.try_shutdown()
        self._thread.join(timeout=5.0)

    @property
    def seen_until(self) -> float:
        """s of simulated time up to which every camera has been seen; below 0 before all have."""
        return min(next(reversed(pictures), -1.0) for pictures in self._pictures.values())

    def between(self, began: float, ended: float) -> Sequence[int]:
        """Bytes of every picture stamped in between, s."""
        return [
            size
            for pictures in self._pictures.values()
            for stamp, size in list(pictures.items())
            if began <= stamp < ended
        ]

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()
