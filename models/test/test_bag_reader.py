"""Bags of other robots and damaged ones are read as far as they go, and say what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from bags import IMAGE, write_bag
from rosbags.rosbag2 import StoragePlugin

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.events import Moved, Picture, Told, read_events
from wam_models.data.topics import Channel, Topics, guess_topics, read_topics

JPEGS, PIXELS = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
ODOMETRY, TEXT, POSE = "nav_msgs/msg/Odometry", "std_msgs/msg/String", "geometry_msgs/msg/PoseStamped"


def channels(*found: tuple[str, str]) -> list[Channel]:
    return [Channel(topic, kind, 10, True) for topic, kind in found]


def events_of(path, **span):
    with BagReader(path) as bag:
        return list(read_events(bag, guess_topics(bag.channels), **span)), bag.findings


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("raw", [False, True])
def test_a_run_is_read_whatever_it_is_stored_as(tmp_path, storage, raw):
    write_bag(tmp_path / "bag", frames=6, storage=storage, raw=raw)
    events, findings = events_of(tmp_path / "bag")
    assert not len(findings)
    pictures = [event for event in events if isinstance(event, Picture)]
    moved = [event for event in events if isinstance(event, Moved)]
    assert [event.stamp for event in pictures] == pytest.approx(0.25 * np.arange(6))
    assert moved[4].twist == pytest.approx((0.8, 0.0, 0.3))
    assert [event.text for event in events if isinstance(event, Told)] == ["walk to the goal"]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_folder_without_its_metadata_is_read_from_its_file(tmp_path, storage):
    write_bag(tmp_path / "bag", frames=6, storage=storage)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    events, _ = events_of(tmp_path / "bag")
    assert sum(isinstance(event, Picture) for event in events) == 6


def test_a_span_begins_with_what_was_told_before(tmp_path):
    write_bag(tmp_path / "bag", frames=12)
    events, _ = events_of(tmp_path / "bag", start=1.0, end=2.0)
    assert isinstance(events[0], Told)
    assert [event.stamp for event in events if isinstance(event, Picture)] == pytest.approx([1.0, 1.25, 1.5, 1.75])


def test_a_truncated_file_says_what_saves_it(tmp_path):
    write_bag(tmp_path / "bag", frames=12)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(BagError, match="wam bag repair"), BagReader(tmp_path / "bag"):
        pass


def test_a_damaged_file_is_read_up_to_the_damage(tmp_path):
    write_bag(tmp_path / "bag", frames=400)  # more than one chunk
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30000] = b"\xff" * 30000
    file.write_bytes(data)
    events, findings = events_of(tmp_path / "bag")
    assert 0 < len(events) < 800
    assert "breaks_off" in findings


def test_what_is_no_bag_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, words in (("missing", "is missing"), ("empty", "neither metadata.yaml nor")):
        with pytest.raises(BagError, match=words):
            BagReader(tmp_path / name)


def test_topics_of_another_robot_are_guessed_by_their_types():
    found = guess_topics(
        channels(
            ("/zed/depth/image", PIXELS),
            ("/zed/rgb/image_raw", PIXELS),
            ("/zed/rgb/image_raw/compressed", JPEGS),
            ("/zed/rgb/camera_info", "sensor_msgs/msg/CameraInfo"),
            ("/zed/depth/camera_info", "sensor_msgs/msg/CameraInfo"),
            ("/rear_camera/image/compressed", JPEGS),
            ("/zed/odom", ODOMETRY),
            ("/status_text", TEXT),
            ("/pose", POSE),
        )
    )
    assert found == Topics(
        {"front": "/zed/rgb/image_raw/compressed"}, "/zed/odom", camera_info={"front": "/zed/rgb/camera_info"}
    )


def test_our_own_topics_are_taken_before_those_of_a_teacher():
    found = guess_topics(
        channels(
            (IMAGE, JPEGS),
            ("/odom", ODOMETRY),
            ("/expert/what_if/odom", ODOMETRY),
            ("/instruction", TEXT),
            ("/expert/what_if/instruction", TEXT),
            ("/goal", POSE),
            ("/expert/what_if/goal", POSE),
        )
    )
    assert found == Topics({"front": IMAGE}, "/odom", "/instruction", "/goal")


def test_three_cameras_are_told_apart_by_name():
    names = {side: f"/carla/ego_vehicle/rgb_{side}/image/compressed" for side in ("left", "front", "right")}
    found = guess_topics(channels(*((topic, JPEGS) for topic in names.values())), ("front", "left", "right"))
    assert found.cameras == names


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(BagError, match=r"no camera 'left' in the bag, which has /camera/front/image/compressed"):
        guess_topics(channels((IMAGE, JPEGS)), ("front", "left"))
    with pytest.raises(BagError, match="no pictures at all"):
        guess_topics(channels(("/odom", ODOMETRY)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("cameras: {front: /camera/front/image/compressed}\nspeed: /speed", "must map"),
        ("cameras: {}", "must map"),
        ("cameras: /camera/front/image/compressed", "cameras must be a map of cameras to topics"),
        ("cameras: {front: [/a]}", "cameras must be a map of cameras to topics"),
        ("cameras: {front: /camera/front/image/compressed}\nodometry: [/odom]", "odometry must be the name of a topic"),
        (
            "cameras: {front: /camera/front/image/compressed}\nodometry: /camera/front/image/compressed",
            "holds sensor_msgs/msg/CompressedImage; nav_msgs/msg/Odometry is needed there",
        ),
        ("cameras: {front: /nowhere}", "names /nowhere, which the bag does not have; it has /camera/front"),
    ],
)
def test_a_file_of_topics_that_is_wrong_says_why(tmp_path, text, words):
    (tmp_path / "topics.yaml").write_text(text)
    with pytest.raises(BagError, match=words):
        read_topics(tmp_path / "topics.yaml", channels((IMAGE, JPEGS)))


def test_a_file_of_topics_maps_them(tmp_path):
    (tmp_path / "topics.yaml").write_text("cameras: {front: /eye}\nodometry: /wheels\ngoal:\n")
    found = read_topics(tmp_path / "topics.yaml", channels(("/eye", PIXELS), ("/wheels", ODOMETRY)))
    assert found == Topics({"front": "/eye"}, "/wheels")
