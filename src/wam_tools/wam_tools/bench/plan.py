"""`wam bench plan`: how long a plan takes, by stage and rung, beside the machine's floor and the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wam_models.evaluation.plan_report import Measurement
from wam_models.metis.presets import PRESETS
from wam_tools.output import console, show_table, write_json

_STAGES = ("preprocess", "text", "vae", "prefill")

app = typer.Typer(help="How long a plan takes, by stage, on each rung of the speed ladder.")


@app.command()
def plan(
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}; needs --random-weights.")] = "",
    model: Annotated[str, typer.Option(help="A bundled model or a checkpoint directory, in place of a preset.")] = "",
    task: Annotated[str, typer.Option(help="Of a preset: driving or navigation.")] = "driving",
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Seeded; they take as long.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16; default: bfloat16 on a GPU.")] = "",
    steps: Annotated[str, typer.Option(help="Flow steps of a plan, several with commas.")] = "1,2,5,10",
    rungs: Annotated[str, typer.Option(help="all, or of plain, cached, graph, compiled, fp8, with commas.")] = "all",
    candidates: Annotated[int, typer.Option(min=1, help="Also the best of this many, at the most steps.")] = 1,
    imagine: Annotated[
        bool, typer.Option("--imagine", help="Also with the video's latents, at the most steps.")
    ] = False,
    text_encoder: Annotated[
        bool | None, typer.Option("--text-encoder/--no-text-encoder", help="Default: unless it is a large one.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Plans that are timed.")] = 30,
    seconds: Annotated[float, typer.Option(min=0.0, help="Per plan of each kind, after which ten are enough.")] = 30.0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """From pictures of a camera, 1280 wide, on the host to actions on it: they are resized, embedded, planned with.
    Exit status 1 when something asked for by name cannot be had here; `all` leaves out what cannot."""
    try:
        measurement = Measurement(
            preset=preset,
            checkpoint=_find(model) if model else None,
            task=task,
            random_weights=random_weights,
            device=device,
            precision=precision,
            steps=_numbers(steps),
            rungs=rungs,
            candidates=candidates,
            imagine=imagine,
            text_encoder=text_encoder,
            repeats=repeats,
            seconds=seconds,
            threads=threads,
        )
        with console.status("preparing") as status:
            report = measurement.report(status.update)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if json is not None:
        write_json(json, report)
    _show(report)
    named = [] if rungs == "all" else rungs.split(",")
    if not report["rungs"] or any(rung in report["left_out"] for rung in named):
        raise typer.Exit(1)


def _find(model: str) -> Path:
    from wam_planner.bringup import find_model  # a machine for measuring need not have the robot's packages

    return Path(find_model(model))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--steps takes whole numbers with commas, not {text!r}") from None


def _show(report: dict[str, Any]) -> None:
    plans = [
        (rung, label, values)
        for rung, entry in report["rungs"].items()
        for label, values in (entry["steps"] | entry).items()
        if label not in ("steps", "peak_gib")
    ]
    ceilings, with_paper = report["ceilings"], report["paper_ms"] is not None
    peak = "" if report["peak_gib"] is None else f", peak {report['peak_gib']:.1f} GiB"
    show_table(
        f"{report['preset']} on {report['device']}, {report['precision']}: {ceilings['bandwidth_gb_s']:.0f} GB/s, "
        f"{ceilings['rate_tflop_s']:.2f} TFLOP/s{peak}; all in ms",
        ("rung", "plan", *_STAGES, "a step", "p50", "p99", "floor", "x floor", *(["paper"] if with_paper else [])),
        (_row(report, *plan) for plan in plans),
    )
    for reason in report["left_out"].values():
        console.print(reason, highlight=False, markup=False)
    for number, ratio in report["plain_over_cached"].items():
        console.print(
            f"{number} step{'s' * (number != '1')}: cached is {ratio:.1f} times as fast as plain", highlight=False
        )
    if len(report["rungs"]) > 1:
        apart = max(values["apart"] for _, _, values in plans)
        console.print(f"actions differ between rungs by at most {apart:.0e}, where 1 is the noise", highlight=False)


def _row(report: dict[str, Any], rung: str, label: str, values: dict[str, Any]) -> tuple[str, ...]:
    stages, steps = values["stages_ms"], values["steps"]
    video = label == "with_video"
    floor = report["floor_ms"][str(steps)] if label == str(steps) else None  # it is that of one candidate
    paper = (report["paper_ms"] or {}).get("with_video" if video else str(steps))
    return (
        rung,
        f"{steps} step{'s' * (steps > 1)}" if label == str(steps) else f"{steps}, {label.replace('_', ' ')}",
        *(f"{stages[name]:.1f}" if name in stages else "" for name in _STAGES),
        f"{stages['flow'] / steps:.1f}",
        f"{values['p50_ms']:.1f}",
        f"{values['p99_ms']:.1f}",
        f"{floor:.1f}" if floor else "",
        f"{values['p50_ms'] / floor:.1f}" if floor else "",
        *([f"{paper:.0f}" if paper else ""] if report["paper_ms"] is not None else []),
    )
