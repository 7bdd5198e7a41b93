"""Messages from one bag into another as they are, whatever their types."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rosbags.interfaces import Connection, ConnectionExtRosbag2, Qos, QosDurability

from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import BagWriter

_TRANSFORMS = "tf2_msgs/msg/TFMessage"


def copy_messages(
    bag: BagReader,
    writer: BagWriter,
    topics: Collection[str] | None = None,
    start: float | None = None,
    end: float | None = None,
    held: Collection[str] = (),
    progress: Callable[[int], None] = lambda logged: None,
) -> int:
    """How many. topics: default all; start, end: s since 1970; held: topics whose last message before the start holds
    on, and comes along as if recorded then; those that are offered as transient local always do. progress: called with
    ns since 1970 of each."""
    targets: dict[tuple[str, str], Connection] = {}

    def write(source: Connection, logged: int, data: bytes) -> None:
        key = source.topic, source.msgtype
        if key not in targets:
            targets[key] = writer.add_defined(*key, *bag.definition(source), _qos(source))
        writer.write(targets[key], logged, data)

    if start is not None:
        holding = {c.topic for c in bag.connections if c.topic in held or _holds(c)}
        last: dict[object, tuple[Connection, bytes]] = {}
        for connection, _, data in bag.raw_messages(_both(holding, topics), None, start):
            # Static transforms have a publisher each, and all of them hold.
            key = (connection.topic, data) if connection.msgtype == _TRANSFORMS else connection.topic
            last[key] = connection, data
        for connection, data in last.values():
            write(connection, round(start * 1e9), data)
    count = 0
    for connection, logged, data in bag.raw_messages(topics, start, end):
        write(connection, logged, data)
        count += 1
        progress(logged)
    return count


def _both(holding: Collection[str], topics: Collection[str] | None) -> Collection[str]:
    return holding if topics is None else set(holding) & set(topics)


def _holds(connection: Connection) -> bool:
    return any(each.durability is QosDurability.TRANSIENT_LOCAL for each in _qos(connection))


def _qos(connection: Connection) -> list[Qos]:
    return connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
