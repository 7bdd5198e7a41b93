"""What every yard promises: the same for a seed, a way through, nothing of `unseen` in `train`."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_sim import objects
from wam_sim.navigation import HARD_CLEARANCE
from wam_sim.objects import Part, Thing
from wam_sim.worlds import GOAL_DISTANCE, SPLITS, make_world

seeds = st.integers(0, 100_000)
splits = st.sampled_from(SPLITS)


@settings(max_examples=5, deadline=None)
@given(splits, seeds)
def test_a_world_is_the_same_every_time_it_is_made(split: str, seed: int) -> None:
    first, second = make_world(split, seed), make_world(split, seed)
    assert first.things == second.things and first.goal == second.goal and first.appearance == second.appearance
    assert np.array_equal(first.field.cost, second.field.cost)


@settings(max_examples=8, deadline=None)
@given(splits, seeds)
def test_every_world_has_a_start_a_goal_and_a_way(split: str, seed: int) -> None:
    world = make_world(split, seed)
    assert GOAL_DISTANCE[0] <= np.hypot(*world.goal) <= GOAL_DISTANCE[1]
    assert np.hypot(*world.goal) * 0.95 <= world.field.path_length((0.0, 0.0)) < 20.0
    ends = np.array([[0.0, 0.0], world.goal])
    assert (world.field.clearance_at(ends) > HARD_CLEARANCE).all()


@pytest.mark.once
def test_unseen_kinds_textures_and_night_never_occur_in_train_or_val() -> None:
    unseen_kinds = {maker.__name__ for maker in objects.UNSEEN} | {"person"}
    patterns: dict[str, set[str]] = {}
    for split in SPLITS:
        worlds = [make_world(split, seed) for seed in range(24)]
        kinds = {thing.kind for world in worlds for thing in world.things} - {"wall", "building"}
        patterns[split] = {getattr(w.appearance, part)[0] for w in worlds for part in ("floor", "wall", "panel")}
        assert (kinds <= unseen_kinds) if split == "unseen" else not (kinds & unseen_kinds)
        assert any(world.appearance.night for world in worlds) == (split == "unseen")
        assert {world.kind for world in worlds} == {"indoor", "outdoor"}
        trained_only = {maker.__name__ for makers in objects.TRAINING.values() for maker in makers}
        assert bool(kinds & trained_only) == (split in objects.TRAINING)
    unseen = patterns.pop("unseen")
    assert not any(unseen & known for known in patterns.values())


def test_splits_share_no_world() -> None:
    assert make_world("train", 5).things != make_world("val", 5).things


@pytest.mark.parametrize(("split", "seed", "message"), [("test", 0, "choose one of"), ("train", -1, "0 or more")])
def test_a_wrong_split_or_seed_is_refused(split: str, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_world(split, seed)


def test_clearance_is_the_distance_to_the_outline_and_cost_grows_away_from_the_goal() -> None:
    world = make_world("val", 3)
    thing = next(thing for thing in world.things if thing.kind not in ("wall", "building"))
    outline = thing.footprint()
    middle = np.array([[outline.centroid.x, outline.centroid.y]])
    assert world.field.clearance_at(middle)[0] < 0.1
    near, far = np.array(world.goal) * 0.97, np.array(world.goal) * 0.0
    assert world.field.cost_at(near[None])[0] < world.field.cost_at(far[None])[0]


def test_what_hangs_above_the_robot_cannot_be_touched() -> None:
    shade = Thing("shade", (Part("box", (1, 1, 0.1), (0, 0, 2.0), (1, 1, 1)),), (0, 0, 0))
    post = Thing("post", (Part("cylinder", (0.1, 0.5), (0, 0, 0.5), (1, 1, 1)),), (2, 0, 0))
    assert shade.footprint().is_empty
    assert post.footprint().area == pytest.approx(np.pi * 0.01, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000))
def test_nothing_passes_beneath_a_span_though_the_ground_is_seen_there(seed: int) -> None:
    beam, *others = objects.span(np.random.default_rng(seed))
    assert 0.12 < beam.position[2] - beam.size[2] < objects.REACHABLE_HEIGHT
    outline = Thing("span", (beam, *others), (0, 0, 0)).footprint()
    length = beam.size[0]
    assert outline.contains(shapely.LineString([(-0.9 * length, 0), (0.9 * length, 0)]))
    supports = shapely.union_all([part.footprint() for part in others if part.position[2] < beam.position[2]])
    assert beam.footprint().intersection(supports).area < 0.7 * beam.footprint().area
