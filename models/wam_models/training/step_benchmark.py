"""Training steps of a preset with random weights and latents: the memory they took, beside what was planned.

    python -m wam_models.training.step_benchmark --device cuda --json step.json

Needs a GPU's worth of weights and nothing else: no data, no checkpoint, no text encoder.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from wam_models.metis.presets import PRESETS, find_preset
from wam_models.metis.size import GIB
from wam_models.training.average import Average, local_part
from wam_models.training.live_bytes import LiveBytes
from wam_models.training.losses import Batch
from wam_models.training.memory_plan import (
    MemoryPlan,
    Windows,
    make_batches,
    objective_of,
    plan_memory,
    rehearsed_model,
)
from wam_models.training.recipe import Lora
from wam_models.training.scale import Processes
from wam_models.training.step import backward, make_optimiser, take_step


def measure_steps(
    preset: str,
    *,
    training: str = "auto",
    rank: int = 16,
    checkpointing: bool = True,
    joint: int = 1,
    steps: int = 3,
    device: str = "cpu",
) -> dict[str, Any]:
    """training: "full", "lora", or "auto": full where the plan fits the GPU. joint: windows a GPU; all of them have a
    future. Of the steps the first is left out: the optimiser has no moments before it.

    Returns plan and measured, both in bytes, losses, step_s (median, s) and what was run on what. Raises ValueError
    when the preset or the training is unknown or there are fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"at least two steps are needed, for the first has no moments to keep; got {steps}")
    if training not in ("auto", "full", "lora"):
        raise ValueError(f"training is 'auto', 'full' or 'lora', not {training!r}")
    config, windows = find_preset(preset).config(), Windows(joint)
    processes = Processes(device)
    on = processes.device

    def plan(lora: Lora | None) -> MemoryPlan:
        half = on.type != "cpu"
        return plan_memory(config, windows, gpus=processes.count, lora=lora, checkpointing=checkpointing, bfloat16=half)

    lora = None if training == "full" else Lora(rank, rank)
    planned = plan(lora if training == "lora" else None)
    if training == "auto":
        room = torch.cuda.get_device_properties(on).total_memory if on.type == "cuda" else math.inf
        if planned.peak + GIB <= 0.95 * room:
            lora = None
        else:
            planned = plan(lora)

    torch.manual_seed(0)
    with on:
        model = rehearsed_model(config, lora)
    model.network.checkpointing = checkpointing
    processes.place(model)
    average, optimiser = Average(model, 0.999), make_optimiser(model, 1e-4, 0.01)
    objective, generator = objective_of(windows, config.sampling_shift), torch.Generator().manual_seed(processes.rank)
    plain, video = (None if batch is None else batch.to(on) for batch in make_batches(config, windows))
    losses: list[dict[str, float]] = []

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        losses.append(backward(model, objective, plain, video, generator, on))
        take_step(model, optimiser, average)

    step()
    kept = [*model.parameters(), *model.buffers(), *_moments(optimiser), *average.state_dict().values()]
    kept += [tensor for batch in (plain, video) if batch is not None for tensor in _tensors(batch)]
    taken = [_peak_and_time(on, kept, step) for _ in range(steps - 1)]
    return {
        "preset": preset,
        "training": "full" if lora is None else f"lora {rank}",
        "checkpointing": checkpointing,
        "joint_windows": joint,
        "processes": processes.count,
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "plan": asdict(planned),
        "measured": {
            "peak": max(peak for peak, _ in taken),
            "reserved": torch.cuda.max_memory_reserved(on) if on.type == "cuda" else None,
        },
        "losses": losses,
        "step_s": median(seconds for _, seconds in taken),
    }


def _peak_and_time(device: torch.device, kept: list[Tensor], step: Callable[[], None]) -> tuple[int, float]:
    """The most bytes in use, and seconds. On a CPU, where nobody keeps account, `kept` and what the step makes."""
    cuda = device.type == "cuda"
    live = nullcontext() if cuda else LiveBytes()
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    began = perf_counter()
    with live:
        step()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = perf_counter() - began
    if isinstance(live, LiveBytes):
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in map(local_part, kept)}
        return sum(storages.values()) + live.peak(), seconds
    return torch.cuda.max_memory_allocated(device), seconds


def _moments(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [tensor for state in optimiser.state.values() for tensor in state.values()]


def _tensors(batch: Batch) -> list[Tensor]:
    return [tensor for tensor in vars(batch).values() if tensor is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="wan22_5b_ae1b", choices=PRESETS)
    parser.add_argument("--training", default="auto", choices=("auto", "full", "lora"))
    parser.add_argument("--rank", type=int, default=16, help="of the adapters")
    parser.add_argument("--no-checkpointing", dest="checkpointing", action="store_false")
    parser.add_argument("--joint", type=int, default=1, help="windows with a future on each GPU")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = vars(parser.parse_args())
    file = options.pop("json")
    found = measure_steps(**options)
    if int(os.environ.get("RANK", "0")):
        return
    planned, measured = found["plan"], found["measured"]["peak"]
    print(f"{found['preset']}, {found['training']}, {found['device']}: {found['step_s']:.2f} s a step")
    for name, size in planned.items():
        print(f"{name:>14} {size / GIB:8.2f} GiB planned")
    print(f"{'peak':>14} {measured / GIB:8.2f} GiB measured, {measured / planned['peak']:.3f} of the plan")
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
