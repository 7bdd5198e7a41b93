"""`wam bench plan`: how long a plan takes, by stage and rung, beside the machine's floor and the paper's figures."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from wam_models.checkpoint import CheckpointError, open_checkpoint
from wam_models.evaluation.floor import Ceilings, count_work, floors
from wam_models.evaluation.plan_speed import (
    PAPER_MS,
    Kind,
    measure,
    peak_bytes,
    random_parts,
)
from wam_models.metis.config import MetisConfig
from wam_models.metis.engine import Parts
from wam_models.metis.loading import read_parts
from wam_models.metis.presets import PRESETS, preset_config
from wam_models.runtime.ladder import Rung, make_rung, obstacle
from wam_models.runtime.precision import cast_autoencoder, cast_transformer, make_precision
from wam_tools.output import console, show_table, write_json

GIB = 2**30

app = typer.Typer(help="How long a plan takes, by stage, on each rung of the speed ladder.")


@app.command()
def plan(
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}; needs --random-weights.")] = "",
    model: Annotated[str, typer.Option(help="A bundled model or a checkpoint directory, in place of a preset.")] = "",
    task: Annotated[str, typer.Option(help="Of a preset: driving or navigation.")] = "driving",
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Seeded ones: times are the same.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16; default: bfloat16 on a GPU.")] = "",
    steps: Annotated[str, typer.Option(help="Flow steps of a plan, several with commas.")] = "1,2,5,10",
    rungs: Annotated[str, typer.Option(help=f"all, or of {', '.join(each.value for each in Rung)}.")] = "all",
    candidates: Annotated[int, typer.Option(min=1, help="Also the best of this many, at the most steps.")] = 1,
    imagine: Annotated[
        bool, typer.Option("--imagine", help="Also with video, latents only, at the most steps.")
    ] = False,
    text_encoder: Annotated[
        bool | None, typer.Option("--text-encoder/--no-text-encoder", help="Default: unless it is a large one.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Plans that are timed.")] = 30,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """From frames on the host to actions on the host. Exit status 1 when a rung that was named cannot be had here."""
    torch.set_num_threads(threads)
    try:
        place = torch.device(device)
        dtype = make_precision(precision or ("bfloat16" if place.type == "cuda" else "float32"))
        chosen = list(Rung) if rungs == "all" else [make_rung(name, place) for name in rungs.split(",")]
        numbers = sorted({int(part) for part in steps.split(",")})
        config, parts = _parts(preset, model, task, random_weights, place, dtype, text_encoder)
    except (CheckpointError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    kinds = [Kind(number) for number in numbers]
    kinds += [Kind(numbers[-1], candidates=candidates)] if candidates > 1 else []
    kinds += [Kind(numbers[-1], imagine=True)] if imagine else []

    ceilings = Ceilings.measure(place, dtype)
    work = count_work(config, dtype)
    floor = floors(work, ceilings, numbers)
    report: dict[str, Any] = {
        "device": _name(place),
        "preset": preset or model,
        "task": task if preset else None,
        "precision": precision or str(dtype).removeprefix("torch."),
        "threads": threads,
        "torch": torch.__version__,
        "ceilings": {"bandwidth_gb_s": ceilings.bandwidth / 1e9, "rate_tflop_s": ceilings.rate / 1e12},
        "floor_ms": {str(number): value for number, value in floor.items()},
        "stage_floor_ms": {name: each.floor(ceilings) for name, each in work.items()},
        "paper_ms": PAPER_MS if (preset, task) == ("wan22_5b_ae1b", "driving") else None,
        "rungs": {},
        "left_out": {rung.value: reason for rung in chosen if (reason := obstacle(rung, place))},
    }
    with console.status("measuring") as status:
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        for rung, kind, timing, apart in measure(parts, chosen, kinds, repeats, status.update):
            entry = report["rungs"].setdefault(rung.value, {"steps": {}})
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
            entry["peak_gib"] = peak_bytes(place) / GIB
    report["peak_gib"] = peak_bytes(place) / GIB
    _show(report)
    if json is not None:
        write_json(json, report)


def _parts(
    preset: str,
    model: str,
    task: str,
    random_weights: bool,
    device: torch.device,
    dtype: torch.dtype,
    text_encoder: bool | None,
) -> tuple[MetisConfig, Parts]:
    if bool(preset) == bool(model):
        raise ValueError("say what to measure: --preset NAME --random-weights, or --model CHECKPOINT")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("this torch sees no NVIDIA GPU: choose --device cpu, or install a CUDA build of torch")
    if model:
        from wam_planner.bringup import find_model  # a machine for measuring need not have the robot's packages

        checkpoint = open_checkpoint(Path(find_model(model)))
        config = MetisConfig.from_dict(checkpoint.config["network"])
        if not random_weights:
            parts = read_parts(checkpoint, config, device)
            cast_transformer(parts.network, dtype)
            cast_autoencoder(parts.autoencoder, dtype)
            return config, parts
    else:
        config = preset_config(preset, task)
        if not random_weights:
            raise ValueError(
                "a preset has no weights of its own: add --random-weights, or convert some and give --model"
            )
    if text_encoder is None:
        text_encoder = config.text["d_model"] < 1024
    return config, random_parts(config, device, dtype, text_encoder)


_STAGES = ("preprocess", "text", "vae", "prefill")


def _show(report: dict[str, Any]) -> None:
    rows = [
        _row(report, rung, label, values)
        for rung, entry in report["rungs"].items()
        for label, values in [*entry["steps"].items(), *((k, v) for k, v in entry.items() if isinstance(v, dict))]
        if label != "steps"
    ]
    ceilings = report["ceilings"]
    show_table(
        f"{report['preset']} on {report['device']}, {report['precision']}: {ceilings['bandwidth_gb_s']:.0f} GB/s, "
        f"{ceilings['rate_tflop_s']:.2f} TFLOP/s, peak {report['peak_gib']:.1f} GiB; all in ms",
        ("rung", "plan", *_STAGES, "a step", "p50", "p99", "floor", "x floor", "paper", "apart"),
        rows,
    )
    for reason in report["left_out"].values():
        console.print(reason, highlight=False)
    for number, ratio in plain_over_cached(report).items():
        console.print(f"{number} steps: cached is {ratio:.1f} times as fast as plain", highlight=False)


def _row(report: dict[str, Any], rung: str, label: str, values: dict[str, Any]) -> tuple[str, ...]:
    stages, steps = values["stages_ms"], values["steps"]
    video = label == "with_video"
    floor = None if video else report["floor_ms"][str(steps)]
    paper = (report["paper_ms"] or {}).get("with_video" if video else str(steps))
    return (
        rung,
        f"{steps} steps" if label == str(steps) else f"{steps}, {label.replace('_', ' ')}",
        *(f"{stages[name]:.1f}" if name in stages else "" for name in _STAGES),
        f"{stages['flow'] / steps:.2f}",
        f"{values['p50_ms']:.1f}",
        f"{values['p99_ms']:.1f}",
        f"{floor:.1f}" if floor else "",
        f"{values['p50_ms'] / floor:.1f}" if floor else "",
        f"{paper:.0f}" if paper else "",
        f"{values['apart']:.0e}",
    )


def plain_over_cached(report: dict[str, Any]) -> dict[str, float]:
    """By the number of steps, where both rungs were measured."""
    plain, cached = (report["rungs"].get(name, {"steps": {}})["steps"] for name in ("plain", "cached"))
    return {number: plain[number]["p50_ms"] / cached[number]["p50_ms"] for number in plain if number in cached}


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
