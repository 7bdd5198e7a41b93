"""What `wam bench plan` measures, as one report: rungs by stage, the floor of this device, the paper beside it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from wam_models.checkpoint import open_checkpoint
from wam_models.evaluation.floor import Ceilings, count_work, floors
from wam_models.evaluation.plan_speed import PAPER_MS, Kind, hindrance, measure, peak_bytes, random_parts
from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.engine import Parts
from wam_models.metis.loading import read_parts
from wam_models.metis.presets import preset_config
from wam_models.runtime.ladder import Rung, make_device, make_rung
from wam_models.runtime.precision import make_precision, name_of

GIB = 2**30
# A preset with a wider text encoder than this is measured without it: UMT5-XXL takes 11 GB, and is not read for a plan.
_SMALL_TEXT = 1024
_PAPER = "wan22_5b_ae1b", "driving"


@dataclass(frozen=True)
class Measurement:
    """What to measure. preset, task: a preset with random weights; checkpoint: a directory in place of it; precision:
    empty for bfloat16 on a GPU and float32 elsewhere; rungs: "all" or names; candidates, imagine: also the best of so
    many, and a plan with its video, at the most steps; text_encoder: None for where it is small; repeats, seconds:
    plans that are timed, fewer where they would take longer than that many seconds, but ten; threads: torch's, pictures
    are resized on as many as OpenCV takes for itself, as in the planner."""

    preset: str = ""
    checkpoint: Path | None = None
    task: str = "driving"
    random_weights: bool = False
    device: str = "cpu"
    precision: str = ""
    steps: tuple[int, ...] = (1, 2, 5, 10)
    rungs: str = "all"
    candidates: int = 1
    imagine: bool = False
    text_encoder: bool | None = None
    repeats: int = 30
    seconds: float = 30.0
    threads: int = 1

    def report(self, progress: Callable[[str], None]) -> dict[str, Any]:
        """Rungs that device or network cannot carry are left out of "all" and say why. Raises ValueError,
        CheckpointError among them, for what cannot be measured here."""
        torch.set_num_threads(self.threads)
        device = make_device(self.device)
        dtype = make_precision(self.precision or ("bfloat16" if device.type == "cuda" else "float32"))
        names = [] if self.rungs == "all" else self.rungs.split(",")
        rungs = [make_rung(name, device, dtype) for name in names] or list(Rung)
        steps = sorted(set(self.steps))
        if steps[0] < 1:
            raise ValueError(f"a plan takes at least one step, got {steps[0]}")
        config, parts = self._parts(device, dtype)
        hindered = {rung: reason for rung in rungs if (reason := hindrance(rung, config, device, dtype))}
        if names and hindered:
            raise ValueError(next(iter(hindered.values())))
        kinds = [Kind(number) for number in steps]
        kinds += [Kind(steps[-1], candidates=self.candidates)] if self.candidates > 1 else []
        # Every plan of the joint mask imagines.
        kinds += [Kind(steps[-1], imagine=True)] if self.imagine and config.mask is not Mask.JOINT else []

        progress("copy bandwidth and matrix rate")
        ceilings, work = Ceilings.measure(device, dtype), count_work(config, dtype)
        entries: dict[str, Any] = {}
        failed = dict(hindered)
        for rung, kind, timing, apart in measure(parts, rungs, kinds, (self.repeats, self.seconds), progress, failed):
            entry = entries.setdefault(rung.value, {"steps": {}})
            values = {
                "steps": kind.steps,
                "p50_ms": timing.p50_ms,
                "p99_ms": timing.p99_ms,
                "stages_ms": timing.stages_ms,
                "apart": apart,
            }
            if kind.imagine:
                entry["with_video"] = values
            elif kind.candidates > 1:
                entry[f"best_of_{kind.candidates}"] = values
            else:
                entry["steps"][str(kind.steps)] = values
            entry["peak_gib"] = peak_bytes(device) / GIB
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "preset": self.preset or (self.checkpoint and self.checkpoint.name),
            "task": self.task if self.preset else None,
            "precision": name_of(dtype),
            "threads": self.threads,
            "torch": torch.__version__,
            "ceilings": {"bandwidth_gb_s": ceilings.bandwidth / 1e9, "rate_tflop_s": ceilings.rate / 1e12},
            "rungs": entries,
            "left_out": {rung.value: failed[rung] for rung in rungs if rung in failed},
            "floor_ms": {str(number): value for number, value in floors(work, ceilings, steps).items()},
            "stage_floor_ms": {name: each.floor(ceilings) for name, each in work.items()},
            "paper_ms": PAPER_MS if (self.preset, self.task) == _PAPER else None,
            "peak_gib": max((entry["peak_gib"] for entry in entries.values()), default=None),
            "plain_over_cached": _plain_over_cached(entries),
        }

    def _parts(self, device: torch.device, dtype: torch.dtype) -> tuple[MetisConfig, Parts]:
        if bool(self.preset) == bool(self.checkpoint):
            raise ValueError("say what to measure: --preset NAME --random-weights, or --model with a checkpoint")
        if self.checkpoint is not None:
            checkpoint = open_checkpoint(self.checkpoint)
            config = MetisConfig.from_dict(checkpoint.config["network"])
            if not self.random_weights:
                tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
                return config, read_parts(checkpoint, config, tokenizer, device, dtype)
        else:
            config = preset_config(self.preset, self.task)
            if not self.random_weights:
                raise ValueError(f"preset {self.preset} has no weights: add --random-weights, or give --model")
        small = config.text["d_model"] < _SMALL_TEXT
        return config, random_parts(config, device, dtype, small if self.text_encoder is None else self.text_encoder)


def _plain_over_cached(entries: dict[str, Any]) -> dict[str, float]:
    """How many times as fast, by the number of steps, where both rungs were measured."""
    plain, cached = (entries.get(rung.value, {"steps": {}})["steps"] for rung in (Rung.PLAIN, Rung.CACHED))
    return {number: plain[number]["p50_ms"] / cached[number]["p50_ms"] for number in plain if number in cached}
