"""Who receives what the bridge publishes, as somebody who records it would. A node inside the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from wam_models.messages import seconds
from wam_tools.guest_node import GuestNode


class PictureReader(GuestNode):
    """Takes in every picture of some topics."""

    def __init__(self, domain: int, topics: Sequence[str], raw: bool) -> None:
        super().__init__("picture_reader", domain)
        # Of each topic: s of the stamp -> bytes.
        self._pictures: dict[str, dict[float, int]] = {topic: {} for topic in topics}
        self._latest = dict.fromkeys(topics, -1.0)
        kind = Image if raw else CompressedImage
        for topic in topics:

            def keep(message: Image | CompressedImage, topic: str = topic) -> None:
                stamp = seconds(message.header.stamp)
                self._pictures[topic][stamp] = len(message.data)
                self._latest[topic] = stamp

            # As whoever records them asks for them: every one.
            self.node.create_subscription(kind, topic, keep, QoSProfile(depth=10))

    @property
    def seen_until(self) -> float:
        """s of simulated time up to which every camera has been seen; below 0 before all have."""
        return min(self._latest.values())

    def between(self, began: float, ended: float) -> Sequence[int]:
        """Bytes of every picture stamped in between, s."""
        return [
            size
            for pictures in self._pictures.values()
            for stamp, size in list(pictures.items())
            if began <= stamp < ended
        ]
