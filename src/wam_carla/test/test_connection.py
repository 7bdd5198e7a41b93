"""The state of the way to the server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_carla.connection import BackOff, BridgeState, Connection

BACK_OFF = BackOff(first=1.0, last=8.0, proven=5.0)


def test_it_begins_by_trying():
    connection = Connection(BACK_OFF, 10.0)
    assert connection.retry_at == 10.0
    assert connection.verdict.state is BridgeState.CONNECTING and not connection.verdict.may_move


def test_a_server_that_never_was_is_not_lost():
    connection = Connection(BACK_OFF, 0.0)
    connection.on_lost(0.0, "no server on localhost:2000")
    assert connection.verdict.state is BridgeState.CONNECTING
    assert "localhost:2000" in connection.verdict.reason
    assert connection.losses == 0


def test_one_that_was_there_is():
    connection = Connection(BACK_OFF, 0.0)
    connection.on_connected(0.0)
    assert connection.verdict.may_move
    connection.on_lost(60.0, "time-out")
    assert connection.verdict.state is BridgeState.LOST and not connection.verdict.may_move
    assert connection.losses == 1


def test_pauses_double_up_to_a_bound_and_start_anew_after_a_good_session():
    connection, now, pauses = Connection(BACK_OFF, 0.0), 0.0, []
    for _ in range(6):
        connection.on_lost(now, "no")
        pauses.append(connection.retry_at - now)
        now = connection.retry_at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    connection.on_connected(now)
    assert connection.retry_at == math.inf
    connection.on_lost(now + 6.0, "no")
    assert connection.retry_at == now + 7.0


def test_a_server_that_crashes_at_once_every_time_is_not_hammered():
    connection, now = Connection(BACK_OFF, 0.0), 0.0
    for _ in range(4):
        connection.on_connected(now)
        now += 0.5
        connection.on_lost(now, "no")
        now = connection.retry_at
    connection.on_connected(now)
    connection.on_lost(now + 0.5, "no")
    assert connection.retry_at == now + 0.5 + 8.0


def test_what_a_human_must_change_is_said_until_it_is_changed():
    connection = Connection(BACK_OFF, 0.0)
    connection.on_refused(0.0, "the server is CARLA 0.9.15")
    assert connection.verdict.state is BridgeState.REFUSED and connection.retry_at == 1.0
    connection.on_connected(1.0)
    assert connection.verdict.state is BridgeState.READY


def test_a_complaint_lets_commands_pass_and_a_hold_does_not():
    connection = Connection(BACK_OFF, 0.0)
    connection.on_connected(0.0)
    connection.complaint = "no picture"
    assert connection.verdict.state is BridgeState.DEGRADED and connection.verdict.may_move
    connection.held = "two publishers"
    assert connection.verdict.state is BridgeState.DEGRADED and not connection.verdict.may_move


@pytest.mark.parametrize("how", ["on_lost", "on_refused"])
def test_a_complaint_of_the_last_session_is_not_one_of_the_next(how):
    connection = Connection(BACK_OFF, 0.0)
    connection.on_connected(0.0)
    connection.complaint = "no picture"
    getattr(connection, how)(1.0, "no")
    connection.on_connected(2.0)
    assert connection.verdict.state is BridgeState.READY


@given(
    st.lists(st.tuples(st.sampled_from(["on_lost", "on_refused", "on_connected"]), st.floats(0.0, 100.0)), max_size=30)
)
def test_it_moves_only_when_connected_and_waits_no_longer_than_the_bound(history):
    connection, now = Connection(BACK_OFF, 0.0), 0.0
    for what, later in history:
        now += later
        getattr(connection, what)(now, *([] if what == "on_connected" else ["why"]))
        assert connection.verdict.may_move is (what == "on_connected")
        if what != "on_connected":
            assert now < connection.retry_at <= now + BACK_OFF.last
