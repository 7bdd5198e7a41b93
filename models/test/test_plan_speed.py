"""The floor, against the published arithmetic; the rungs, as the benchmark drives them."""

from __future__ import annotations

from time import sleep

import numpy as np
import pytest
import torch
from nano import nano_config, nano_model

from wam_models.evaluation.floor import Ceilings, Work, count_work, floors
from wam_models.evaluation.plan_speed import CAMERA_WIDTH, Kind, hindrance, measure, random_parts
from wam_models.metis import engine
from wam_models.metis.config import Mask
from wam_models.metis.presets import preset_config
from wam_models.preprocessing import MAX_ASPECT_ERROR, aspect_error, resize_frame
from wam_models.runtime.ladder import Rung, make_rung, obstacle

CPU = torch.device("cpu")
# What one H200 reached: bytes and FLOP a second.
H200 = Ceilings(4.3e12, 790e12)


def test_the_floor_of_the_paper_s_model_on_an_h200() -> None:
    """6.7 / 7.1 / 8.4 / 10.5 ms: 0.807 TFLOP for a frame, 4.14 for the prefill, 1.83 GB a step."""
    work = count_work(preset_config("wan22_5b_ae1b"), torch.bfloat16)
    assert work["vae"].flops == pytest.approx(0.807e12, rel=0.01)
    assert work["prefill"].flops == pytest.approx(4.14e12, rel=0.01)
    assert work["step"].bytes == pytest.approx(1.83e9, rel=0.01)
    floor = floors(work, H200, [1, 2, 5, 10])
    assert [round(floor[steps], 1) for steps in (1, 2, 5, 10)] == [6.7, 7.1, 8.4, 10.5]


def test_a_step_of_the_joint_mask_moves_the_video_too() -> None:
    alone, joint = (count_work(nano_config(mask), torch.float32) for mask in (Mask.ASYMMETRIC, Mask.JOINT))
    assert joint["vae"] == alone["vae"] and joint["prefill"] == alone["prefill"]
    assert joint["step"].flops > alone["step"].flops
    read = "video.patch_embedding", "video.proj_out", ".attn1.", ".ffn."
    weights = nano_model(Mask.JOINT).network.state_dict().items()
    least = sum(w.nbytes for name, w in weights if name.startswith("video.") and any(part in name for part in read))
    assert joint["step"].bytes - alone["step"].bytes > least


def test_a_floor_is_arithmetic_or_bytes_whichever_is_more() -> None:
    ceilings = Ceilings(bandwidth=1e9, rate=1e12)
    assert Work(flops=2e9, bytes=1e6).floor(ceilings) == pytest.approx(2.0)
    assert Work(flops=1e6, bytes=3e6).floor(ceilings) == pytest.approx(3.0)


def test_ceilings_are_measured() -> None:
    found = Ceilings.measure(CPU, torch.float32)
    assert 1e8 < found.bandwidth < 1e12
    assert 1e8 < found.rate < 1e14


def test_rungs_agree_and_every_kind_of_plan_is_answered() -> None:
    parts = random_parts(preset_config("nano"), CPU, torch.float32, text_encoder=True)
    kinds = [Kind(2), Kind(2, candidates=3), Kind(2, imagine=True)]
    seen = {}
    failed: dict[Rung, str] = {}
    found = measure(parts, list(Rung), kinds, (4, 60.0), lambda _: None, failed, compiling="eager")
    for rung, kind, timing, apart in found:
        seen[rung, kind] = timing
        assert apart < 1e-4
        assert 0 < timing.p50_ms <= timing.p99_ms
        assert {"preprocess", "text", "vae", "flow"} <= timing.stages_ms.keys()
        assert ("prefill" in timing.stages_ms) == (rung is not Rung.PLAIN)
    assert {rung for rung, _ in seen} == {Rung.PLAIN, Rung.CACHED, Rung.COMPILED}
    assert not failed
    assert (Rung.PLAIN, kinds[2]) not in seen and (Rung.CACHED, kinds[2]) in seen


