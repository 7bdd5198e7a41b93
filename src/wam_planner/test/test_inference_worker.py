"""The newest task wins, a reset outdates, an error does not kill the thread."""

from __future__ import annotations

import queue
import threading

import pytest

from wam_planner.inference_worker import InferenceWorker

PATIENCE = 10.0  # s until a test gives up waiting


class Stage:
    """A worker whose work waits until it is let go, one task at a time."""

    def __init__(self) -> None:
        self.begun: queue.Queue = queue.Queue()
        self.let_go: queue.Queue = queue.Queue()
        self.delivered: queue.Queue = queue.Queue()
        self.worker = InferenceWorker(self._work, self.delivered.put)

    def _work(self, task):
        self.begun.put(task)
        answer = self.let_go.get(timeout=PATIENCE)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def finish(self, answer="plan"):
        self.let_go.put(answer)
        return self.delivered.get(timeout=PATIENCE)


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    for _ in range(10):
        stage.let_go.put("end")
    stage.worker.stop()


def test_the_newest_task_wins_while_one_is_under_way(stage):
    stage.worker.submit(1)
    assert stage.begun.get(timeout=PATIENCE) == 1
    for task in (2, 3, 4):
        stage.worker.submit(task)
    assert stage.finish().task == 1
    assert stage.begun.get(timeout=PATIENCE) == 4
    assert stage.finish("other").outcome == "other"
    assert stage.worker.dropped == 2


def test_work_begun_before_a_reset_is_never_delivered(stage):
    forgotten = threading.Event()
    stage.worker.submit("old")
    stage.begun.get(timeout=PATIENCE)
    stage.worker.submit("old too")
    assert stage.worker.reset(forgotten.set) == 1
    assert not forgotten.is_set()
    stage.worker.submit("new")
    stage.let_go.put("stale plan")
    assert stage.begun.get(timeout=PATIENCE) == "new"
    assert forgotten.is_set()
    finished = stage.finish("fresh plan")
    assert (finished.task, finished.outcome, finished.epoch) == ("new", "fresh plan", 1)
    assert stage.delivered.empty()


def test_an_error_is_delivered_and_the_next_task_is_done(stage):
    stage.worker.submit(1)
    finished = stage.finish(RuntimeError("out of memory"))
    assert finished.outcome is None
    assert str(finished.error) == "out of memory"
    stage.worker.submit(2)
    assert stage.finish().error is None


def test_stopping_waits_for_the_work_under_way_and_delivers_nothing(stage):
    stage.worker.submit(1)
    stage.begun.get(timeout=PATIENCE)
    stage.worker.submit(2)
    stopper = threading.Thread(target=stage.worker.stop)
    stopper.start()
    stage.let_go.put("late")
    stopper.join(timeout=PATIENCE)
    assert not stopper.is_alive()
    assert stage.delivered.empty()
    assert stage.begun.empty()


def test_many_quick_tasks_leave_no_task_undone():
    delivered: queue.Queue = queue.Queue()
    worker = InferenceWorker(lambda task: task, delivered.put)
    for task in range(2000):
        worker.submit(task)
    seen = [delivered.get(timeout=PATIENCE).task]
    while seen[-1] != 1999:
        seen.append(delivered.get(timeout=PATIENCE).task)
    assert seen == sorted(seen)
    assert len(seen) + worker.dropped == 2000
    worker.stop()
