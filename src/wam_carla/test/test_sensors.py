"""Pictures go with the tick of their frame, whatever the threads do."""

from __future__ import annotations

import threading
import time

import numpy as np

from wam_carla.sensors import Collision, LaneInvasion, Picture, SensorInbox

IMAGE = np.zeros((1, 1, 3), np.uint8)


def inbox(**periods: int) -> SensorInbox:
    return SensorInbox(periods or {"front": 1})


def test_a_picture_of_the_tick_is_given():
    box = inbox()
    box.put_picture("front", Picture(7, IMAGE))
    assert box.collect(7, 0.0)[0]["front"].frame == 7
    assert not box.dropped and not box.missed


def test_one_of_an_earlier_tick_is_dropped_and_counted():
    box = inbox()
    box.put_picture("front", Picture(6, IMAGE))
    assert box.collect(7, 0.0)[0] == {}
    assert box.dropped == {"front": 1} and box.missed == {"front": 1}


def test_one_of_a_later_tick_waits_for_it():
    box = inbox()
    box.put_picture("front", Picture(8, IMAGE))
    assert box.collect(7, 0.0)[0] == {}
    assert set(box.collect(8, 0.0)[0]) == {"front"}


def test_a_picture_that_comes_in_time_is_waited_for():
    box = inbox()
    threading.Timer(0.1, box.put_picture, ("front", Picture(1, IMAGE))).start()
    assert set(box.collect(1, 5.0)[0]) == {"front"}


def test_a_camera_that_skips_ticks_holds_none_of_them_up():
    box = inbox(front=4)
    box.put_picture("front", Picture(1, IMAGE))
    box.collect(1, 5.0)
    began = time.monotonic()
    for frame in (2, 3, 4):
        assert box.collect(frame, 5.0)[0] == {}
    assert time.monotonic() - began < 1.0
    assert not box.missed


def test_all_cameras_of_a_tick_come_together():
    box = inbox(front=1, left=1)
    box.put_picture("front", Picture(1, IMAGE))
    threading.Timer(0.1, box.put_picture, ("left", Picture(1, IMAGE))).start()
    assert set(box.collect(1, 5.0)[0]) == {"front", "left"}


def test_a_camera_that_is_dead_is_waited_for_three_times_and_again_once_it_sends():
    box = inbox()
    for frame in (1, 2, 3):
        box.collect(frame, 0.01)
    began = time.monotonic()
    for frame in range(4, 10):
        box.collect(frame, 5.0)
    assert time.monotonic() - began < 1.0
    assert box.missed == {"front": 3}
    box.put_picture("front", Picture(9, IMAGE))
    box.collect(10, 0.01)
    threading.Timer(0.1, box.put_picture, ("front", Picture(11, IMAGE))).start()
    assert set(box.collect(11, 5.0)[0]) == {"front"}


def test_events_are_kept_in_order_and_given_once():
    box = inbox()
    events = [Collision(0.1, "static.prop", 3, (1.0, 0.0, 0.0)), LaneInvasion(0.2, ("Solid",))]
    for event in events:
        box.put_event(event)
    assert box.collect(1, 0.0)[1] == events
    assert box.collect(2, 0.0)[1] == []
