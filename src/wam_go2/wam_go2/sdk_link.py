"""The node's end of the SDK process: starts it, speaks with it, starts it again when it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wam_go2.protocol import Channel, Fault, Message, ProtocolError


@dataclass(frozen=True)
class LinkSettings:
    """sdk_python: interpreter that has the SDK; interface: network card; domain: of DDS, 0 on the robot; camera_rate,
    resend_rate: Hz; command_timeout: s."""

    interface: str
    domain: int = 0
    sdk_python: str = sys.executable
    camera_rate: float = 10.0
    command_timeout: float = 0.3
    resend_rate: float = 50.0


@dataclass(frozen=True)
class _Session:
    """One life of an SDK process. began: s of the clock that `step` is given."""

    began: float
    process: subprocess.Popen[bytes]
    channel: Channel
    reader: threading.Thread


class SdkLink:
    """One SDK process at a time. `on_news` is called from another thread whenever `poll` has something to give."""

    _RESTART_PAUSE = 2.0  # s between a process that did not get far and the next
    _PROVEN = 3.0  # s; one that lived longer leaves a robot that its successor must stop: no pause then
    _FAREWELL = 8.0  # s a closed process has to stop the robot, which it tries for 5

    def __init__(self, settings: LinkSettings, on_news: Callable[[], None]) -> None:
        self._settings = settings
        self._on_news = on_news
        self._inbox: deque[Message] = deque()
        self._session: _Session | None = None
        self._restart_at = 0.0
        self._given_up = False

    @property
    def pid(self) -> int | None:
        """Of the running SDK process."""
        return None if self._session is None else self._session.process.pid

    def poll(self) -> list[Message]:
        """What arrived since the last call, in order. A Fault is the last message of its process."""
        messages = []
        while self._inbox:
            messages.append(self._inbox.popleft())
        return messages

    def send(self, message: Message) -> bool:
        """Pass a message to the SDK process; False when there is none, or it does not read."""
        return self._session is not None and self._session.channel.send(message)

    def step(self, now: float) -> None:
        """Start the process when it is time to. Call it a few times a second with a steady clock."""
        session = self._session
        if session is not None and session.process.poll() is not None and not session.reader.is_alive():
            session.channel.close()
            self._session = None
            self._restart_at = now if now - session.began > self._PROVEN else now + self._RESTART_PAUSE
        if self._session is None and now >= self._restart_at and not self._given_up:
            self._start(now)

    def close(self) -> None:
        """End the process; it stops the robot first."""
        session, self._session = self._session, None
        if session is None:
            return
        session.channel.close(flush=0.2)
        try:
            session.process.wait(self._FAREWELL)
        except subprocess.TimeoutExpired:
            session.process.kill()
            session.process.wait()
        session.reader.join()

    def _start(self, now: float) -> None:
        near, far = socket.socketpair()
        settings = self._settings
        command = [
            settings.sdk_python,
            *("-m", "wam_go2.sdk_process"),
            *("--fd", str(far.fileno())),
            *("--interface", settings.interface),
            *("--domain", str(settings.domain)),
            *("--camera-rate", str(settings.camera_rate)),
            *("--command-timeout", str(settings.command_timeout)),
            *("--resend-rate", str(settings.resend_rate)),
        ]
        with far:
            try:
                process = subprocess.Popen(
                    command,
                    pass_fds=[far.fileno()],
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=_environment(settings.sdk_python),
                )
            except OSError as error:
                near.close()
                self._given_up = True
                self._put(Fault(f"sdk_python cannot be started: {error}", retry=False))
                return
        channel = Channel(near)
        reader = threading.Thread(target=self._read, args=(channel, process), daemon=True)
        self._session = _Session(now, process, channel, reader)
        reader.start()

    def _read(self, channel: Channel, process: subprocess.Popen[bytes]) -> None:
        # DDS prints a line for every packet that a pulled-out cable loses: only the last one may matter, and only at
        # the end.
        last_line: deque[bytes] = deque(maxlen=1)
        listener = threading.Thread(target=lambda: last_line.extend(process.stderr or ()), daemon=True)
        listener.start()
        fault = None
        try:
            while (message := channel.receive()) is not None:
                if isinstance(message, Fault):
                    fault = message
                else:
                    self._put(message)
        except ProtocolError as error:
            fault = Fault(f"the SDK process sent what is no message: {error}", retry=True)
            process.terminate()
        status = process.wait()
        listener.join(1.0)
        words = last_line[0].decode(errors="replace").strip() if status > 0 and last_line else ""
        fault = fault or Fault(f"the SDK process ended with status {status} {words}".strip(), retry=True)
        self._given_up = not fault.retry
        self._put(fault)

    def _put(self, message: Message) -> None:
        self._inbox.append(message)
        self._on_news()


def _environment(python: str) -> dict[str, str]:
    """The SDK process needs this package and nothing else of ours; another interpreter must not see this one's
    packages."""
    environment = dict(os.environ)
    if Path(python) != Path(sys.executable):
        for name in ("PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
            environment.pop(name, None)
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    return environment
