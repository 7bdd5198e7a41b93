"""What only a GPU can show: recorded, compiled and 8-bit plans against the cached ones while everything changes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from nano import nano_checkpoint

from wam_models.evaluation.plan_speed import random_parts
from wam_models.metis.acceleration import accelerate_layers
from wam_models.metis.config import Mask
from wam_models.metis.engine import CachedEngine, Engine, Parts, Question, make_engine
from wam_models.metis.loading import GivenRows
from wam_models.metis.presets import preset_config
from wam_models.policy import load_policy
from wam_models.preprocessing import resize_frame
from wam_models.runtime.graphs import Recorder
from wam_models.runtime.ladder import Rung, obstacle
from wam_models.runtime.shrinking import Shrinker
from wam_models.runtime.stages import StageClock
from wam_models.types import EgoState, Observation, Plan, Refusal, RefusalReason

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

GPU = torch.device("cuda")
LENGTH = 160


class Rows:
    """Instructions of as many rows as the number that they are."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)
        self._rows = (3.0 * torch.randn(LENGTH, width, generator=generator)).to(GPU, dtype)

    def embed(self, text: str) -> torch.Tensor:
        return self._rows[: int(text)]

    def embed_anew(self, text: str) -> torch.Tensor:
        return GivenRows(self.embed(text), LENGTH).embed_anew(text)


@torch.no_grad()
def parts_in(dtype: torch.dtype, context: int = 1, mask: Mask = Mask.ASYMMETRIC) -> Parts:
    """Of weights so large that whatever changes shows in the plan."""
    config = replace(preset_config("nano"), text_length=LENGTH, context_frames=context, mask=mask)
    parts = random_parts(config, GPU, dtype, text_encoder=False)
    generator = torch.Generator().manual_seed(2)
    for network in (parts.network, parts.autoencoder):
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))
    return replace(parts, instructions=Rows(config.video["text_dim"], dtype))


def questions(parts: Parts) -> list[Question]:
    """With another frame, state, length of the instruction, known points, candidates or video; the first comes again
    at the end. With the joint mask all imagine."""
    config = parts.config
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(GPU)

    def frames(seed: int, times: int = 1) -> list[np.ndarray]:
        height, width = config.image_size
        shape = config.context_frames, times * height, times * width, 3
        return list(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))

    points, values = config.action.points, config.action.values
    channels, height, width = config.latent_size
    first = Question(frames(0), normal(1, config.action.state), "5", normal(1, points, values), steps=4)
    video = normal(1, channels, config.future_latents, height, width)
    if config.mask is Mask.JOINT:
        first = replace(first, video_noise=video)
    return [
        first,
        replace(first, frames=frames(1)),
        replace(first, frames=frames(2, times=2)),
        replace(first, state=normal(1, config.action.state)),
        replace(first, instruction="9"),
        replace(first, instruction="100"),
        replace(first, instruction=str(LENGTH)),
        replace(first, known=normal(2, values)),
        replace(first, noise=normal(3, points, values)),
        replace(first, noise=normal(3, points, values), known=normal(1, values), instruction="100"),
        replace(first, video_noise=video),
        first,
    ]


@torch.inference_mode()
def answers(engine: Engine, asked: list[Question]) -> list[list[torch.Tensor]]:
    """Of each question the actions, and the video where it was asked for."""
    given = [engine.act(question, StageClock(GPU)) for question in asked]
    return [[each.float().cpu() for each in one if each is not None] for one in given]


def check(parts: Parts, rung: Rung, near: float, prepared: bool, ask: Callable = answers) -> None:
    asked = questions(parts)
    expected = answers(make_engine(parts, Rung.CACHED), asked)
    apart = [(a - b).abs().max() for (a, *_), (b, *_) in pairwise(expected[:7])]
    assert min(apart) > 0.1  # none would pass for the one before
    accelerate_layers(parts.network, rung)
    engine = make_engine(parts, rung)
    spoil_what_is_free()
    if prepared:
        with torch.inference_mode():
            engine.prepare(replace(asked[0], instruction=""))
    found = ask(engine, asked)
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert (one[0] - other[0]).abs().max() < near, f"actions of question {number}"
        for video, seen in zip(one[1:], other[1:], strict=True):
            assert (video - seen).abs().max() < 4 * near, f"video of question {number}"
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[-1], strict=True))


def spoil_what_is_free() -> None:
    """Writes over memory that was given back: a graph that still reads there then shows it."""
    for size in (1 << 20, 1 << 16, 1 << 12):
        filled = [torch.full((size,), torch.nan, device=GPU) for _ in range(32)]
        del filled


