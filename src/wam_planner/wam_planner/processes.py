"""Runs a table of programs: starts them, prefixes what they print, restarts what may be restarted, ends them all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

_POLL_PERIOD = 0.1  # s
# What is asked of a process that should end, and how long it has before the next one.
_ENDINGS = ((signal.SIGINT, 5.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))


@dataclass(frozen=True)
class Program:
    """name: the prefix of its lines; respawn: start it again, respawn_delay s after it ended, whatever its status. A
    program that does not respawn takes the whole table with it when it ends."""

    name: str
    command: tuple[str, ...]
    respawn: bool = True
    respawn_delay: float = 2.0
    environment: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """The programs as running processes; a context manager that leaves none behind.

    They get a session of their own, so that Ctrl-C reaches them once, through `stop`. Should this process be killed,
    the kernel tells them to end, where setpriv(1) is there to arrange it.
    """

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None] = print) -> None:
        self._programs = {program.name: program for program in programs}
        self._say = say
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._due: dict[str, float] = {}
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Processes:
        for name in self._programs:
            self._start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> frozenset[str]:
        """Names of the programs that are up, as far as `watch` has seen."""
        return frozenset(self._running)

    def pid(self, name: str) -> int:
        """Of the running process of that name. Raises KeyError while it is down."""
        return self._running[name].pid

    def watch(self) -> int | None:
        """Look after the processes once: restart what is due. The exit status of one that ended for good, or None."""
        for name, process in list(self._running.items()):
            status = process.poll()
            if status is None:
                continue
            program = self._programs[name]
            del self._running[name]
            if not program.respawn:
                self._say(f"[{name}] ended with status {status}")
                return status
            self._say(f"[{name}] ended with status {status}; it starts again in {program.respawn_delay:g} s")
            self._due[name] = time.monotonic() + program.respawn_delay
        for name, moment in list(self._due.items()):
            if time.monotonic() >= moment:
                del self._due[name]
                self._start(name)
        return None

    def stop(self) -> None:
        """End all of them: SIGINT first, so that each can stop the robot in its own way. Those that do not respawn, a
        simulated robot, go last, because the others want it to acknowledge their stop."""
        self._due.clear()
        for respawn in (True, False):
            self._end([process for name, process in self._running.items() if self._programs[name].respawn is respawn])
        for reader in self._readers:
            reader.join(timeout=1.0)
        self._running.clear()

    def _end(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        for number, patience in _ENDINGS:
            for process in processes:
                if process.poll() is None:
                    process.send_signal(number)
            deadline = time.monotonic() + patience
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                time.sleep(_POLL_PERIOD / 5)

    def _start(self, name: str) -> None:
        program = self._programs[name]
        # A shell starts what it puts in the background with SIGINT ignored, and so would be everything started here.
        guard = ["env", "--default-signal=INT"]
        if shutil.which("setpriv"):
            guard += ["setpriv", "--pdeathsig", "TERM"]
        process = subprocess.Popen(
            [*guard, *program.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
        )
        self._running[name] = process
        reader = threading.Thread(target=self._echo, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _echo(self, name: str, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            self._say(f"[{name}] {line.rstrip()}")


def run_table(
    programs: Sequence[Program], *, stop: threading.Event | None = None, say: Callable[[str], None] | None = None
) -> int:
    """Run them until `stop` is set, SIGINT or SIGTERM comes, or one that does not respawn has ended; then end the rest.
    0 when it was asked to end, otherwise the status of the one that ended. Call it from the main thread, or give a
    `stop`: only then are the signals left alone."""
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    with Processes(programs, say or _print_line) as processes:
        while not stop.wait(_POLL_PERIOD):
            status = processes.watch()
            if status is not None:
                return status
    return 0


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
