"""The socket protocol between node and SDK process."""

from __future__ import annotations

import math
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_go2.protocol import (
    Act,
    Channel,
    Done,
    Fault,
    Frame,
    Halt,
    Health,
    Hello,
    Move,
    ProtocolError,
    RobotState,
    decode,
    encode,
)

MESSAGES = [
    Move(3, 12.5, 0.4, -0.1, 0.2),
    Halt(),
    Act("stand_up"),
    Hello("3.11.7", "0.10.2"),
    Fault("no such card", retry=False),
    RobotState(1.0, 2.0, 1, 1002, [0.0, 1.0, 0.3], [1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0], 0.5, 0.32),
    Frame(1.0, 1.1, b"\xff\xd8 picture \xff\xd9"),
    Done("stand_up", 3104),
    Health(4, "moving", 0, 3104, 120, 2),
]


def _split(data: bytes) -> tuple[bytes, bytes]:
    header = int.from_bytes(data[:4], "big")
    return data[8 : 8 + header], data[8 + header :]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_round_trip(message):
    assert decode(*_split(encode(message))) == message


def test_a_state_that_is_not_finite_is_passed_on_for_the_node_to_judge():
    state = RobotState(1.0, 2.0, 1, 0, [math.nan] * 3, [1.0, 0.0, 0.0, 0.0], [math.inf, 0.0, 0.0], 0.5, 0.32)
    again = decode(*_split(encode(state)))
    assert math.isnan(again.position[0]) and math.isinf(again.velocity[0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_move_that_is_not_finite_cannot_be_made_nor_received(value):
    with pytest.raises(ValueError, match="finite"):
        Move(0, 0.0, value, 0.0, 0.0)
    good = encode(Move(0, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ProtocolError, match="finite"):
        decode(good[8:].replace(b'"vx": 0.0', b'"vx": NaN'), b"")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x80\x04\x95",
        b"[]",
        b"null",
        b'{"kind": "Nothing"}',
        b'{"kind": "Act"}',
        b'{"kind": "Act", "action": 7}',
        b'{"kind": "Act", "action": "x", "more": 1}',
        b'{"kind": "Move", "generation": true, "sent": 0.0, "vx": 0.0, "vy": 0.0, "yaw_rate": 0.0}',
        b'{"kind": "Move", "generation": 1, "sent": 0.0, "vx": "1", "vy": 0.0, "yaw_rate": 0.0}',
    ],
)
def test_what_is_no_message_is_refused(header):
    with pytest.raises(ProtocolError):
        decode(header, b"")


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_noise_never_does_worse_than_a_protocol_error(header, blob):
    with pytest.raises(ProtocolError):
        decode(header, blob)


def test_messages_cross_a_socket_in_order_and_the_end_is_seen():
    near, far = (Channel(end) for end in socket.socketpair())
    for message in MESSAGES:
        assert near.send(message)
    near.close(flush=5.0)
    assert [far.receive() for _ in MESSAGES] == MESSAGES
    assert far.receive() is None
    assert not near.send(Halt())
    far.close()


def test_a_length_beyond_reason_is_refused_before_it_is_read():
    raw, end = socket.socketpair()
    far = Channel(end)
    raw.sendall(b"\xff" * 8)
    with pytest.raises(ProtocolError, match="message of"):
        far.receive()
    far.close()
    raw.close()


def test_a_peer_that_does_not_read_never_blocks_the_sender():
    near, far = (Channel(end) for end in socket.socketpair())
    frame = Frame(0.0, 0.0, bytes(1 << 20))
    sent = []
    worker = threading.Thread(target=lambda: sent.extend(near.send(frame) for _ in range(200)), daemon=True)
    worker.start()
    worker.join(timeout=20.0)
    assert not worker.is_alive() and sent[0] and not sent[-1]
    near.close()
    far.close()
