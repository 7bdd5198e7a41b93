"""Plans pay for coming nearer to what the lidar met than they need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bags import write_bag
from hypothesis import given
from hypothesis import strategies as st
from nano import nano_config, nano_model

from wam_models.data.bags import Scan
from wam_models.data.latent_cache import TrainingSet, open_latents
from wam_models.data.store import SECTORS, find_bags, open_store
from wam_models.preprocessing import Normaliser
from wam_models.training.batch import plan_shortfall, take_batch
from wam_models.training.clearance import FAR, obstacles, shortfall
from wam_models.training.recipe import Clearance

BODY = Clearance(weight=1.0, margin=0.2, discs=[0.23, 0.0, -0.23], radius=0.21, lidar=0.33)
WIDE = replace(BODY, margin=3.0)
AHEAD = torch.cat([torch.linspace(0.1, 1.6, 16).reshape(1, 16, 1), torch.zeros(1, 16, 2)], dim=-1)


def _point(x: float, y: float) -> torch.Tensor:
    """One obstacle among those that are not there."""
    return torch.tensor([[[x, y], [FAR, FAR], [FAR, FAR]]])


def _aside(lateral: float) -> torch.Tensor:
    return AHEAD + torch.tensor([0.0, lateral, 0.0])


def test_a_plan_through_an_obstacle_is_pushed_to_the_nearer_side() -> None:
    planned = AHEAD.clone().requires_grad_()
    shortfall(planned, _aside(0.8), _point(1.2, 0.05), BODY).backward()
    assert planned.grad is not None
    beside = planned.grad[0, 7:16, 1]
    assert (beside >= 0).all() and beside.sum() > 0.1, "away from 5 cm to the left is to the right"


def test_far_from_everything_nothing_is_asked() -> None:
    assert shortfall(AHEAD, _aside(0.8), _point(FAR, FAR), BODY) == 0
    assert shortfall(AHEAD, _aside(0.8), _point(1.2, BODY.radius + BODY.margin + 0.01), BODY) == 0


@given(x=st.floats(0.5, 2.0), y=st.floats(-0.6, 0.6), lateral=st.floats(-0.5, 0.5))
def test_no_plan_has_to_keep_farther_away_than_the_teacher(x: float, y: float, lateral: float) -> None:
    taught = _aside(lateral)
    assert shortfall(taught, taught, _point(x, y), BODY) == 0


@given(y=st.floats(-0.6, 0.6), lateral=st.floats(-0.5, 0.5), yaw=st.floats(-0.8, 0.8))
def test_it_is_the_same_seen_in_a_mirror(y: float, lateral: float, yaw: float) -> None:
    planned, flip = _aside(lateral) + torch.tensor([0.0, 0.0, yaw]), torch.tensor([1.0, -1.0, -1.0])
    here = shortfall(planned, _aside(0.8), _point(1.0, y), BODY)
    there = shortfall(planned * flip, _aside(0.8) * flip, _point(1.0, -y), BODY)
    assert torch.isclose(here, there, atol=1e-6)


def test_turning_on_the_spot_counts_the_body_not_its_middle() -> None:
    turned = torch.zeros(1, 8, 3)
    turned[0, :, 2] = torch.linspace(0.2, 1.57, 8)
    beside = _point(0.0, 0.46)
    assert shortfall(torch.zeros(1, 8, 3), _aside(-0.8)[:, :8], beside, BODY) == 0
    assert shortfall(turned, _aside(-0.8)[:, :8], beside, BODY) > 0


def test_points_of_other_frames_are_where_they_stand_now(tmp_path: Path) -> None:
    write_bag(tmp_path / "run", frames=12, scan=True)
    store = open_store(find_bags([tmp_path]), tmp_path / "cache", nano_config(), False)
    found = obstacles(store, 0.33).astype(float)
    # Frame 0 sees a wall at 2 m on its left half; at frame 4 it is where the robot's motion has left it.
    first = found[0][found[0, :, 0] < FAR]
    assert np.allclose(np.hypot(first[:, 0] - 0.33, first[:, 1])[:1], 2.0, atol=0.02) and (first[:, 1] > 0).all()
    x, y, yaw = store.poses[4] - store.poses[0]
    seen = first[0] - (x, y)
    moved = np.array([np.cos(yaw) * seen[0] + np.sin(yaw) * seen[1], -np.sin(yaw) * seen[0] + np.cos(yaw) * seen[1]])
    assert np.hypot(*(found[4] - moved).T).min() < 0.05
    assert np.array_equal(obstacles(store, 0.33), found.astype(np.float16))


def test_a_bag_without_a_scan_asks_for_nothing(tmp_path: Path) -> None:
    write_bag(tmp_path / "run", frames=4)
    store = open_store(find_bags([tmp_path]), tmp_path / "cache", nano_config(), False)
    assert (obstacles(store, 0.33) == FAR).all()


@given(beams=st.integers(2, 700), seed=st.integers(0, 99))
def test_every_sector_keeps_the_nearest_of_its_beams(beams: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranges = rng.uniform(0.5, 10.0, (3, beams))
    ranges[rng.random(ranges.shape) < 0.3] = np.inf
    ranges[rng.random(ranges.shape) < 0.1] = np.nan
    met = Scan(ranges, np.linspace(-1.0, 1.0, beams), 1.0).met(SECTORS)
    kept = np.hypot(met[..., 0], met[..., 1])
    for row, points in zip(ranges, kept, strict=True):
        real = row[np.isfinite(row)]
        assert np.isfinite(points).sum() <= len(real)
        if len(real):
            assert np.isclose(np.nanmin(points), real.min())
        if beams <= SECTORS // 2:
            assert np.isfinite(points).sum() == len(real)


def test_the_weight_of_a_far_margin_is_felt() -> None:
    near, wide = BODY, replace(BODY, margin=0.6)
    beside = _point(1.0, 0.5)
    assert shortfall(AHEAD, _aside(-0.8), beside, near) == 0 < shortfall(AHEAD, _aside(-0.8), beside, wide)


def test_a_mirrored_window_has_its_obstacles_on_the_other_side(tmp_path: Path) -> None:
    # Bags without a scan before those with one: windows must find the obstacles of their own frames.
    for number, scan in enumerate((False, True)):
        write_bag(tmp_path / f"set{number}" / "run", frames=10, scan=scan, seed=number)
    parts, met = [], []
    autoencoder = nano_model().autoencoder
    for number in range(2):
        store = open_store(find_bags([tmp_path / f"set{number}"]), tmp_path / "cache", nano_config(), False)
        parts.append((store, open_latents(autoencoder, store, variants=2, future_every=1, seed=0)))
        met.append(obstacles(store, 0.33))
    data = TrainingSet.join(parts, 0.0, met)
    seen = np.array([len(data.states) - 1] * 2)
    blind = np.array([0, 0])
    variants = np.array([0, 1])
    normaliser = Normaliser.fit(data.actions)
    here, there = take_batch(data, normaliser, seen, variants, None).obstacles
    assert (here[:, 0] < FAR).any() and torch.equal(here * torch.tensor([1.0, -1.0]), there)
    assert (take_batch(data, normaliser, blind, variants, None).obstacles.abs() == FAR).all()

    # The shortfall of a batch is that of its trajectories in metres, each beside its own window's obstacles.
    batch = take_batch(data, normaliser, seen, variants, None)
    planned = batch.actions.repeat_interleave(3, dim=0) + 0.3 * torch.randn(
        6, 5, 3, generator=torch.Generator().manual_seed(0)
    )
    metres = [torch.from_numpy(normaliser.denormalise(part.numpy())).float() for part in (planned, batch.actions)]
    alone = [
        shortfall(metres[0][i : i + 1], metres[1][i // 3][None], batch.obstacles[i // 3][None], WIDE) for i in range(6)
    ]
    assert torch.isclose(plan_shortfall(batch, planned, normaliser, WIDE), torch.stack(alone).mean(), atol=1e-6)
    assert torch.stack(alone).std() > 0
