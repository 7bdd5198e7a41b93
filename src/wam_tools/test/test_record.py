"""A recording without ROS: rates, losses, a disk that fills up, and refusals before anything is made."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import BagWriter
from wam_tools.message_types import typestore
from wam_tools.record import _complaints, _report, app
from wam_tools.recorder.recording import Recording

TYPES = typestore()
TEXT = "std_msgs/msg/String"
SAID = bytes(TYPES.serialize_cdr(TYPES.types[TEXT]("a"), TEXT))


def wait_for(recording: Recording, fault: str) -> None:
    deadline = time.monotonic() + 10.0
    while not recording.fault:
        assert time.monotonic() < deadline, "no fault"
        time.sleep(0.02)
    assert fault in recording.fault


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=40))
def test_a_report_counts_what_came_and_the_longest_silence(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("recording") / "bag"
    with Recording(path, TYPES, 0.0) as recording:
        topic, now = recording.add("/said", TEXT), 100.0
        for step in steps:
            now += step
            recording.take(topic, round(1e9 * now), SAID, now)
    report = topic.report(now)
    assert report.messages == len(steps)
    assert report.longest_silence == pytest.approx(max(steps[1:]), abs=1e-6)
    assert report.rate == pytest.approx((len(steps) - 1) / sum(steps[1:]), rel=1e-4)
    with BagReader(path) as bag:
        assert [channel.count for channel in bag.channels] == [len(steps)]


def test_a_topic_below_its_rate_is_named_for_as_long_as_it_is(tmp_path):
    with Recording(tmp_path / "bag", TYPES, 0.0) as recording:
        needed, free = recording.add("/odom", TEXT, minimum=10.0), recording.add("/said", TEXT)
        changes = []
        for tick in range(200):  # 20 s at 10 looks a second, with messages at 20 Hz but for 6 s in the middle
            now = 100.0 + 0.1 * tick
            if not 60 <= tick < 120:
                for part in range(2):
                    recording.take(needed, round(1e9 * now), SAID, now + 0.05 * part)
            changes += [(topic, topic.too_slow) for topic in recording.look(now)]
    assert changes == [(needed, True), (needed, False)]
    assert needed.report(now).seconds_below == pytest.approx(6.0, abs=2.5)
    assert needed.report(now).longest_silence == pytest.approx(6.05, abs=0.01)
    assert free.report(now).messages == 0


def test_what_was_lost_before_the_recorder_had_settled_does_not_count(tmp_path):
    with Recording(tmp_path / "bag", TYPES, 0.0) as recording:
        topic = recording.add("/said", TEXT)
        topic.lose(4, 99.0)
        recording.take(topic, 1, SAID, 100.0)
        topic.lose(2, 101.0)
        topic.lose(3, 110.0)
    assert topic.report(111.0).lost == 3


def test_a_stream_that_stops_midway_is_silent_and_too_slow_until_the_end(tmp_path):
    with Recording(tmp_path / "bag", TYPES, 0.0) as recording:
        topic = recording.add("/odom", TEXT, minimum=5.0)
        for tick in range(200):  # 20 s, of which it lives 8
            now = 0.1 * tick
            if now < 8.0:
                recording.take(topic, round(1e9 * now) + 1, SAID, now)
            recording.look(now)
    found = topic.report(20.0)
    assert found.longest_silence == pytest.approx(12.1)
    assert found.seconds_below == pytest.approx(12.0, abs=2.5)
    assert found.rate == pytest.approx(79 / 20.0)
    complaint = " ".join(_complaints({"fault": "", "topics": {"/odom": asdict(found)}}))
    assert "/odom came too slowly" in complaint


def test_whatever_ends_the_writing_is_told_and_what_was_written_has_its_index(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("a library's own fault")

    with Recording(tmp_path / "bag", TYPES, 0.0) as recording:
        topic = recording.add("/said", TEXT)
        recording.take(topic, 1, SAID, 1.0)
        while not recording.size:
            time.sleep(0.01)
        monkeypatch.setattr(BagWriter, "write", fail)
        recording.take(topic, 2, SAID, 2.0)
        wait_for(recording, "cannot be written any more: a library's own fault")
    with BagReader(tmp_path / "bag") as bag:
        assert [logged for _, logged, _ in bag.messages()] == [1]


def test_a_disk_that_fills_up_ends_the_bag_whole(tmp_path, monkeypatch):
    with Recording(tmp_path / "bag", TYPES, 5e9) as recording:
        topic = recording.add("/said", TEXT)
        recording.take(topic, 1, SAID, 1.0)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4.9e9))
        recording.take(topic, 2, SAID, 2.0)
        wait_for(recording, "4.9 GB left")
        recording.take(topic, 3, SAID, 3.0)
    assert topic.report(4.0).dropped == 1
    with BagReader(tmp_path / "bag") as bag:
        assert [logged for _, logged, _ in bag.messages()] == [1, 2]
    assert "4.9 GB left" in _report(tmp_path / "bag")["fault"]


def test_a_disk_that_refuses_is_a_fault_and_no_crash(tmp_path, monkeypatch):
    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    with Recording(tmp_path / "bag", TYPES, 0.0) as recording:
        topic = recording.add("/said", TEXT)
        monkeypatch.setattr("os.fsync", refuse)
        recording.take(topic, 1, SAID, 1.0)
        wait_for(recording, "No space left")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["walker"], "give go2 or carla"),
        (["--name", "there"], "exists"),
        (["--free-disk", "999000"], "GB left, less than the 999000 GB"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_starts(tmp_path, words, said):
    (tmp_path / "there").mkdir()
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert said in result.output
    assert [path.name for path in Path(tmp_path).iterdir()] == ["there"]
