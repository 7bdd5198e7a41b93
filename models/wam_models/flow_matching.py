"""Flow matching, stateless: x_s = (1 - s) * data + s * noise, the target is noise - data, s = 1 is noise.

Sources: Lipman et al. 2023 (flow matching), Esser et al. 2024 (logit-normal, shift), Black et al. 2024 (pi0: Beta).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TimeSampler = Callable[[int, torch.Generator], Tensor]


def shifted(time: Tensor, shift: float) -> Tensor:
    """Flow time in [0, 1] moved towards noise: shift * u / (1 + (shift - 1) * u). Shift 1 changes nothing."""
    return shift * time / (1 + (shift - 1) * time)


def uniform(shift: float = 1.0) -> TimeSampler:
    """u ~ U(0, 1), then shifted: Wan2.2 trains with 5."""
    return lambda number, generator: shifted(torch.rand(number, generator=generator), shift)


def logit_normal(mean: float = 0.0, scale: float = 1.0) -> TimeSampler:
    """sigmoid of a normal: most of the work in the middle of the flow."""
    return lambda number, generator: torch.sigmoid(mean + scale * torch.randn(number, generator=generator))


def power(exponent: float = 1.5, most: float = 0.999) -> TimeSampler:
    """Beta(exponent, 1): u ** (1 / exponent), leaning towards noise. pi0 uses 1.5."""
    return lambda number, generator: torch.rand(number, generator=generator) ** (1 / exponent) * most + (1 - most)


TIME_SAMPLERS: dict[str, Callable[..., TimeSampler]] = {
    "uniform": uniform,
    "logit_normal": logit_normal,
    "power": power,
}


def make_time_sampler(settings: dict[str, Any]) -> TimeSampler:
    """The sampler of a recipe's entry, {sampler: its name, and its options}. Raises ValueError on an unknown name,
    TypeError on an unknown option."""
    options = {name: value for name, value in settings.items() if name != "sampler"}
    name = settings.get("sampler")
    if name not in TIME_SAMPLERS:
        raise ValueError(f"{name!r} is no time sampler: choose one of {', '.join(TIME_SAMPLERS)}")
    return TIME_SAMPLERS[name](**options)


def interpolate(data: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Data at time 0, noise at time 1. time broadcasts from the left: (B,) or (B, L) against (B, L, ...)."""
    time = time.reshape(time.shape + (1,) * (data.ndim - time.ndim))
    return (1 - time) * data + time * noise


def origin(sample: Tensor, velocity: Tensor, time: Tensor) -> Tensor:
    """The data of the straight path that is at `sample` at `time` with this velocity: the inverse of `interpolate`."""
    return sample - time.reshape(time.shape + (1,) * (sample.ndim - time.ndim)) * velocity


def target(data: Tensor, noise: Tensor) -> Tensor:
    """The velocity of the straight path from data to noise."""
    return noise - data


def sigmas(steps: int, shift: float = 1.0) -> Tensor:
    """(steps + 1,) float32 times from 1 to 0: linspace, shifted. For shift 5: [1, 0.8333, 0] for 2 steps.

    Raises ValueError when steps < 1.
    """
    if steps < 1:
        raise ValueError(f"at least one step is needed, got {steps}")
    return shifted(torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64), shift).float()


def euler_step(sample: Tensor, velocity: Tensor, now: float, after: float) -> Tensor:
    """The sample at time `after`, from its velocity at time `now`."""
    return sample + (after - now) * velocity
