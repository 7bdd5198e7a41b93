"""What the bridge's node and the SDK process say to each other over a socket: small typed messages, length first.

A message is `!II` (bytes of header, bytes of blob), then the header as JSON, then the blob (JPEG bytes, or nothing).
Nothing is ever unpickled. Only the standard library is used, because the SDK process may run under another interpreter.
Times are seconds of CLOCK_MONOTONIC, which every process of one machine shares.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

_LENGTHS = struct.Struct("!II")
_MAX_HEADER = 8192  # bytes; the longest message, a RobotState, takes about 600
_MAX_BLOB = 8 << 20  # bytes; a 1080p JPEG stays below 2 MB
_MAX_QUEUED = 64  # messages a peer may be behind before it counts as not reading


class ProtocolError(ValueError):
    """What came over the socket is no message of this protocol."""


@dataclass(frozen=True)
class Move:
    """Node to robot. generation: of the stop after which this was sent; sent: s; vx, vy: m/s, yaw_rate: rad/s in
    base_link. Raises ValueError when a number is not finite."""

    generation: int
    sent: float
    vx: float
    vy: float
    yaw_rate: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.sent, self.vx, self.vy, self.yaw_rate))):
            raise ValueError(f"a Move must be finite, got {self}")


@dataclass(frozen=True)
class Halt:
    """Node to robot: stop now, as if the commands had fallen silent."""


@dataclass(frozen=True)
class Act:
    """Node to robot: one posture call, by the name it has in sdk_process.POSTURES."""

    action: str


@dataclass(frozen=True)
class Hello:
    """Robot to node: the SDK is up. Versions as text."""

    python: str
    cyclonedds: str


@dataclass(frozen=True)
class Fault:
    """Robot to node, the last words of a process that cannot go on. text names the fix; retry: whether a new process
    may have better luck."""

    text: str
    retry: bool


@dataclass(frozen=True)
class RobotState:
    """Robot to node. arrival: s; stamp: s of the robot's own clock; mode, error_code: as the robot says them; position:
    m in odom; quaternion: w, x, y, z of the body in odom; velocity: m/s in a frame that the vendor does not document;
    yaw_rate: rad/s; body_height: m. Values may be NaN: the robot's are passed on as they are."""

    arrival: float
    stamp: float
    mode: int
    error_code: int
    position: list[float]
    quaternion: list[float]
    velocity: list[float]
    yaw_rate: float
    body_height: float


@dataclass(frozen=True)
class Frame:
    """Robot to node. asked, arrival: s around the request for the sample; jpeg: as the robot encoded it."""

    asked: float
    arrival: float
    jpeg: bytes


@dataclass(frozen=True)
class Done:
    """Robot to node: the answer to an Act. code 0 is yes, 3102 and 3104 mean that nobody answered."""

    action: str
    code: int


@dataclass(frozen=True)
class Health:
    """Robot to node, a few times a second and at every change. generation, phase: of the command watchdog; stop_code,
    camera_code: of the newest calls, 0 is good; moves, refused: counts since the process started."""

    generation: int
    phase: str
    stop_code: int
    camera_code: int
    moves: int
    refused: int


Message = Move | Halt | Act | Hello | Fault | RobotState | Frame | Done | Health
_KINDS = {kind.__name__: kind for kind in (Move, Halt, Act, Hello, Fault, RobotState, Frame, Done, Health)}
_CHECKS: dict[str, Callable[[object], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, float),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes),
    "list[float]": lambda value: isinstance(value, list) and all(isinstance(item, float) for item in value),
}


def encode(message: Message) -> bytes:
    """The message as bytes, lengths first. Raises ValueError when it is too long for the protocol."""
    values = asdict(message)
    blob = values.pop("jpeg", b"")
    header = json.dumps({"kind": type(message).__name__, **values}).encode()
    if len(header) > _MAX_HEADER or len(blob) > _MAX_BLOB:
        raise ValueError(f"{type(message).__name__} of {len(header)} + {len(blob)} bytes is too long")
    return _LENGTHS.pack(len(header), len(blob)) + header + blob


def decode(header: bytes, blob: bytes) -> Message:
    """The message back. Raises ProtocolError unless kind, fields and types are exactly those of a message."""
    try:
        values = json.loads(header)
    except ValueError as error:
        raise ProtocolError(f"header is not JSON: {error}") from None
    kind = _KINDS.get(str(values.pop("kind", None))) if isinstance(values, dict) else None
    if kind is None:
        raise ProtocolError(f"no such message: {header[:80]!r}")
    if kind is Frame:
        values["jpeg"] = blob
    elif blob:
        raise ProtocolError(f"{kind.__name__} carries no blob, got {len(blob)} bytes")
    expected = {field.name: str(field.type) for field in fields(kind)}
    if values.keys() != expected.keys() or not all(_CHECKS[expected[name]](value) for name, value in values.items()):
        raise ProtocolError(f"{kind.__name__} needs {expected}, got {header[:200]!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ProtocolError(str(error)) from None


class Channel:
    """One end of the socket. Sending never blocks: a thread writes, so a peer that stopped reading cannot hold up the
    thread that moves the robot."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._open = True
        threading.Thread(target=self._write, name="channel_writer", daemon=True).start()

    def send(self, message: Message) -> bool:
        """Queue one message. False when the peer is gone or does not read: the message is dropped."""
        data = encode(message)
        with self._changed:
            if not self._open or len(self._queue) >= _MAX_QUEUED:
                return False
            self._queue.append(data)
            self._changed.notify()
        return True

    def receive(self) -> Message | None:
        """Wait for the next message; None when the peer closed or died. Raises ProtocolError on anything else."""
        lengths = self._read(_LENGTHS.size)
        if lengths is None:
            return None
        header_length, blob_length = _LENGTHS.unpack(lengths)
        if header_length > _MAX_HEADER or blob_length > _MAX_BLOB:
            raise ProtocolError(f"message of {header_length} + {blob_length} bytes")
        header = self._read(header_length)
        blob = self._read(blob_length)
        return None if header is None or blob is None else decode(header, blob)

    def close(self, flush: float = 0.0) -> None:
        """Close both directions, after waiting up to `flush` seconds for queued messages to leave. The peer reads an
        end of file."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or not self._open, timeout=flush)
            self._open = False
            self._changed.notify_all()
        with contextlib.suppress(OSError):  # the peer may have been faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            try:
                part = self._socket.recv(count - len(data))
            except OSError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._queue) or not self._open)
                if not self._open:
                    return
                data = self._queue[0]
            try:
                self._socket.sendall(data)
            except OSError:
                with self._changed:
                    self._open = False
                    self._changed.notify_all()
                return
            with self._changed:
                self._queue.popleft()
                self._changed.notify_all()
