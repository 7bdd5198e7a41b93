"""One thread that plans: the newest observation waits, older ones are dropped, a reset outdates what is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Finished(Generic[Task, Outcome]):
    """One piece of work that was done: outcome, or the error that it raised instead."""

    task: Task
    epoch: int
    outcome: Outcome | None
    error: BaseException | None


class InferenceWorker(Generic[Task, Outcome]):
    """work(task) runs in one thread of its own. `deliver`, called from any thread, gets what is finished; work that was
    begun before the last reset is never delivered. An exception of `work` is delivered too: the thread lives on."""

    def __init__(self, work: Callable[[Task], Outcome], deliver: Callable[[Finished[Task, Outcome]], None]) -> None:
        self._work = work
        self._deliver = deliver
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._lock = threading.Lock()
        self._waiting: Task | None = None
        self._forget: Callable[[], None] | None = None
        self._busy = False
        self._epoch = 0
        self._dropped = 0

    @property
    def epoch(self) -> int:
        """How often it was reset."""
        return self._epoch

    @property
    def dropped(self) -> int:
        """Tasks that a newer one or a reset replaced before they began."""
        return self._dropped

    def submit(self, task: Task) -> None:
        """Plan this next; a task that still waits is dropped for it."""
        with self._lock:
            self._dropped += self._waiting is not None
            self._waiting = task
            if self._busy:
                return
            self._busy = True
        self._begin()

    def reset(self, forget: Callable[[], None]) -> int:
        """Outdate everything submitted so far and run `forget` in the thread before the next task. The new epoch."""
        with self._lock:
            self._epoch += 1
            self._dropped += self._waiting is not None
            self._waiting, self._forget = None, forget
            return self._epoch

    def stop(self) -> None:
        """Deliver nothing more and end the thread once the work under way is done."""
        with self._lock:
            self._epoch += 1
            self._waiting = None
        self._thread.shutdown(wait=True)

    def _begin(self) -> None:
        """Hand the waiting task, if there still is one, to the thread; the lock must be free."""
        with self._lock:
            task, self._waiting = self._waiting, None
            forget, epoch = self._forget, self._epoch
            if task is None:
                self._busy = False
                return
            self._forget = None
            future = self._thread.submit(self._run, task, forget)
        # A future that is done already calls back at once, from here: hence not under the lock.
        future.add_done_callback(lambda done: self._finish(task, epoch, done))

    def _run(self, task: Task, forget: Callable[[], None] | None) -> Outcome:
        if forget is not None:
            forget()
        return self._work(task)

    def _finish(self, task: Task, epoch: int, done: Future[Outcome]) -> None:
        if epoch == self._epoch:
            error = done.exception()
            self._deliver(Finished(task, epoch, None if error else done.result(), error))
        self._begin()
