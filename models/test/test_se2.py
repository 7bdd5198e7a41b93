"""The planar motions undo each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.se2 import advance, compose, constant_twist, relative, wrap

distance = st.floats(-3.0, 3.0)
turn = st.floats(-2.5, 2.5)
pose = st.tuples(distance, distance, turn)


@given(pose, pose)
def test_relative_undoes_compose(a, b):
    assert relative(a, compose(a, b)) == pytest.approx((b[0], b[1], wrap(b[2])), abs=1e-9)


@given(pose, st.floats(0.05, 2.0))
def test_a_constant_twist_reaches_its_pose(target, seconds):
    assert advance(constant_twist(target, seconds), seconds) == pytest.approx(target, abs=1e-9)


def test_wrap_sends_pi_to_minus_pi():
    assert wrap(math.pi) == -math.pi
    assert wrap(-math.pi) == -math.pi


def test_a_quarter_turn_on_a_unit_circle():
    assert advance((math.pi / 2, 0.0, math.pi / 2), 1.0) == pytest.approx((1.0, 1.0, math.pi / 2))
