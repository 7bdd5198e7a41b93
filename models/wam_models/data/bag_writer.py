"""A rosbag2 folder in the making, without ROS: MCAP, of which everything up to the last flush outlives the machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from wam_models.data.bag_reader import BagError
from wam_models.data.definitions import text_and_digest


class BagWriter:
    """Opened with `with`, whose end writes the index, after an error too. Messages before the last `flush` can be had
    without it, see bag_repair.

    Raises BagError when `path` is there already or cannot be made, OSError when the disk takes no more.
    """

    def __init__(self, path: Path, types: Typestore | None = None) -> None:
        """types: of the messages; default Jazzy's."""
        self.path = path
        self.types = get_typestore(Stores.ROS2_JAZZY) if types is None else types
        self._added: dict[tuple[str, str], Connection] = {}
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        except WriterError as error:
            raise BagError(f"{path} exists: remove it, or choose another folder") from error

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except OSError as error:
            raise BagError(f"{self.path} cannot be made: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, topic: str, kind: str, qos: Sequence[Qos] = ()) -> Connection:
        """A topic with messages of the type `kind`, as a publisher offers them; the one that is there already."""
        if (topic, kind) in self._added:
            return self._added[topic, kind]
        return self.add_defined(topic, kind, *text_and_digest(kind, "", "", self.types), qos)

    def add_defined(self, topic: str, kind: str, definition: str, digest: str, qos: Sequence[Qos] = ()) -> Connection:
        """Likewise, of a type that need not be among `types`. digest: its REP-2016 hash."""
        if (topic, kind) not in self._added:
            self._added[topic, kind] = self._writer.add_connection(
                topic, kind, msgdef=definition, rihs01=digest, offered_qos_profiles=qos
            )
        return self._added[topic, kind]

    def write(self, connection: Connection, logged: int, data: bytes) -> None:
        """logged: ns since 1970; data: the message in CDR."""
        self._writer.write(connection, logged, data)

    def write_message(self, connection: Connection, logged: int, message: Any) -> None:
        """message: of `types`."""
        self._writer.write(connection, logged, bytes(self.types.serialize_cdr(message, connection.msgtype)))

    def describe(self, key: str, text: str) -> None:
        """Goes into the bag's metadata."""
        self._writer.set_custom_data(key, text)

    def flush(self) -> None:
        """On return, everything written so far is on the disk."""
        storage = self._writer.storage
        assert isinstance(storage, McapWriter)
        if storage.chunk.msgs:  # other readers stumble over a chunk without any
            storage.close_chunk()
        storage.bio.flush()
        os.fsync(storage.bio.fileno())


@contextmanager
def whole_bag(path: Path, types: Typestore | None = None) -> Iterator[BagWriter]:
    """A BagWriter for `path`, where the bag is whole in the end or, after an error, there is nothing."""
    if path.exists():
        raise BagError(f"{path} exists: remove it, or choose another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BagError(f"{path} cannot be made: {error}") from error
    with folder:
        with BagWriter(Path(folder.name) / path.name, types) as writer:
            yield writer
        writer.path.rename(path)
