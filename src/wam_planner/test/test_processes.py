"""A table of programs runs, restarts what may restart, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from wam_planner.processes import Processes, Program, run_table

PATIENCE = 20.0  # s

WAITS = "import signal, time; print('up', flush=True); time.sleep(60)"
DEAF = (
    "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('up', flush=True); time.sleep(60)"
)
ENDS_WITH_3 = "print('bye'); raise SystemExit(3)"


def python(name: str, code: str, **settings: object) -> Program:
    return Program(name, (sys.executable, "-c", code), **settings)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_lines_carry_the_name_and_everything_ends_with_the_context():
    lines: list[str] = []
    with Processes([python("one", WAITS), python("two", WAITS)], lines.append) as processes:
        wait_for(lambda: {"[one] up", "[two] up"} <= set(lines))
        pids = [processes.pid("one"), processes.pid("two")]
    assert all(map(gone, pids))
    assert any("KeyboardInterrupt" in line for line in lines)  # asked politely first


def test_it_is_asked_politely_also_from_a_background_shell(monkeypatch):
    monkeypatch.setattr("wam_planner.processes._ENDINGS", ((signal.SIGINT, PATIENCE), (signal.SIGKILL, 2.0)))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        lines: list[str] = []
        with Processes([python("one", WAITS)], lines.append):
            wait_for(lambda: "[one] up" in lines)
    finally:
        signal.signal(signal.SIGINT, before)
    assert any("KeyboardInterrupt" in line for line in lines)


def test_a_program_that_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr(
        "wam_planner.processes._ENDINGS", ((signal.SIGINT, 0.2), (signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))
    )
    lines: list[str] = []
    with Processes([python("deaf", DEAF)], lines.append) as processes:
        wait_for(lambda: "[deaf] up" in lines)
        pid = processes.pid("deaf")
    assert gone(pid)


def test_the_robot_is_still_there_while_the_others_stop_it():
    lines: list[str] = []
    table = [python("robot", WAITS, respawn=False), python("bridge", WAITS)]
    with Processes(table, lines.append):
        wait_for(lambda: {"[robot] up", "[bridge] up"} <= set(lines))
    interrupted = [line.split("]")[0] for line in lines if "KeyboardInterrupt" in line]
    assert interrupted == ["[bridge", "[robot"]


def test_a_program_that_respawns_comes_back_as_another_process():
    lines: list[str] = []
    with Processes([python("phoenix", WAITS, respawn_delay=0.1)], lines.append) as processes:
        wait_for(lambda: "[phoenix] up" in lines)
        first = processes.pid("phoenix")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: processes.watch() is None and lines.count("[phoenix] up") == 2)
        assert processes.pid("phoenix") != first
        assert any("starts again" in line for line in lines)


def test_the_table_ends_with_the_status_of_a_program_that_may_not_respawn():
    lines: list[str] = []
    table = [python("waits", WAITS), python("robot", ENDS_WITH_3, respawn=False)]
    assert run_table(table, stop=threading.Event(), say=lines.append) == 3
    assert "[robot] bye" in lines


def test_asked_to_stop_it_ends_with_status_zero():
    stop = threading.Event()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == "[waits] up":
            stop.set()

    assert run_table([python("waits", WAITS)], stop=stop, say=say) == 0


def test_a_signal_ends_the_table_and_killing_it_ends_its_programs():
    code = (
        "import sys; from wam_planner.processes import Program, run_table\n"
        f"sys.exit(run_table([Program('child', (sys.executable, '-c', {WAITS!r} + '', ))]))"
    ).replace("print('up', flush=True)", "import os; print('up', os.getpid(), flush=True)")
    for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)):
        table = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        line = table.stdout.readline()
        child = int(re.fullmatch(r"\[child\] up (\d+)", line.strip())[1])
        table.send_signal(number)
        assert table.wait(timeout=PATIENCE) == status
        wait_for(lambda child=child: gone(child))
        table.stdout.close()
