"""The messages of a bag without ROS: a rosbag2 folder or one file of it, MCAP or sqlite3, of Humble or Jazzy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from wam_models.data.findings import Findings

_IDL_FILE = "=" * 80 + "\n"  # between the files of one definition, each of which opens with its name


class BagError(ValueError):
    """A bag that cannot be used; the text says which, why, and what would mend it."""


@dataclass(frozen=True)
class Channel:
    """A topic of a bag. kind: its message type, such as nav_msgs/msg/Odometry; readable: its type is known."""

    topic: str
    kind: str
    count: int
    readable: bool


class BagReader:
    """Opened with `with`. findings: what was wrong with what has been read so far.

    types: makes what to read messages with that the bag does not define, as sqlite3 bags of Humble do; default
    Jazzy's.
    Raises BagError when the bag is missing or cannot be opened. A bag that breaks off is read up to there.
    """

    def __init__(self, path: Path, types: Callable[[], Typestore] = lambda: get_typestore(Stores.ROS2_JAZZY)) -> None:
        self.path = path
        self.findings = Findings()
        self._undefined = cache(types)
        self._store = _opened(path, lambda: Reader(_storage(path)))
        self._readers: dict[str, Callable[[bytes], Any]] = {}

    def __enter__(self) -> BagReader:
        _opened(self.path, self._store.open)
        kinds = {connection.msgtype: connection for connection in self._store.connections}
        for kind, connection in kinds.items():
            reads = self._type(connection)
            if reads is not None:
                self._readers[kind] = reads
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its topics, by name."""
        found = (Channel(c.topic, c.msgtype, c.msgcount, c.msgtype in self._readers) for c in self._store.connections)
        return tuple(sorted(found, key=lambda channel: channel.topic))

    @property
    def start(self) -> float:
        """s since 1970, when the first message was recorded; 0 for an empty bag."""
        return 1e-9 * self._store.start_time if self._store.message_count else 0.0

    @property
    def end(self) -> float:
        """s since 1970, when the last message was recorded; 0 for an empty bag."""
        return 1e-9 * self._store.end_time if self._store.message_count else 0.0

    def messages(
        self, topics: Collection[str] | None = None, start: float | None = None, end: float | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Topic, ns since 1970 when it was recorded, and message, in the order of recording. topics: default all;
        start, end: s since 1970. What cannot be read is left out and counted in `findings`."""
        wanted = [c for c in self._store.connections if topics is None or c.topic in topics]
        for connection in wanted:
            if connection.msgtype not in self._readers and connection.msgcount:
                text = f"{connection.topic} holds {connection.msgtype}, which the bag does not define"
                self.findings.add("unknown_type", text, connection.msgcount)
        wanted = [c for c in wanted if c.msgtype in self._readers]
        if not wanted:
            return
        span = (None if moment is None else round(moment * 1e9) for moment in (start, end))
        stored = iter(self._store.messages(wanted, *span))
        while True:
            try:
                connection, logged, raw = next(stored)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001  damaged files fail in any library below
                self.findings.add("breaks_off", f"{self.path} cannot be read to its end: {error}")
                return
            try:
                message = self._readers[connection.msgtype](raw)
            except Exception as error:  # noqa: BLE001  likewise
                self.findings.add("unreadable_message", f"{connection.topic} at {1e-9 * logged:.3f} s: {error}")
                continue
            yield connection.topic, logged, message

    def _type(self, connection: Connection) -> Callable[[bytes], Any] | None:
        """What turns the bytes of one type into a message, or None when its definition is not known."""
        kind, definition = connection.msgtype, connection.msgdef
        if definition.format == MessageDefinitionFormat.NONE:
            store = self._undefined()
        else:
            store = get_typestore(Stores.EMPTY)
            try:
                store.register(_definitions(definition.format, definition.data, kind))
            except (TypesysError, ValueError):
                return None
        if kind not in store.fielddefs:
            return None
        return lambda raw: store.deserialize_cdr(raw, kind)


def _definitions(form: MessageDefinitionFormat, text: str, kind: str) -> dict[str, Any]:
    if form == MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(text, kind))
    parts = [part.partition("\n")[2] for part in text.split(_IDL_FILE)[1:]] or [text]
    return {name: fields for part in parts for name, fields in get_types_from_idl(part).items()}


def _storage(path: Path) -> Path:
    """A folder that lost its metadata still has its file."""
    if not path.exists():
        raise BagError(f"{path} is missing: give a rosbag2 folder, or an .mcap or .db3 file")
    if path.is_dir() and not (path / "metadata.yaml").exists():
        files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
        if not files:
            raise BagError(f"{path} is no bag: it has neither metadata.yaml nor an .mcap or .db3 file")
        if len(files) > 1:
            raise BagError(
                f"{path} has {len(files)} files and no metadata.yaml: give one of them, or `ros2 bag reindex` it"
            )
        return files[0]
    return path


def _opened(path: Path, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BagError:
        raise
    except ReaderError as error:
        raise BagError(
            f"{path} cannot be read ({error}); was its recording cut off? `mcap recover` saves it"
        ) from error
    except Exception as error:  # damaged files fail in any library below; told as one kind, with the cause
        raise BagError(f"{path} cannot be read ({error}): is it a complete rosbag2 folder?") from error
