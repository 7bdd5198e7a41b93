"""Starting, losing and ending the SDK process; none of these tests needs a robot."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wam_go2.protocol import Fault, Message
from wam_go2.sdk_link import LinkSettings, SdkLink

DEADLINE = 20.0  # s


def talk(link: SdkLink, news: threading.Event, enough: Callable[[list[Message]], bool]) -> list[Message]:
    """Step the link until `enough` of its messages have come."""
    messages: list[Message] = []
    deadline = time.monotonic() + DEADLINE
    while not enough(messages):
        assert time.monotonic() < deadline, messages
        link.step(time.monotonic())
        news.wait(0.05)
        news.clear()
        messages += link.poll()
    return messages


def start(**settings) -> tuple[SdkLink, threading.Event]:
    news = threading.Event()
    return SdkLink(LinkSettings(**{"interface": "lo", **settings}), news.set), news


def fault(messages: list[Message]) -> bool:
    return any(isinstance(message, Fault) for message in messages)


def test_an_interface_that_does_not_exist_is_named_with_those_that_do():
    pytest.importorskip("unitree_sdk2py")
    link, news = start(interface="nosuch0")
    said = talk(link, news, fault)[-1]
    assert "nosuch0" in said.text and "lo" in said.text and said.retry
    link.close()


def test_an_interpreter_that_does_not_exist_is_named_and_not_tried_again():
    link, news = start(sdk_python="/nowhere/python3")
    said = talk(link, news, fault)[-1]
    assert "/nowhere/python3" in said.text and not said.retry
    link.step(time.monotonic() + 60.0)
    assert link.poll() == [] and link.pid is None


def interpreter(folder: Path, distributions: dict[str, str], modules: tuple[str, ...]) -> str:
    """An interpreter that sees these distributions and modules before its own."""
    packages = folder / "packages"
    for module in modules:
        (packages / module).mkdir(parents=True)
        (packages / module / "__init__.py").touch()
    for name, version in distributions.items():
        metadata = packages / f"{name}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}:$PYTHONPATH" exec {sys.executable} -S "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return str(python)


@pytest.mark.parametrize("version", ["0.10.5", "11.0.1"])
def test_another_cyclone_dds_is_refused_with_the_reason(tmp_path, version):
    link, news = start(sdk_python=interpreter(tmp_path, {"cyclonedds": version}, ("unitree_sdk2py",)))
    said = talk(link, news, fault)[-1]
    assert version in said.text and "0.10.2" in said.text and "sdk_python" in said.text
    assert not said.retry
    link.step(time.monotonic() + 60.0)
    assert link.pid is None


@pytest.mark.parametrize(("modules", "missing"), [((), "unitree_sdk2py"), (("unitree_sdk2py",), "cyclonedds")])
def test_a_missing_library_is_named(tmp_path, modules, missing):
    link, news = start(sdk_python=interpreter(tmp_path, {}, modules))
    said = talk(link, news, fault)[-1]
    assert missing in said.text and not said.retry


def test_the_last_words_of_a_process_that_broke_are_passed_on(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho noise >&2\necho 'ImportError: no such thing' >&2\nexit 3\n")
    python.chmod(0o755)
    link, news = start(sdk_python=str(python))
    said = talk(link, news, fault)[-1]
    assert "status 3" in said.text and said.text.endswith("ImportError: no such thing")
    link.close()


@pytest.mark.parametrize(
    ("lived", "pause"), [(10.0, 0.0), (1.0, 2.0)], ids=["one that was up goes on at once", "one that dies early waits"]
)
def test_a_killed_process_is_reported_and_started_again(tmp_path, lived, pause):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    link, _ = start(sdk_python=str(python))
    now = 500.0  # the clock of the link is the test's
    link.step(now)
    first = link.pid
    now += lived
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE
    while link.pid == first:
        assert time.monotonic() < deadline
        link.step(now)
        time.sleep(0.01)
    (said,) = link.poll()
    assert "status -9" in said.text and said.retry
    if pause:
        link.step(now + pause - 0.1)
        assert link.pid is None
        link.step(now + pause)
    assert link.pid not in (None, first)
    os.kill(link.pid, signal.SIGKILL)  # it is no SDK process and would not end by itself
    link.close()
    assert link.pid is None
