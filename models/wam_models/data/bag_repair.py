"""What can be had of a bag whose recording was cut off, or that was damaged since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import StreamReader, get_chunk_data_stream
from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import parse_qos

from wam_models.data.bag_copy import copy_messages
from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bag_writer import BagWriter, whole_bag
from wam_models.data.definitions import text_and_digest, types_of

_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
# Of a chunk in an MCAP file: opcode, length, times of its messages, size and checksum; then how it is compressed, and
# how many bytes follow.
_COMPRESSION = 1 + 8 + 8 + 8 + 8 + 4
_UNCOMPRESSED = bytes(4)
_CHUNK_HEAD = _COMPRESSION + len(_UNCOMPRESSED)
_LONGEST = 64 * 2**20  # bytes of a chunk that is cut off, which is held in memory


@dataclass
class Repaired:
    """messages: that are in the new bag; start, end: s since 1970, of the first and the last; damages: what was wrong,
    a sentence each."""

    messages: int = 0
    start: float = float("inf")
    end: float = float("-inf")
    damages: list[str] = field(default_factory=list)

    def see(self, logged: int) -> None:
        """Another message. logged: ns since 1970."""
        self.messages += 1
        self.start, self.end = min(self.start, 1e-9 * logged), max(self.end, 1e-9 * logged)


def repair(path: Path, out: Path, progress: Callable[[float], None] = lambda share: None) -> Repaired:
    """A bag in the new folder `out` with every message that can be read of the folder or file `path`, which stays as it
    is. progress: called with the share that is done. Raises BagError when there is nothing to be had."""
    if not path.exists():
        raise BagError(f"{path} is missing: give a rosbag2 folder, or an .mcap or .db3 file")
    files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")]) if path.is_dir() else [path]
    found = Repaired()
    with whole_bag(out) as writer:
        for number, file in enumerate(files):
            if file.suffix == ".mcap":
                _save_mcap(file, writer, found, partial(_advance, progress, number, len(files)))
            else:
                _save_database(file, writer, found)
        if not found.messages:
            raise BagError(f"{path} holds no message that can be read: {'; '.join(found.damages) or 'no file in it'}")
    return found


def _advance(progress: Callable[[float], None], done: int, files: int, part: float) -> None:
    progress((done + part) / files)


def _save_mcap(file: Path, writer: BagWriter, found: Repaired, progress: Callable[[float], None]) -> None:
    schemas: dict[int, Schema] = {}
    channels: dict[int, Connection] = {}
    size = max(file.stat().st_size, 1)
    with file.open("rb") as stream:
        for record in _records(file, stream, size, found):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = _channel(record, schemas.get(record.schema_id), writer)
            elif isinstance(record, Message) and record.channel_id in channels:
                writer.write(channels[record.channel_id], record.log_time, record.data)
                found.see(record.log_time)
                progress(stream.tell() / size)


def _save_database(file: Path, writer: BagWriter, found: Repaired) -> None:
    try:
        with BagReader(file) as bag:
            copy_messages(bag, writer, progress=found.see)
            found.damages += [finding.first for finding in bag.findings]
    except BagError as error:
        found.damages.append(str(error))


def _records(file: Path, stream: BinaryIO, size: int, found: Repaired) -> Iterator[object]:
    """Those outside and inside of chunks; of a chunk that is damaged or cut off, what stands before that."""
    records = iter(StreamReader(stream, emit_chunks=True, record_size_limit=size).records)
    while True:
        begin = stream.tell()
        try:
            record = next(records)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001  a damaged file fails anywhere in the library
            what = str(error) or "it ends in the middle of a record"
            found.damages.append(f"{file.name} breaks off: {what}")
            if (tail := _cut_off(stream, begin)) is not None:
                with suppress(Exception):  # where it was cut off
                    yield from _parts(tail)
            return
        if not isinstance(record, Chunk):
            yield record
            continue
        try:
            yield from _parts(record)
        except Exception as error:  # noqa: BLE001  likewise; the next chunk may be whole
            what = str(error) or type(error).__name__
            found.damages.append(f"{file.name} has a damaged part: {what}")


def _cut_off(stream: BinaryIO, begin: int) -> Chunk | None:
    """The chunk that begins there, as much as there is of it, unless it is compressed."""
    stream.seek(begin)
    rest = stream.read(_LONGEST)
    if rest[:1] != bytes([Opcode.CHUNK]) or len(rest) < _CHUNK_HEAD or rest[_COMPRESSION:_CHUNK_HEAD] != _UNCOMPRESSED:
        return None
    return Chunk("", rest[_CHUNK_HEAD + 8 :], 0, 0, 0, len(rest))


def _parts(chunk: Chunk) -> Iterator[object]:
    """Schemas, channels and messages of a chunk, up to the first that is damaged: all of them stand in the first chunk
    of a bag of ours. Raises whatever the library does."""
    stream, size = get_chunk_data_stream(chunk, validate_crc=True)
    while stream.count < size:
        opcode, length = stream.read1(), stream.read8()
        if length > size - stream.count:
            raise ValueError(f"a record of {length} bytes in a chunk of {size}")
        if opcode == Opcode.SCHEMA:
            yield Schema.read(stream)
        elif opcode == Opcode.CHANNEL:
            yield Channel.read(stream)
        elif opcode == Opcode.MESSAGE:
            yield Message.read(stream, length)
        else:
            stream.read(length)


def _channel(channel: Channel, schema: Schema | None, writer: BagWriter) -> Connection:
    kind, text = (schema.name, schema.data.decode()) if schema else ("", "")
    form = _FORMATS.get(schema.encoding if schema else "", MessageDefinitionFormat.NONE)
    types = None if form is MessageDefinitionFormat.NONE else types_of(MessageDefinition(form, text), kind)
    qos = parse_qos(channel.metadata.get("offered_qos_profiles", ""))
    return writer.add_defined(channel.topic, kind, *text_and_digest(kind, text, "", types), qos)