@pytest.mark.parametrize(
    ("rung", "dtype", "near"),
    [
        (Rung.GRAPH, torch.float32, 1e-4),
        (Rung.GRAPH, torch.bfloat16, 2e-2),
        (Rung.COMPILED, torch.float32, 1e-3),
        (Rung.COMPILED, torch.bfloat16, 8e-2),
        (Rung.FP8, torch.bfloat16, 0.15),
    ],
    ids=lambda value: value.value if isinstance(value, Rung) else str(value).removeprefix("torch."),
)
def test_a_rung_plans_what_the_cached_one_plans(rung: Rung, dtype: torch.dtype, near: float) -> None:
    if reason := obstacle(rung, GPU, dtype):
        pytest.skip(reason)  # fp8, on a GPU without 8-bit matrix units
    check(parts_in(dtype), rung, near, prepared=False)


@pytest.mark.parametrize(
    ("context", "mask", "prepared"),
    [
        (1, Mask.ASYMMETRIC, True),
        (2, Mask.ASYMMETRIC, True),
        (2, Mask.ISOLATED, False),
        (1, Mask.JOINT, True),
    ],
    ids=str,
)
def test_recorded_plans_are_the_cached_ones_whatever_the_model(context: int, mask: Mask, prepared: bool) -> None:
    check(parts_in(torch.float32, context, mask), Rung.GRAPH, 1e-4, prepared)


def test_what_one_thread_prepares_another_one_plans_with() -> None:
    def elsewhere(engine: Engine, asked: list[Question]) -> list[list[torch.Tensor]]:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(answers, engine, asked).result()

    check(parts_in(torch.float32), Rung.GRAPH, 1e-4, prepared=True, ask=elsewhere)


def test_a_picture_is_shrunk_on_the_gpu_as_on_the_host() -> None:
    shrinker = Shrinker((64, 96), GPU)
    for seed, size in enumerate([(150, 220), (150, 220), (128, 192), (640, 768)]):
        frame = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        found = shrinker(frame).cpu().numpy().astype(int)
        assert np.abs(found - resize_frame(frame, (64, 96))).max() <= 1


def test_a_prepared_engine_records_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_in(torch.float32)
    engine = make_engine(parts, Rung.GRAPH)
    alone = [question for question in questions(parts) if len(question.noise) == 1 and question.video_noise is None]
    with torch.inference_mode():
        engine.prepare(replace(alone[0], instruction=""))

    def never(*_: object) -> None:
        raise AssertionError("recorded while driving")

    monkeypatch.setattr(Recorder, "__call__", never)
    assert len(answers(engine, alone)) == len(alone) > 5


def test_a_recording_that_fails_leaves_the_thread_where_it_was() -> None:
    stream, record = torch.cuda.current_stream(), Recorder()
    value = torch.ones(4, device=GPU)
    calls = []

    def waits() -> None:
        """As no recorded work may; the rehearsals pass."""
        calls.append(None)
        value.add_(1.0)
        if len(calls) > 3:
            value.sum().item()

    def doubles() -> None:
        value.mul_(2.0)

    with pytest.raises(RuntimeError):
        record(waits)
    assert torch.cuda.current_stream() == stream
    replay = record(doubles)
    value.fill_(3.0)
    replay()
    assert value.tolist() == [6.0] * 4


def test_stages_are_those_of_the_gpu() -> None:
    clock = StageClock(GPU)
    torch.cuda._sleep(20_000_000)
    clock.mark("slept")
    clock.mark("did nothing")
    stages = clock.stages()
    assert stages["slept"] > 2.0 > 10 * stages["did nothing"]


@pytest.mark.parametrize("rung", ["cached", "graph"])
def test_a_full_gpu_is_a_refusal_and_room_on_it_a_plan(tmp_path: Path, rung: str) -> None:
    policy = load_policy(nano_checkpoint(tmp_path / "nano"), device="cuda", rung=rung, candidates=2)
    frames = np.random.default_rng(1).integers(0, 255, (2, 1, 128, 192, 3), dtype=np.uint8)
    stamps, ego = np.array([10.0, 10.5]), EgoState(0.4, 0.0, 0.1)
    seen = Observation(frames, stamps, ("front",), ego, "walk to the goal", (4.0, -1.0))
    assert isinstance(policy._engine, CachedEngine)
    policy._engine._desks.clear()  # so that a plan needs room
    policy._engine._flows.clear()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    held = []
    try:
        for size in (1 << 20, 1 << 16, 1 << 9):  # what is free within what is reserved
            with suppress(torch.OutOfMemoryError):
                while True:
                    held.append(torch.empty(size, dtype=torch.uint8, device=GPU))
        full = policy.plan(seen)
    finally:
        held.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert isinstance(full, Refusal) and full.reason is RefusalReason.OUT_OF_MEMORY
    assert isinstance(policy.plan(seen), Plan)
