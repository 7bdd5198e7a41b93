"""`wam bag`: what is in a bag, whether it is good, parts of it, what a crash left, and a bag from a video."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from bags import IMAGE, write_bag
from typer.testing import CliRunner

from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import whole_bag
from wam_models.data.bags import read_run
from wam_tools.bag import check, cut, from_video, info, repair
from wam_tools.message_types import typestore

Change = Callable[[str, Any, int], Any]


def run(app: Any, *words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """10 s at 10 Hz."""
    path = tmp_path_factory.mktemp("bags") / "good"
    write_bag(path, frames=100, period=0.1, scan=True)
    return path


def changed(source: Path, target: Path, change: Change) -> Path:
    """A copy whose messages are what `change` makes of topic, message and number; None leaves one out."""
    with BagReader(source) as bag, whole_bag(target) as writer:
        kinds = {channel.topic: channel.kind for channel in bag.channels}
        counts = dict.fromkeys(kinds, 0)
        for topic, logged, message in bag.messages():
            after = change(topic, message, counts[topic])
            counts[topic] += 1
            if after is not None:
                writer.write_message(writer.add(topic, kinds[topic]), logged, after)
    return target


def darker(topic: str, message: Any, number: int) -> Any:
    if topic == IMAGE and number % 4 == 0:
        message.data = cv2.imencode(".jpg", np.zeros((72, 108, 3), np.uint8))[1].ravel()
    return message


def frozen(topic: str, message: Any, number: int) -> Any:
    if topic == IMAGE and 20 <= number < 30:
        message.data = cv2.imencode(".jpg", np.full((72, 108, 3), 99, np.uint8))[1].ravel()
    return message


def sideways(topic: str, message: Any, number: int) -> Any:
    """As a driver that gives the velocity in odom."""
    if topic == "/odom":
        yaw, twist = 0.03 * number, message.twist.twist.linear
        twist.x, twist.y = twist.x * math.cos(yaw), twist.x * math.sin(yaw)
    return message


def mirrored(topic: str, message: Any, number: int) -> Any:
    """As a driver that counts yaw to the right."""
    if topic == "/odom":
        message.twist.twist.angular.z *= -1.0
    return message


def holed(topic: str, message: Any, number: int) -> Any:
    return None if topic in (IMAGE, "/odom") and 50 <= number < 60 else message


def late(topic: str, message: Any, number: int) -> Any:
    if topic == IMAGE:
        message.header.stamp.sec += 5
    return message


def blind(topic: str, message: Any, number: int) -> Any:
    return None if topic == "/odom" else message


def standing(topic: str, message: Any, number: int) -> Any:
    if topic == "/odom":
        message.pose.pose.position.x = message.pose.pose.position.y = 0.0
        message.pose.pose.orientation.z, message.pose.pose.orientation.w = 0.0, 1.0
    return message


def spoilt(topic: str, message: Any, number: int) -> Any:
    if topic == "/odom" and number == 40:
        message.twist.twist.linear.x = math.nan
    return message


def unplaced(topic: str, message: Any, number: int) -> Any:
    if topic == "/odom" and number == 40:
        message.pose.pose.position.x = math.nan
    return message


def test_a_good_bag_passes_every_rule(good, tmp_path):
    result = run(check.app, good, "--json", tmp_path / "check.json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads((tmp_path / "check.json").read_text())["bags"]
    assert found["ok"]
    assert found["cameras"]["front"]["stream"]["rate"] == pytest.approx(10.0)
    assert found["motion"]["metres"] == pytest.approx(0.8 * 9.9, rel=0.01)
    assert found["motion"]["left"] == 1.0
    assert found["motion"]["twist_error"] < 0.01
    assert sum(found["motion"]["speeds"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (darker, {"exposure"}),
        (frozen, {"repeated pictures"}),
        (sideways, {"twist against poses"}),
        (mirrored, {"twist against poses"}),
        (holed, {"longest gap of pictures", "longest gap of odometry"}),
        (late, {"delay of pictures", "picture to nearest odometry"}),
        (blind, {"odometry"}),
        (standing, {"standing"}),
        (spoilt, {"damaged messages"}),
        (unplaced, {"damaged messages"}),
    ],
)
def test_what_is_wrong_with_a_bag_is_named_and_nothing_else(good, tmp_path, change, broken):
    result = run(check.app, changed(good, tmp_path / "bag", change), "--json", tmp_path / "check.json")
    assert result.exit_code == 1
    (found,) = json.loads((tmp_path / "check.json").read_text())["bags"]
    assert {name for name, ok in found["checks"].items() if ok is False} == broken
    for name in broken:
        assert f"{name}: " in result.output


def test_every_camera_of_three_is_looked_at(tmp_path, good):
    """The left one shows one picture all the time."""

    def more(source: Path) -> Path:
        with BagReader(source) as bag, whole_bag(tmp_path / "bag") as writer:
            shown = None
            for topic, logged, message in bag.messages():
                kind = next(channel.kind for channel in bag.channels if channel.topic == topic)
                writer.write_message(writer.add(topic, kind), logged, message)
                if topic == IMAGE:
                    writer.write_message(writer.add("/camera/right/image/compressed", kind), logged, message)
                    shown = message.data if shown is None else shown
                    message.data = shown
                    writer.write_message(writer.add("/camera/left/image/compressed", kind), logged, message)
        return tmp_path / "bag"

    result = run(check.app, more(good), "--json", tmp_path / "check.json")
    assert result.exit_code == 1
    (found,) = json.loads((tmp_path / "check.json").read_text())["bags"]
    assert [name for name, ok in found["checks"].items() if ok is False] == ["left: repeated pictures"]


def test_a_bag_that_was_cut_off_is_named_among_others(tmp_path, good):
    (tmp_path / "many" / "killed").mkdir(parents=True)
    whole = next(good.glob("*.mcap")).read_bytes()
    (tmp_path / "many" / "killed" / "killed.mcap").write_bytes(whole[: len(whole) // 2])
    write_bag(tmp_path / "many" / "whole", frames=100, period=0.1, scan=True)
    result = run(check.app, tmp_path / "many")
    assert result.exit_code == 1
    assert "killed.mcap" in result.output
    assert "wam bag repair" in " ".join(result.output.split())
    assert "front 100 of 108 x 72" in " ".join(result.output.split())


def test_pictures_that_come_too_seldom_or_broken_are_named(tmp_path):
    write_bag(tmp_path / "bag", frames=40, broken_at=3)  # 4 Hz
    result = run(check.app, tmp_path / "bag")
    assert result.exit_code == 1
    for name in ("picture rate", "odometry rate", "unreadable pictures"):
        assert f"{name}: " in result.output


def test_info_shows_topics_rates_and_what_a_replay_would_take(good, tmp_path):
    result = run(info.app, good, "--json", tmp_path / "info.json")
    assert result.exit_code == 0
    (found,) = json.loads((tmp_path / "info.json").read_text())["bags"]
    assert found["seconds"] == pytest.approx(9.9, abs=0.01)
    assert {each["topic"]: each["messages"] for each in found["topics"]}[IMAGE] == 100
    assert found["roles"]["odometry"] == "/odom"
    assert IMAGE in result.output


def test_one_bag_that_cannot_be_read_hides_no_other(good, tmp_path):
    result = run(info.app, tmp_path / "nowhere", good)
    assert result.exit_code == 1
    assert "nowhere is missing" in result.output
    assert IMAGE in result.output


def test_a_part_holds_its_time_its_topics_and_what_was_told_before(good, tmp_path):
    result = run(cut.app, good, tmp_path / "part", "--start", 4, "--end", 6, "--drop", "/scan")
    assert result.exit_code == 0, result.output
    with BagReader(tmp_path / "part", typestore) as bag:
        counts = {channel.topic: channel.count for channel in bag.channels}
    assert counts[IMAGE] == 20
    assert counts["/instruction"] == counts["/goal"] == 1
    assert "/scan" not in counts
    assert read_run(tmp_path / "part").goal == pytest.approx((6.0, 0.0))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--topic", "/nothing"], "has no topic /nothing"),
        (["--start", "20"], "9.9 s long"),
        (["--topic", "/goal", "--start", "5", "--end", "6"], "no message of these topics"),
    ],
)
def test_a_part_that_would_be_empty_is_not_made(good, tmp_path, words, said):
    result = run(cut.app, good, tmp_path / "part", *words)
    assert result.exit_code == 1
    assert said in result.output
    assert not list(tmp_path.iterdir())


def test_a_truncated_bag_is_repaired_beside_itself(good, tmp_path):
    file = tmp_path / "run.mcap"
    whole = next(good.glob("*.mcap")).read_bytes()
    file.write_bytes(whole[:-2000])
    result = run(repair.app, file, "--json", tmp_path / "repair.json")
    assert result.exit_code == 0, result.output
    assert "breaks off" in result.output
    found = json.loads((tmp_path / "repair.json").read_text())
    assert found["messages"] > 100
    assert len(read_run(tmp_path / "run_repaired").stamps) > 50
    assert run(repair.app, file).exit_code == 1  # it is there


def write_video(path: Path, count: int = 60, size: tuple[int, int] = (108, 72)) -> None:
    """20 Hz, a bright square that wanders to the right; size: (width, height)."""
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=20, macro_block_size=2, pix_fmt_in="bgr24")
    writer.send(None)
    for number in range(count):
        frame = np.full((size[1], size[0], 3), 60, np.uint8)
        frame[20:40, number : number + 20] = 230
        writer.send(frame)
    writer.close()


def write_poses(path: Path, twists: bool = False) -> None:
    """3 s along an arc at 50 Hz."""
    lines = ["t,x,y,yaw" + (",vx,vy,yaw_rate" if twists else "")]
    for number in range(150):
        t = 0.02 * number
        yaw = 0.3 * t
        row = [t, 0.8 / 0.3 * math.sin(yaw), 0.8 / 0.3 * (1 - math.cos(yaw)), yaw]
        lines.append(",".join(map(str, row + ([0.8, 0.0, 0.3] if twists else []))))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("twists", [False, True])
def test_a_video_with_poses_becomes_a_run_to_train_on(tmp_path, twists):
    write_video(tmp_path / "clip.mp4")
    write_poses(tmp_path / "poses.csv", twists)
    (tmp_path / "lens.yaml").write_text(
        "image_width: 216\nimage_height: 144\ndistortion_model: plumb_bob\n"
        "camera_matrix: {rows: 3, cols: 3, data: [200, 0, 108, 0, 200, 72, 0, 0, 1]}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [-0.2, 0.05, 0, 0, 0]}\n"
    )
    words = ("--odometry", tmp_path / "poses.csv", "--camera", tmp_path / "lens.yaml", "--rate", 10)
    words = (*words, "--instruction", "follow the path", "--goal", "3,1")
    result = run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag", *words)
    assert result.exit_code == 0, result.output
    made = read_run(tmp_path / "bag")
    assert len(made.stamps) == 30
    assert np.diff(made.stamps) == pytest.approx(0.1, abs=0.002)
    assert made.twists[5:-5] == pytest.approx(np.tile([0.8, 0.0, 0.3], (20, 1)), abs=0.01)
    assert made.poses[-1, 2] == pytest.approx(0.3 * 2.9, abs=0.01)
    assert made.instructions[0] == "follow the path"
    assert made.goal == (3.0, 1.0)
    assert made.frame(0)[30, 10].mean() > 180  # the square
    assert run(check.app, tmp_path / "bag").exit_code == 0
    with BagReader(tmp_path / "bag", typestore) as bag:
        lens = next(message for _, _, message in bag.messages({"/camera/front/camera_info"}))
    assert not lens.d.any()
    assert (lens.width, lens.height) == (108, 72)


@pytest.mark.parametrize("rate", [None, 10])
def test_every_picture_of_a_video_has_its_own_time(tmp_path, rate):
    """The square's place says which frame it is: one a twentieth of a second."""
    write_video(tmp_path / "clip.mp4")
    words = ["--odometry", tmp_path / "poses.csv", *(["--rate", rate] if rate else [])]
    write_poses(tmp_path / "poses.csv")
    assert run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag", *words).exit_code == 0
    made = read_run(tmp_path / "bag")
    lefts = [int(np.argmax(made.frame(index)[30].mean(axis=1) > 150)) for index in range(len(made.stamps))]
    assert lefts[-1] > 50
    assert made.stamps - made.stamps[0] == pytest.approx(np.array(lefts) / 20.0, abs=0.03)


