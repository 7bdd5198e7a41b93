"""Latency statistics over a window."""

from __future__ import annotations

import math

import pytest

from wam_planner.latency import LatencyStatistics


def test_before_the_first_value_everything_is_absent():
    statistics = LatencyStatistics()
    assert math.isnan(statistics.last)
    assert math.isnan(statistics.percentile(50))


def test_only_the_window_counts():
    statistics = LatencyStatistics(window=100)
    for value in [9.0] * 50 + [i / 100 for i in range(101)]:
        statistics.add(value)
    assert statistics.last == 1.0
    assert statistics.percentile(50) == pytest.approx(0.505)
    assert statistics.percentile(95) == pytest.approx(0.9505, abs=1e-3)
    statistics.clear()
    assert math.isnan(statistics.last)
