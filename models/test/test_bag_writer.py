"""Bags in the making: cut off, mended, cut, and never half there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bags import IMAGE, TYPES, write_bag
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin

from wam_models.data.bag_copy import copy_messages
from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bag_repair import repair
from wam_models.data.bag_writer import BagWriter, whole_bag

TEXT = "std_msgs/msg/String"


def contents(path: Path) -> list[tuple[str, int, bytes]]:
    with BagReader(path) as bag:
        found = [(connection.topic, logged, bytes(data)) for connection, logged, data in bag.raw_messages()]
        assert not len(bag.findings)
    return found


def mcap_of(folder: Path) -> Path:
    (file,) = folder.glob("*.mcap")
    return file


def test_what_was_flushed_outlives_a_process_that_is_killed(tmp_path):
    program = f"""
import os, sys, time
from pathlib import Path
from wam_models.data.bag_writer import BagWriter
with BagWriter(Path({str(tmp_path / "bag")!r})) as writer:
    topic = writer.add("/said", {TEXT!r})
    for number in range(500):
        writer.write_message(topic, number, writer.types.types[{TEXT!r}](str(number)))
        if number == 399:
            writer.flush()
    print("ready", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(BagError, match="wam bag repair"), BagReader(tmp_path / "bag"):
        pass
    found = repair(tmp_path / "bag", tmp_path / "mended")
    assert found.messages == 400
    with BagReader(tmp_path / "mended") as bag:
        assert [message.data for _, _, message in bag.messages()] == [str(number) for number in range(400)]


@pytest.mark.parametrize("lost", [1, 9, 500, 20_000, 200_000])
def test_a_truncated_bag_is_mended_up_to_its_last_whole_message(tmp_path, lost):
    write_bag(tmp_path / "bag", frames=400)
    before = contents(tmp_path / "bag")
    file = mcap_of(tmp_path / "bag")
    file.write_bytes(file.read_bytes()[:-lost])
    damaged = file.read_bytes()
    found = repair(tmp_path / "bag", tmp_path / "mended")
    after = contents(tmp_path / "mended")
    assert len(found.damages) == 1
    assert "breaks off" in found.damages[0]
    assert after == before[: len(after)]
    assert len(after) == found.messages
    sizes = np.cumsum([len(data) for _, _, data in before])
    assert len(after) >= np.searchsorted(sizes, sizes[-1] - lost) - 2
    assert file.read_bytes() == damaged  # whoever wants to try otherwise still can


def test_a_damaged_part_costs_only_itself(tmp_path):
    write_bag(tmp_path / "bag", frames=1200)
    before = contents(tmp_path / "bag")
    file = mcap_of(tmp_path / "bag")
    data = bytearray(file.read_bytes())
    message = re.compile(rb"\x05[^\0]..\0{5}", re.DOTALL).search(data, len(data) // 2)
    assert message is not None
    data[message.start() : message.end()] = 9 * b"\xff"
    file.write_bytes(data)
    repair(tmp_path / "bag", tmp_path / "mended")
    after = contents(tmp_path / "mended")
    assert 0 < len(after) < len(before)
    assert after[-1] == before[-1]
    assert set(after) <= set(before)


def test_a_database_without_its_metadata_is_mended_too(tmp_path):
    write_bag(tmp_path / "bag", frames=6, storage=StoragePlugin.SQLITE3)
    before = contents(tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    repair(tmp_path / "bag", tmp_path / "mended")
    assert sorted(contents(tmp_path / "mended")) == sorted(before)


def test_what_holds_nothing_says_so_and_leaves_nothing(tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag.mcap").write_bytes(b"\0" * 4096)
    with pytest.raises(BagError, match=r"no message that can be read.*bag\.mcap"):
        repair(tmp_path / "bag", tmp_path / "mended")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
    with pytest.raises(BagError, match="missing"):
        repair(tmp_path / "nowhere", tmp_path / "mended")


def test_a_bag_that_fails_half_way_is_not_there(tmp_path):
    def fail() -> None:
        with whole_bag(tmp_path / "bag") as writer:
            writer.write_message(writer.add("/said", TEXT), 0, TYPES.types[TEXT]("a"))
            raise KeyError("something")

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    write_bag(tmp_path / "bag", frames=2)
    with pytest.raises(BagError, match="exists"):
        BagWriter(tmp_path / "bag")
    with pytest.raises(BagError, match="exists"), whole_bag(tmp_path / "bag"):
        pass


def test_a_part_begins_with_what_held_before_it(tmp_path):
    """The instruction and the goal came in the first second."""
    write_bag(tmp_path / "bag", frames=24)
    with BagReader(tmp_path / "bag") as bag, whole_bag(tmp_path / "part") as writer:
        count = copy_messages(bag, writer, start=2.0, end=3.0, held=("/instruction", "/goal"))
    after = contents(tmp_path / "part")
    assert [topic for topic, _, _ in after[:2]] == ["/instruction", "/goal"]
    assert {logged for topic, logged, _ in after if topic == "/instruction"} == {2_000_000_000}
    assert [logged for topic, logged, _ in after if topic == IMAGE] == [
        2_000_000_000 + n * 250_000_000 for n in range(4)
    ]
    assert count == len(after) - 2


def test_types_that_nobody_knows_are_carried_along(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        odd = writer.add_defined("/odd", "acme_msgs/msg/Odd", "", "RIHS01_" + 64 * "0")
        writer.write(odd, 5, b"\0\1\0\0abcd")
    with BagReader(tmp_path / "bag") as bag, whole_bag(tmp_path / "copy") as writer:
        copy_messages(bag, writer)
    assert contents(tmp_path / "copy") == [("/odd", 5, b"\0\1\0\0abcd")]


def test_damage_in_the_first_part_costs_what_comes_after_it_there(tmp_path):
    """All topics are defined at its beginning."""
    write_bag(tmp_path / "bag", frames=1200)
    before = contents(tmp_path / "bag")
    file = mcap_of(tmp_path / "bag")
    data = bytearray(file.read_bytes())
    message = re.compile(rb"\x05[^\0]..\0{5}", re.DOTALL).search(data, 500_000)
    assert message is not None
    data[message.start() : message.end()] = 9 * b"\xff"
    file.write_bytes(data)
    repair(tmp_path / "bag", tmp_path / "mended")
    after = contents(tmp_path / "mended")
    assert (after[0], after[-1]) == (before[0], before[-1])
    assert len(before) / 2 < len(after) < len(before)


def test_every_static_transform_comes_along(tmp_path):
    kind = "tf2_msgs/msg/TFMessage"
    latched = Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        *(QosTime(0, 0), QosTime(0, 0)),
        QosLiveliness.AUTOMATIC,
        QosTime(0, 0),
        False,
    )
    with BagWriter(tmp_path / "bag") as writer:
        static, said = writer.add("/tf_static", kind, [latched]), writer.add("/said", TEXT)
        for data in (b"\0\1\0\0camera", b"\0\1\0\0lidar", b"\0\1\0\0camera"):
            writer.write(static, 1, data)
        writer.write_message(said, 5_000_000_000, TYPES.types[TEXT]("later"))
    with BagReader(tmp_path / "bag") as bag, whole_bag(tmp_path / "part") as writer:
        copy_messages(bag, writer, start=4.0)
    assert [data for topic, _, data in contents(tmp_path / "part") if topic == "/tf_static"] == [
        b"\0\1\0\0camera",
        b"\0\1\0\0lidar",
    ]
