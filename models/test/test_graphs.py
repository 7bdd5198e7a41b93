"""How work is recorded, against a CUDA that only keeps book; what graphs really do is in test_gpu.py."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch

from wam_models.runtime.graphs import Recorder


class Book:
    """Streams are numbers; a graph replays by counting."""

    def __init__(self) -> None:
        self.current, self.streams, self.pools = 0, 0, 0
        self.recorded: list[tuple[int, int]] = []  # pool, stream
        self.ended: list[int] = []

    def graph_pool_handle(self) -> int:
        self.pools += 1
        return self.pools

    def Stream(self) -> Stream:
        self.streams += 1
        return Stream(self.streams)

    def current_stream(self) -> Stream:
        return Stream(self.current)

    def set_stream(self, stream: Stream) -> None:
        self.current = stream.number

    @contextmanager
    def stream(self, stream: Stream):
        before, self.current = self.current, stream.number
        yield
        self.current = before

    @contextmanager
    def graph(self, _: object, pool: int, stream: Stream):
        self.current = stream.number
        yield  # not put back when the work fails, as torch does not
        self.recorded.append((pool, stream.number))
        self.current = 0


class Stream:
    def __init__(self, number: int) -> None:
        self.number = number

    def wait_stream(self, _: Stream) -> None:
        pass


class Graph:
    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    made = Book()
    for name in ("graph_pool_handle", "Stream", "current_stream", "set_stream", "stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(made, name))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda _, pool: made.ended.append(pool), raising=False)
    return made


def counting(calls: list[bool]) -> Callable[[], None]:
    return lambda: calls.append(torch.is_inference_mode_enabled())


def test_work_is_rehearsed_recorded_and_then_only_replayed(book: Book) -> None:
    record, calls = Recorder(), []
    replays = [record(counting(calls)) for _ in range(2)]
    assert len(calls) == 8 and all(calls)  # three rehearsals and the recording of each, without gradients
    for replay in replays:
        replay()
    assert len(calls) == 8
    assert book.recorded == [(1, 1), (1, 1)] and book.current == 0


def test_a_replay_keeps_what_its_graph_reads(book: Book) -> None:
    def made() -> tuple[Callable[[], None], weakref.ref]:
        weight = torch.ones(3)
        return Recorder()(lambda: weight.sum() and None), weakref.ref(weight)

    replay, weight = made()
    gc.collect()
    assert weight() is not None
    del replay
    gc.collect()
    assert weight() is None


def test_a_recording_that_breaks_off_spoils_neither_the_thread_nor_the_next(book: Book) -> None:
    record, calls = Recorder(), []

    def waits() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capturing"):
        record(waits)
    assert book.current == 0 and book.ended == [1]
    record(counting([]))
    assert book.recorded == [(2, 2)]
