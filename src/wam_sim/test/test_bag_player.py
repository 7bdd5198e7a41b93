"""What a bag is played as, and when."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from bags import IMAGE, write_bag
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from wam_models.data.bag_reader import BagError, BagReader, Channel
from wam_models.data.topics import Topics, guess_topics
from wam_models.messages import seconds
from wam_sim.bag_player.player import LONGEST_GAP, TICK, Pace, Tick, lap_ticks, ticks
from wam_sim.bag_player.tape import Route, Sample, Tape, make_routes
from wam_sim.run_recorder import bag_types

ROOT = Path(__file__).parents[3]
ROUTE = Route("/odom", "odom", "nav_msgs/msg/Odometry", "odometry")
MOMENTS = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60).map(sorted)


def samples(moments: list[float]) -> list[Sample]:
    return [Sample(moment, ROUTE, bytes([number]), None) for number, moment in enumerate(moments)]


def played(path: Path, start: float = 0.0, without: tuple[str, ...] = ()) -> tuple[list[Sample], Tape]:
    """One lap of a bag."""
    with BagReader(path, bag_types) as bag:
        routes = make_routes(guess_topics(bag.channels), bag.channels, without)
        tape = Tape(bag, routes, bag_types(), start)
        return list(tape.lap()), tape


def of(found: list[Sample], topic: str) -> list[Sample]:
    return [sample for sample in found if sample.route.topic == topic]


# When: ticks and their pace.


@given(MOMENTS)
def test_every_message_is_played_once_in_order_and_no_earlier_than_it_was(moments):
    given_samples = samples(moments)
    found = list(lap_ticks(given_samples))
    assert [sample for tick in found for sample in tick.samples] == given_samples
    for tick in found:
        assert all(tick.clock - 1.001 * TICK < sample.moment <= tick.clock for sample in tick.samples)


@given(MOMENTS)
def test_the_clock_goes_on_by_ticks_and_jumps_only_over_a_gap(moments):
    found = list(lap_ticks(samples(moments)))
    assert found[0].jumps and found[0].clock == moments[0]
    for before, tick in zip(found, found[1:]):
        step = tick.clock - before.clock
        assert step > LONGEST_GAP - TICK if tick.jumps else step == pytest.approx(TICK)


@given(MOMENTS, st.integers(2, 4))
def test_a_loop_plays_the_same_again_and_only_there_the_clock_goes_back(moments, laps):
    lap = list(lap_ticks(samples(moments)))
    found = list(islice(ticks(lambda: samples(moments), loop=True), laps * len(lap)))
    assert found == laps * lap
    backwards = [i for i, (a, b) in enumerate(zip(found, found[1:]), 1) if b.clock < a.clock]
    assert set(backwards) <= {n * len(lap) for n in range(1, laps)}
    assert list(ticks(lambda: samples(moments), loop=False)) == lap


def test_a_recording_whose_clock_was_set_goes_on_where_it_then_is():
    found = list(lap_ticks(samples([5.0, 5.005, 1000.0, 1000.005, 3.0])))
    assert [tick.clock for tick in found if tick.jumps] == [5.0, 1000.0, 3.0]
    assert sum(len(tick.samples) for tick in found) == 5


@given(MOMENTS, st.floats(0.1, 5.0))
def test_a_tick_is_due_when_the_recording_has_come_so_far(moments, rate):
    pace, now = Pace(rate), 1000.0
    begun: tuple[float, float] | None = None
    for tick in lap_ticks(samples(moments)):
        if tick.jumps:
            begun = now, tick.clock
        now = pace.due(tick, now)
        assert now == pytest.approx(begun[0] + (tick.clock - begun[1]) / rate)
    assert pace.held == 0.0


def test_time_waits_for_a_player_that_was_held_up():
    pace = Pace(1.0)
    assert pace.due(Tick(5.0, (), jumps=True), 100.0) == 100.0
    assert pace.due(Tick(5.01, ()), 100.05) == pytest.approx(100.01)  # a little late is made up for
    assert pace.due(Tick(5.02, ()), 102.02) == 102.02
    assert pace.due(Tick(5.03, ()), 102.02) == pytest.approx(102.03)
    assert pace.held == pytest.approx(2.0)


# What: a bag's topics under this stack's names.


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("raw", [False, True])
def test_a_bag_is_played_under_this_stacks_names_byte_by_byte(tmp_path, storage, raw):
    names = {"/odom": "/zed/odom", "/instruction": "/said/instruction", IMAGE: "/zed/rgb" if raw else "/zed/jpg"}
    write_bag(tmp_path / "bag", frames=6, storage=storage, raw=raw, names=names, scan=True)
    found, tape = played(tmp_path / "bag")
    picture = f"camera/front/image{'' if raw else '/compressed'}"
    wanted = {picture, "camera/front/camera_info", "odom", "instruction", "goal"}
    assert {route.topic for route in tape.routes} == wanted
    counts = {topic: len(of(found, topic)) for topic in wanted}
    assert counts == {picture: 6, "camera/front/camera_info": 6, "odom": 6, "instruction": 1, "goal": 1}
    with BagReader(tmp_path / "bag") as bag:
        recorded = [data for connection, _, data in bag.raw_messages() if connection.topic == names[IMAGE]]
    assert [sample.data for sample in of(found, picture)] == recorded
    assert not len(tape.findings)


def test_what_the_robot_did_then_is_played_apart_from_what_the_nodes_do_now():
    kinds = {
        "/camera/front/image/compressed": "sensor_msgs/msg/CompressedImage",
        "/trajectory": "wam_msgs/msg/Trajectory",
        "/planned_path": "nav_msgs/msg/Path",
        "/recorded/planned_path": "nav_msgs/msg/Path",
        "/cmd_vel": "geometry_msgs/msg/TwistStamped",
        "/cmd_vel_nav": "geometry_msgs/msg/TwistStamped",
        "/planner/status": "wam_msgs/msg/PlannerStatus",
    }
    channels = [Channel(topic, kind, 1, True) for topic, kind in kinds.items()]
    routes = {route.source: route.topic for route in make_routes(guess_topics(channels), channels)}
    assert routes == {
        "/camera/front/image/compressed": "camera/front/image/compressed",
        "/trajectory": "recorded/trajectory",
        "/planned_path": "recorded/planned_path",
        "/cmd_vel": "recorded/cmd_vel",
        "/cmd_vel_nav": "recorded/cmd_vel_nav",
    }


def test_what_somebody_else_says_is_left_out(tmp_path):
    write_bag(tmp_path / "bag", frames=6)
    found, _ = played(tmp_path / "bag", without=("instruction", "goal"))
    assert not of(found, "instruction") and not of(found, "goal") and of(found, "odom")


def test_from_a_later_start_what_was_told_before_comes_first(tmp_path):
    write_bag(tmp_path / "bag", frames=12, told={0: "go", 2: "left", 9: "right"})
    found, tape = played(tmp_path / "bag", start=1.0)
    assert [sample.message.data for sample in of(found, "instruction")] == ["left", "right"]
    assert {sample.route.topic for sample in found[:2]} == {"instruction", "goal"}
    pictures = of(found, "camera/front/image/compressed")
    assert [seconds(each.message.header.stamp) for each in pictures] == pytest.approx(1.0 + 0.25 * np.arange(8))
    assert all(sample.moment == pytest.approx(1.0) for sample in found[:2])
    assert tape.seconds == pytest.approx(1.75)


def test_a_lap_can_be_played_again(tmp_path):
    write_bag(tmp_path / "bag", frames=6)
    with BagReader(tmp_path / "bag", bag_types) as bag:
        tape = Tape(bag, make_routes(guess_topics(bag.channels), bag.channels), bag_types())
        assert [sample.data for sample in tape.lap()] == [sample.data for sample in tape.lap()]


def test_stamps_of_another_clock_are_the_clock_and_nothing_told_before_the_first_is_lost(tmp_path):
    write_bag(tmp_path / "bag", frames=6, stamp_offset=1000.0)
    found, tape = played(tmp_path / "bag")
    assert [sample.moment for sample in of(found, "odom")] == pytest.approx(1000.0 + 0.25 * np.arange(6))
    assert all(math.isfinite(sample.moment) for sample in found)
    assert len(of(found, "instruction")) == 1 and "two_clocks" in tape.findings


def test_a_start_behind_the_end_says_how_long_the_bag_is(tmp_path):
    write_bag(tmp_path / "bag", frames=5)
    with pytest.raises(BagError, match=r"neither pictures nor odometry from 60 s on: it is 1.0 s long"):
        played(tmp_path / "bag", start=60.0)


def rewritten(path: Path, data_of: Callable[[str, int, bytes], bytes], extra: Callable[[Writer], None]) -> Path:
    """A bag whose messages are what data_of makes of topic, ns and data, and extra adds to it."""
    write_bag(path / "whole", frames=3)
    with BagReader(path / "whole") as bag, Writer(path / "bag", version=9) as writer:
        topics = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=bag_types()) for c in bag.connections}
        for connection, logged, data in bag.raw_messages():
            writer.write(topics[connection.topic], logged, data_of(connection.topic, logged, bytes(data)))
        extra(writer)
    return path / "bag"


def test_a_message_that_no_node_could_read_is_left_out_and_counted(tmp_path):
    """A node that gets half a message ends."""

    def halved(topic: str, logged: int, data: bytes) -> bytes:
        return data[:50] if topic == "/odom" and logged == 0 else data

    found, tape = played(rewritten(tmp_path, halved, lambda writer: None))
    assert len(of(found, "odom")) == 2 and len(of(found, "camera/front/image/compressed")) == 3
    (finding,) = tape.findings
    assert finding.kind == "unreadable_message" and finding.count == 1


def test_a_plan_of_another_make_of_message_is_left_out_and_said(tmp_path):
    kind = "wam_msgs/msg/Trajectory"
    old = get_typestore(Stores.ROS2_JAZZY)
    old.register(get_types_from_msg("std_msgs/Header header\nfloat32 speed\n", kind))

    def add_plan(writer: Writer) -> None:
        t = old.types
        header = t["std_msgs/msg/Header"](t["builtin_interfaces/msg/Time"](0, 0), "odom")
        writer.write(
            writer.add_connection("/trajectory", kind, typestore=old), 0, old.serialize_cdr(t[kind](header, 1.0), kind)
        )

    found, tape = played(rewritten(tmp_path, lambda topic, logged, data: data, add_plan))
    assert not of(found, "recorded/trajectory") and of(found, "odom")
    (finding,) = tape.findings
    assert finding.kind == "other_type" and "/trajectory" in finding.first


def test_the_plans_of_a_bag_are_read_as_the_graph_sends_them():
    """The copy of the definitions that bags are written with is that of the messages as they are built."""
    types = get_typestore(Stores.ROS2_JAZZY)
    for name in ("TrajectoryPoint", "Trajectory"):
        text = (ROOT / "src" / "wam_msgs" / "msg" / f"{name}.msg").read_text()
        types.register(get_types_from_msg(text, f"wam_msgs/msg/{name}"))
    kind = "wam_msgs/msg/Trajectory"
    assert bag_types().hash_rihs01(kind) == types.hash_rihs01(kind)


def test_a_topic_that_the_bag_lacks_makes_no_route():
    channels = [Channel("/cam/image", "sensor_msgs/msg/Image", 1, True)]
    (route,) = make_routes(Topics({"left": "/cam/image"}), channels)
    assert route == Route("/cam/image", "camera/left/image", "sensor_msgs/msg/Image", "camera")


def test_the_readme_shows_the_topics(tmp_path):
    section = (ROOT / "src" / "wam_sim" / "README.md").read_text()
    rows = set(re.findall(r"^\| `([\w/]+)` \| (\w+)/(\w+) \|", section, re.M))
    write_bag(tmp_path / "bag", frames=3)
    _, tape = played(tmp_path / "bag")
    shown = {(name.replace("NAME", "front"), f"{package}/msg/{kind}") for name, package, kind in rows}
    assert {(route.topic, route.kind) for route in tape.routes} <= shown
