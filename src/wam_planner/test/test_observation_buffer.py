"""From what arrives to an observation, or to the reason why there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.se2 import advance
from wam_planner.observation_buffer import BufferConfig, ObservationBuffer, Verdict
from wam_planner.odometry_history import Fault

TWIST = (0.8, 0.0, 0.4)
START = 100.0


def picture(value: int, shape=(4, 6, 3)) -> np.ndarray:
    return np.full(shape, value % 256, dtype=np.uint8)


class Feed:
    """A camera at 10 Hz and odometry at 50 Hz from a robot on a circle."""

    def __init__(self, **config) -> None:
        self.buffer = ObservationBuffer(BufferConfig(**{"cameras": ("front",), **config}))
        self.tick = 0

    @property
    def now(self) -> float:
        return START + self.tick * 0.02

    def run(self, seconds: float, *, frames: bool = True, odometry: bool = True, frozen: bool = False) -> Feed:
        for _ in range(round(seconds / 0.02)):
            self.tick += 1
            if odometry:
                self.odometry(self.now)
            if frames and self.tick % 5 == 0:
                value = 7 if frozen else self.tick
                for camera in self.cameras:
                    self.frame(self.now, value, camera)
        return self

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.buffer._views)

    def odometry(self, stamp: float) -> Fault | None:
        return self.buffer.add_odometry(self.now, stamp, advance(TWIST, stamp - START), TWIST)

    def frame(self, stamp: float, value: int, camera: str = "front", shape=(4, 6, 3)) -> Fault | None:
        image = picture(value, shape)
        return self.buffer.add_frame(camera, self.now, stamp, image, image.tobytes())

    def look(self, goal=None):
        return self.buffer.observe(self.now, "go on", goal)


def test_a_fresh_pair_becomes_an_observation_at_the_stamp_of_the_frame():
    feed = Feed().run(1.0).run(0.06, frames=False)
    look = feed.look()
    assert (look.verdict, look.detail) == (Verdict.FRESH, "")
    assert look.frame_age == pytest.approx(0.06)
    observation = look.observation
    assert observation.stamp == pytest.approx(START + 1.0)
    assert observation.frames.shape == (1, 1, 4, 6, 3)
    assert observation.frames[0, 0, 0, 0, 0] == 50
    assert observation.instruction == "go on"
    assert observation.goal is None
    assert (observation.ego.vx, observation.ego.yaw_rate) == pytest.approx((0.8, 0.4))
    assert look.pose == pytest.approx(advance(TWIST, 1.0))


def test_the_goal_is_given_in_base_link_at_the_stamp_of_the_frame():
    feed = Feed().run(1.0).run(0.1, frames=False)
    x, y, yaw = advance(TWIST, 1.0)
    goal = (x + 3.0 * math.cos(yaw) - 1.0 * math.sin(yaw), y + 3.0 * math.sin(yaw) + 1.0 * math.cos(yaw))
    assert feed.look(goal).observation.goal == pytest.approx((3.0, 1.0))


@pytest.mark.parametrize(("frames", "odometry", "what"), [(False, True, "front"), (True, False, "odometry")])
def test_it_waits_for_what_never_came_and_names_it(frames, odometry, what):
    look = Feed().run(0.5, frames=frames, odometry=odometry).look()
    assert look.verdict is Verdict.WAITING
    assert what in look.detail
    assert look.observation is None


def test_a_frame_older_than_the_limit_is_stale():
    feed = Feed().run(1.0).run(0.28, frames=False)
    assert feed.look().verdict is Verdict.FRESH
    assert feed.run(0.04, frames=False).look().verdict is Verdict.STALE


def test_the_fifth_equal_picture_is_frozen_and_the_first_new_one_is_not():
    feed = Feed().run(1.0)
    feed.run(0.4, frozen=True)
    assert feed.look().verdict is Verdict.FRESH
    feed.run(0.1, frozen=True)
    look = feed.look()
    assert look.verdict is Verdict.FROZEN
    assert "5 frames" in look.detail
    assert feed.run(0.1).look().verdict is Verdict.FRESH


def test_one_bit_of_noise_is_a_live_camera():
    feed = Feed().run(1.0)
    for i in range(10):
        feed.run(0.08, frames=False)
        feed.tick += 1
        feed.odometry(feed.now)
        image = picture(7)
        image[0, 0, 0] = i % 2
        feed.buffer.add_frame("front", feed.now, feed.now, image, image.tobytes())
        assert feed.look().verdict is Verdict.FRESH


def test_odometry_that_stops_is_unsynced():
    assert Feed().run(1.0).run(0.1, odometry=False).look().verdict is Verdict.FRESH
    assert Feed().run(1.0).run(0.2, odometry=False).look().verdict is Verdict.UNSYNCED


def test_context_frames_are_the_nearest_to_their_instants_oldest_first():
    feed = Feed(context_frames=3, context_dt=0.2)
    assert feed.run(0.3).look().verdict is Verdict.WAITING
    observation = feed.run(0.7).look().observation
    np.testing.assert_allclose(observation.stamps - START, [0.6, 0.8, 1.0])
    assert [int(frame[0, 0, 0, 0]) for frame in observation.frames] == [30, 40, 50]


def test_a_frame_that_was_read_before_is_taken_again_rather_than_one_a_little_nearer():
    feed = Feed(context_frames=2, context_dt=0.5).run(1.0)
    first = feed.look().observation
    feed.buffer.mark_read(first)
    second = feed.run(0.6).look().observation
    assert second.stamps[0] == pytest.approx(first.stamps[-1])  # 0.1 s from where it should be, and encoded already
    feed.buffer.mark_read(second)
    third = feed.run(0.3).look().observation
    assert third.stamps[0] == pytest.approx(feed.now - 0.5)  # nothing that was read is near
    feed.buffer.clear()
    feed.run(1.0)
    assert feed.look().observation.stamps[0] == pytest.approx(feed.now - 0.5)


def test_a_gap_in_the_context_waits_until_it_is_filled():
    feed = Feed(context_frames=3, context_dt=0.2).run(1.0).run(0.5, frames=False).run(0.1)
    look = feed.look()
    assert look.verdict is Verdict.WAITING
    assert "context" in look.detail
    assert feed.run(0.4).look().verdict is Verdict.FRESH


def test_two_cameras_are_paired_by_stamp():
    feed = Feed(cameras=("front", "left"), sync_tolerance=0.05).run(1.0)
    assert feed.look().observation.frames.shape == (1, 2, 4, 6, 3)
    feed.tick += 4
    feed.odometry(feed.now)
    feed.frame(feed.now, 1, "front")
    look = feed.look()
    assert look.verdict is Verdict.UNSYNCED
    assert "apart" in look.detail


def test_cameras_of_different_sizes_cannot_be_one_observation():
    feed = Feed(cameras=("front", "left")).run(1.0)
    feed.tick += 1
    feed.odometry(feed.now)
    feed.frame(feed.now, 1, "front", shape=(8, 6, 3))
    assert "different sizes" in feed.look().detail


def test_a_camera_that_changes_its_size_starts_its_context_anew():
    feed = Feed(context_frames=2, context_dt=0.1).run(1.0)
    feed.tick += 5
    feed.odometry(feed.now)
    assert feed.frame(feed.now, 1, shape=(8, 6, 3)) is None
    assert feed.look().verdict is Verdict.WAITING


def test_a_frame_from_the_future_or_out_of_order_is_not_taken():
    feed = Feed().run(1.0)
    assert feed.frame(feed.now + 0.5, 1) is Fault.FUTURE
    assert feed.frame(math.nan, 1) is Fault.FUTURE
    assert feed.frame(feed.now - 0.05, 1) is Fault.OUT_OF_ORDER
    assert feed.frame(feed.now, 1) is Fault.OUT_OF_ORDER
    assert feed.look().observation.stamp == pytest.approx(feed.now)


def test_a_camera_that_begins_anew_drops_the_old_pictures():
    feed = Feed().run(3.0)
    assert feed.frame(START + 1.0, 1) is None
    assert feed.look().verdict is Verdict.STALE


def test_a_clock_that_goes_back_starts_over():
    feed = Feed().run(3.0)
    look = feed.buffer.observe(START + 1.0, "", None)
    assert (look.verdict, math.isnan(look.frame_age)) == (Verdict.WAITING, True)
    assert "image" in feed.look().detail


@given(st.lists(st.sampled_from(["frame", "odometry", "pause", "old frame", "future frame"]), max_size=60))
def test_only_fresh_carries_an_observation_and_it_is_never_old(events):
    feed = Feed()
    for event in events:
        feed.tick += 10 if event == "pause" else 1
        if event == "odometry":
            feed.odometry(feed.now)
        elif event != "pause":
            feed.frame(feed.now + {"frame": 0.0, "old frame": -0.5, "future frame": 0.5}[event], feed.tick)
        look = feed.look()
        assert (look.observation is not None) == (look.verdict is Verdict.FRESH)
        if look.observation is not None:
            assert 0.0 <= feed.now - look.observation.stamp <= 0.3 + 1e-9


@pytest.mark.parametrize(
    "settings",
    [
        {"cameras": ()},
        {"context_frames": 0},
        {"frozen_frames": 1},
        {"max_frame_age": math.inf},
        {"sync_tolerance": 0.0},
        {"future_tolerance": -1.0},
    ],
)
def test_settings_that_would_let_anything_pass_are_refused(settings):
    with pytest.raises(ValueError, match=r"must|needs"):
        BufferConfig(**{"cameras": ("front",), **settings})
