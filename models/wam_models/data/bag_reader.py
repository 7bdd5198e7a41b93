"""The messages of a bag without ROS: a rosbag2 folder or one file of it, MCAP or sqlite3, of Humble or Jazzy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from wam_models.data.definitions import text_and_digest, types_of
from wam_models.data.findings import Findings


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
        self._undefined, self._defined = cache(types), get_typestore(Stores.EMPTY)
        self._store = _opened(path, lambda: Reader(_storage(path)))
        self._types: dict[str, Typestore] = {}
        self._readers: dict[str, Callable[[bytes], Any]] = {}

    def __enter__(self) -> BagReader:
        _opened(self.path, self._store.open)
        kinds = {connection.msgtype: connection for connection in self._store.connections}
        for kind, connection in kinds.items():
            types = self._type(connection)
            if types is not None:
                self._types[kind] = types
                self._readers[kind] = partial(types.deserialize_cdr, typename=kind)
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

    @property
    def notes(self) -> Mapping[str, str]:
        """What its maker wrote into its metadata."""
        return dict(self._store.storage.metadata.custom or {})

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
        for connection, logged, raw in self._raw([c for c in wanted if c.msgtype in self._readers], start, end):
            try:
                message = self._readers[connection.msgtype](raw)
            except Exception as error:  # noqa: BLE001  damaged messages fail in any library below
                self.findings.add("unreadable_message", f"{connection.topic} at {1e-9 * logged:.3f} s: {error}")
                continue
            yield connection.topic, logged, message

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Its topics as the bag has them: for copying, beside `raw_messages` and `definition`."""
        return tuple(self._store.connections)

    def raw_messages(
        self, topics: Collection[str] | None = None, start: float | None = None, end: float | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """As `messages`, in CDR, those of unknown types among them."""
        yield from self._raw([c for c in self._store.connections if topics is None or c.topic in topics], start, end)

    def definition(self, connection: Connection) -> tuple[str, str]:
        """Text and REP-2016 hash of its type; a text that the bag lacks is ours, or empty where nobody has it."""
        kind = connection.msgtype
        return text_and_digest(kind, connection.msgdef.data, connection.digest, self._types.get(kind))

    def _raw(
        self, wanted: Collection[Connection], start: float | None, end: float | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Nothing of no connections, where rosbags would read them all."""
        span = (None if moment is None else round(moment * 1e9) for moment in (start, end))
        stored = iter(self._store.messages(wanted, *span) if wanted else ())
        while True:
            try:
                connection, logged, raw = next(stored)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001  damaged files fail in any library below
                self.findings.add("breaks_off", f"{self.path} cannot be read to its end: {error}")
                return
            yield connection, logged, raw

    def _type(self, connection: Connection) -> Typestore | None:
        """What reads messages of that type, or None when its definition is not known."""
        if connection.msgdef.format != MessageDefinitionFormat.NONE:
            return types_of(connection.msgdef, connection.msgtype, self._defined)
        types = self._undefined()
        return types if connection.msgtype in types.fielddefs else None


def _storage(path: Path) -> Path:
    """A folder that lost its metadata still has its file."""
    if not path.exists():
        raise BagError(f"{path} is missing: give a rosbag2 folder, or an .mcap or .db3 file")
    if path.is_file() and path.suffix not in (".mcap", ".db3"):
        raise BagError(f"{path} is no bag: give a rosbag2 folder, or an .mcap or .db3 file")
    if path.is_dir() and not (path / "metadata.yaml").exists():
        files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
        if not files:
            raise BagError(f"{path} is no bag: it has neither metadata.yaml nor an .mcap or .db3 file")
        if len(files) > 1:
            raise BagError(f"{path} has {len(files)} files and no metadata.yaml: `wam bag repair` makes one of them")
        return files[0]
    return path


def _opened(path: Path, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BagError:
        raise
    except ReaderError as error:
        raise BagError(
            f"{path} cannot be read ({error}); was its recording cut off? `wam bag repair` saves it"
        ) from error
    except Exception as error:  # damaged files fail in any library below; told as one kind, with the cause
        raise BagError(f"{path} cannot be read ({error}): is it a complete rosbag2 folder?") from error
