"""What is planned is what a real step takes, byte for byte on a processor."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from wam_models.metis.presets import preset_config
from wam_models.metis.size import size_of
from wam_models.training.average import Average
from wam_models.training.live_bytes import LiveBytes
from wam_models.training.memory_plan import (
    MASTER,
    MemoryPlan,
    Windows,
    make_batches,
    objective_of,
    plan_memory,
    rehearse,
    rehearsed_model,
)
from wam_models.training.recipe import Lora
from wam_models.training.step import make_optimiser, take_step
from wam_models.training.step_benchmark import measure_steps

# Two layers: the first and the last are all that differ.
NANO = preset_config("nano")
NANO = replace(NANO, video={**NANO.video, "num_layers": 2})
BOTH = Windows(joint=2, plain=3, repeats=2)


def bytes_of(tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("lora", [None, Lora(4, 8)], ids=["full", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed-twice"])
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
def test_a_real_step_takes_what_was_planned(lora: Lora | None, checkpointing: bool, bfloat16: bool) -> None:
    plan = plan_memory(NANO, BOTH, lora=lora, checkpointing=checkpointing, bfloat16=bfloat16)
    model = rehearsed_model(NANO, lora)
    model.network.checkpointing = checkpointing
    batches, live = make_batches(NANO, BOTH), LiveBytes()
    with live:
        rehearse(model, NANO, batches, BOTH, bfloat16=bfloat16)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert plan.activations == live.peak(gradients, 0.0)
    optimiser, average = make_optimiser(model, 1e-3, 0.01), Average(model, 0.9)
    take_step(model, optimiser, average)
    kept = [*model.parameters(), *model.buffers()]
    assert plan.weights == bytes_of(kept)
    assert plan.gradients == bytes_of(gradients) == sum(p.nbytes for p in model.parameters() if p.requires_grad)
    assert plan.optimiser == sum(bytes_of(state.values()) for state in optimiser.state.values())
    assert plan.average == bytes_of(average.state_dict().values())
    assert plan.batch == sum(t.nbytes for batch in batches for t in vars(batch).values() if t is not None)
    still = plan.weights + plan.optimiser + plan.average + plan.batch
    assert plan.peak == still + live.peak()
    assert max(plan.gradients, plan.activations) <= plan.peak - still <= plan.gradients + plan.activations


def test_what_is_alive_after_the_forward_pass_is_what_autograd_has_saved() -> None:
    """Counted by another door: every tensor that autograd packs away, once, and the loss of four bytes."""
    model, batches = rehearsed_model(NANO, None), make_batches(NANO, BOTH)
    given = [*model.parameters(), *model.buffers(), *(t for b in batches for t in vars(b).values() if t is not None)]
    owned = {tensor.untyped_storage().data_ptr() for tensor in given}
    saved: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor.detach())
        return tensor

    live = LiveBytes()
    with live, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(objective_of(BOTH, 5.0), *batches, torch.Generator().manual_seed(0))["loss"]
    activations = sum(t.untyped_storage().nbytes() for key, t in saved.items() if key not in owned)
    assert live.alive() == activations + loss.nbytes > 100_000


def test_tensors_without_values_are_counted_like_real_ones() -> None:
    counts = []
    for mode in (FakeTensorMode(), nullcontext()):
        with mode:
            weight, live = torch.ones(8, 16, requires_grad=True), LiveBytes()
            with live:
                kept = (weight @ torch.ones(16, 4)).square()
                del kept
                alive = live.alive()
                total = (weight @ torch.ones(16, 4)).square().sum()
            counts.append((alive, live.alive(), live.peak()))
            del total
    assert counts[0] == counts[1]
    # The factor of 256 bytes and the product of 128 that squaring keeps; gone are the first ones. Its square is brief.
    assert counts[0] == (0, 256 + 128 + 4, 256 + 128 + 128 + 4)


def test_checkpointing_takes_less_and_more_windows_take_more() -> None:
    kept, computed = (plan_memory(NANO, Windows(4), checkpointing=each).activations for each in (False, True))
    assert computed < 0.8 * kept
    assert plan_memory(NANO, Windows(8), checkpointing=False).activations > 1.5 * kept


def test_eight_gpus_hold_an_eighth_each_rounded_up_to_rows() -> None:
    alone, shared = (plan_memory(NANO, Windows(1), gpus=gpus) for gpus in (1, 8))
    with torch.device("meta"):
        model = rehearsed_model(NANO, None)
    whole = sum(p.numel() for p in model.parameters())
    largest = sum(-(-p.shape[0] // 8) * (p.numel() // p.shape[0]) for p in model.parameters())
    assert alone.gradients == MASTER * whole and shared.gradients == shared.average == MASTER * largest
    assert shared.gradients < 1.1 * alone.gradients / 8
    assert alone.gathered == 0 < shared.gathered
    assert shared.peak < alone.peak


def test_adapters_hold_no_moments_of_what_they_stand_on() -> None:
    full, adapted = (plan_memory(NANO, Windows(1), lora=lora) for lora in (None, Lora(2, 2)))
    assert adapted.weights > full.weights
    assert adapted.optimiser < 0.5 * full.optimiser


def test_a_text_encoder_that_trains_is_counted() -> None:
    without, with_text = (plan_memory(NANO, Windows(1), trains_text=text) for text in (False, True))
    text = size_of(preset_config("nano")).parameters["text"]
    assert with_text.gradients - without.gradients == MASTER * text


def test_the_smallest_gpu_leaves_room_for_cuda() -> None:
    plan = MemoryPlan(*[0] * 7, peak=int(21.7 * 2**30))
    assert plan.gpu_gib == 24 and replace(plan, peak=int(21.9 * 2**30)).gpu_gib == 32
    assert replace(plan, peak=200 * 2**30).gpu_gib is None


@pytest.mark.parametrize("training", ["auto", "lora"])
def test_the_benchmark_measures_what_it_planned(training: str) -> None:
    found = measure_steps("nano", training=training, rank=4, joint=4, checkpointing=False, steps=2)
    # A processor's AdamW makes values of one tensor's size by the way, and gradients are there from the step before.
    assert 0.99 < found["measured"]["peak"] / found["plan"]["peak"] < 1.1
    assert found["training"] == ("full" if training == "auto" else "lora 4")
    assert len(found["losses"]) == 2 and found["step_s"] > 0
    assert all(0 < loss < 100 for losses in found["losses"] for loss in losses.values())


@pytest.mark.parametrize(("wrong", "message"), [({"steps": 1}, "two steps"), ({"training": "half"}, "'half'")])
def test_a_benchmark_of_nothing_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_steps("nano", **wrong)


def test_the_benchmark_needs_neither_bags_nor_pictures(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cv2', 'rosbags', 'mujoco', 'rclpy', 'rich', 'typer']));"
        "from wam_models.training.step_benchmark import main; main()"
    )
    file = tmp_path / "out" / "step.json"
    options = ["--preset", "nano", "--device", "cpu", "--steps", "2", "--rank", "2", "--json", str(file)]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "measured" in done.stdout
    assert json.loads(file.read_text())["plan"]["peak"] > 0