def test_the_joint_mask_is_measured_with_its_video_and_not_on_rung_plain() -> None:
    parts = nano_model(Mask.JOINT).requires_grad_(False).parts()
    kinds = [Kind(2), Kind(2, candidates=3), Kind(2, imagine=True)]
    failed: dict[Rung, str] = {}
    found = list(measure(parts, list(Rung), kinds, (2, 60.0), lambda _: None, failed, compiling="eager"))
    assert {(rung, kind) for rung, kind, *_ in found} == {
        (rung, kind) for rung in (Rung.CACHED, Rung.COMPILED) for kind in kinds
    }
    assert all(apart < 1e-4 for *_, apart in found)
    assert not failed
    for mask in Mask:
        reason = hindrance(Rung.PLAIN, nano_config(mask), CPU, torch.float32)
        assert (reason is None) == (mask is not Mask.JOINT)
    assert "joint mask" in str(hindrance(Rung.PLAIN, nano_config(Mask.JOINT), CPU, torch.float32))


def test_a_plan_is_timed_from_the_camera_s_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture of the context is resized within the plan, and the time counts as preprocessing."""
    given: list[tuple[int, ...]] = []

    def slowly(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if picture.shape[1] == CAMERA_WIDTH:
            given.append(picture.shape)
            sleep(0.05)
        return resize_frame(picture, size)

    monkeypatch.setattr(engine, "resize_frame", slowly)
    parts = nano_model().requires_grad_(False).parts()
    found = measure(parts, [Rung.CACHED], [Kind(1)], (2, 60.0), lambda _: None, {})
    timing = next(timing for _, _, timing, _ in found)
    both = 2 * 50.0  # ms: the nano sees two frames
    assert timing.stages_ms["preprocess"] > both and timing.p50_ms > both
    height, width, channels = given[0]
    assert (width, channels) == (1280, 3)
    assert aspect_error((height, width), parts.config.image_size) < 0.01 < MAX_ASPECT_ERROR


def test_each_timed_plan_brings_one_picture_that_none_had_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = engine.FrameReader._encode

    def counted(*arguments: object) -> torch.Tensor:
        encoded.append("")
        return encode(*arguments)

    monkeypatch.setattr(engine.FrameReader, "_encode", counted)
    parts = nano_model().requires_grad_(False).parts()  # it sees two frames
    kinds, counts = [Kind(1), Kind(2), Kind(2, candidates=3)], []
    for _ in measure(parts, [Rung.CACHED], kinds, (5, 60.0), lambda _: None, {}):
        counts.append(len(encoded))
        encoded.clear()
    plans = 3 + 5
    # The first kind begins with a whole context; what its answer is compared by is two more pictures, seen once.
    assert counts == [plans + 1 + 2, plans, plans]


def test_random_weights_move_the_actions() -> None:
    parts = random_parts(preset_config("nano"), CPU, torch.float32, text_encoder=False)
    assert parts.network.action.head.weight.abs().max() > 0
    same = random_parts(preset_config("nano"), CPU, torch.float32, text_encoder=False)
    assert torch.equal(same.network.action.head.weight, parts.network.action.head.weight)


def test_bfloat16_weights_keep_their_times_in_float32() -> None:
    network = random_parts(preset_config("nano"), CPU, torch.bfloat16, text_encoder=False).network
    assert network.dtype is torch.bfloat16
    assert network.video.condition_embedder.time_embedder.linear_1.weight.dtype is torch.float32
    assert network.layers[0].video.scale_shift_table.dtype is torch.float32
    assert network.action.rotary.dtype is torch.float32


def test_what_a_processor_cannot_carry_is_said() -> None:
    assert obstacle(Rung.CACHED, CPU, torch.float32) is None and obstacle(Rung.COMPILED, CPU, torch.float32) is None
    for rung in ("graph", "fp8"):
        with pytest.raises(ValueError, match="needs an NVIDIA GPU"):
            make_rung(rung, CPU, torch.float32)
    with pytest.raises(ValueError, match="plain, cached, graph, compiled, fp8"):
        make_rung("turbo", CPU, torch.float32)


def test_a_rung_that_fails_takes_no_other_with_it() -> None:
    parts = random_parts(preset_config("nano"), CPU, torch.float32, text_encoder=False)
    failed: dict[Rung, str] = {}
    rungs, kinds = [Rung.PLAIN, Rung.COMPILED], [Kind(1), Kind(1, imagine=True)]
    found = list(measure(parts, rungs, kinds, (2, 60.0), lambda _: None, failed, compiling="no such backend"))
    assert [(rung, kind) for rung, kind, *_ in found] == [(Rung.PLAIN, Kind(1))]
    assert failed.keys() == {Rung.COMPILED} and "no such backend" in failed[Rung.COMPILED]