def test_a_video_alone_is_a_bag_of_pictures(tmp_path):
    write_video(tmp_path / "clip.mp4", count=10)
    assert run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag", "--width", 54).exit_code == 0
    with BagReader(tmp_path / "bag", typestore) as bag:
        assert {channel.topic: channel.count for channel in bag.channels} == {IMAGE: 10}


@pytest.mark.parametrize(
    ("poses", "said"),
    [
        ("x,y\n0,0\n", "t,x,y,yaw among them"),
        ("t,x,y,yaw\n0,0,0,0\n1,nan,0,0\n", "line 3"),
        ("t,x,y,yaw\n0,0,0,0\n1,0\n", "line 3"),
        ("t,x,y,yaw\n1,0,0,0\n0,0,0,0\n", "t must grow"),
        ("t,x,y,yaw\n1,0,0,0\n", "two at the least"),
    ],
)
def test_poses_that_are_wrong_say_where_and_leave_no_bag(tmp_path, poses, said):
    write_video(tmp_path / "clip.mp4", count=5)
    (tmp_path / "poses.csv").write_text(poses)
    result = run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag", "--odometry", tmp_path / "poses.csv")
    assert result.exit_code == 1
    assert said in result.output
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        ("width: 100\n", "no calibration"),
        ("K: [0,0,0,0,0,0,0,0,1]\nwidth: 108\nheight: 72\n", "focal lengths above 0"),
        (
            "K: [50,0,54,0,50,36,0,0,1]\nwidth: 108\nheight: 108\n",
            "the video is 108 x 72, the calibration for 108 x 108",
        ),
    ],
)
def test_a_calibration_that_does_not_fit_says_why(tmp_path, lens, said):
    write_video(tmp_path / "clip.mp4", count=5)
    (tmp_path / "lens.yaml").write_text(lens)
    result = run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag", "--camera", tmp_path / "lens.yaml")
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


def test_what_is_no_video_says_so(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    result = run(from_video.app, tmp_path / "clip.mp4", tmp_path / "bag")
    assert result.exit_code == 1
    assert "no frame that can be decoded" in result.output
    assert not (tmp_path / "bag").exists()
