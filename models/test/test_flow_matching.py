"""The flow's arithmetic, pinned: by exact cases, by properties, and against the library's scheduler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from wam_models import flow_matching as flow


def test_sigmas_of_wan_shift_5() -> None:
    assert flow.sigmas(2, 5.0).tolist() == pytest.approx([1.0, 5 / 6, 0.0])
    assert flow.sigmas(5, 5.0).tolist() == pytest.approx([1.0, 0.9524, 0.8824, 0.7692, 0.5556, 0.0], abs=1e-4)
    with pytest.raises(ValueError, match="at least one step"):
        flow.sigmas(0)


@given(st.integers(1, 12), st.sampled_from([1.0, 3.0, 5.0]))
def test_euler_equals_the_library_scheduler_with_the_same_sigmas(steps: int, shift: float) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    ours = theirs = torch.linspace(-1, 1, 7, dtype=torch.float32)
    schedule = flow.sigmas(steps, shift)
    assert torch.allclose(schedule, scheduler.sigmas, atol=1e-6)
    for index, time in enumerate(scheduler.timesteps):
        velocity = torch.sin(3 * ours) - 0.5
        ours = flow.euler_step(ours, velocity, float(schedule[index]), float(schedule[index + 1]))
        theirs = scheduler.step(torch.sin(3 * theirs) - 0.5, time, theirs).prev_sample
    assert torch.allclose(ours, theirs, atol=1e-5)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_the_path_is_straight_from_data_to_noise(time: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    data, noise = torch.randn(2, 3, 4, generator=generator), torch.randn(2, 3, 4, generator=generator)
    at = flow.interpolate(data, noise, torch.full((2,), time))
    velocity = flow.target(data, noise)
    assert torch.allclose(flow.origin(at, velocity, torch.full((2,), time)), data, atol=1e-5)
    assert torch.allclose(at + (1 - time) * velocity, noise, atol=1e-5)


def test_one_true_step_lands_on_the_data_from_any_time() -> None:
    data, noise = torch.randn(5, 3), torch.randn(5, 3)
    at = flow.interpolate(data, noise, torch.full((5,), 0.7))
    assert torch.allclose(flow.euler_step(at, flow.target(data, noise), 0.7, 0.0), data, atol=1e-6)


def test_time_per_token_is_time_per_sample_where_they_agree() -> None:
    data, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    per_sample = flow.interpolate(data, noise, torch.tensor([0.2, 0.9]))
    per_token = flow.interpolate(data, noise, torch.tensor([[0.2] * 3, [0.9] * 3]))
    assert torch.equal(per_sample, per_token)


@pytest.mark.parametrize(
    ("name", "options", "mean"),
    [
        ("uniform", {}, 0.5),
        ("uniform", {"shift": 5.0}, 5 / 4 - 5 / 16 * np.log(5)),  # the mean of 5u / (1 + 4u)
        ("logit_normal", {}, 0.5),
        ("power", {"exponent": 1.5}, 0.6),
    ],
)
def test_time_samplers_stay_in_range_with_their_mean(name: str, options: dict[str, float], mean: float) -> None:
    times = flow.TIME_SAMPLERS[name](**options)(20000, torch.Generator().manual_seed(0))
    assert times.min() >= 0 and times.max() <= 1
    assert float(times.mean()) == pytest.approx(mean, abs=0.01)
