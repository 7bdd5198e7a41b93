"""`wam models`: which checkpoints are here, what they are, whether they are whole; and others from public weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn, Progress

from wam_models.checkpoint import CARD, Checkpoint, CheckpointError, open_checkpoint
from wam_models.licence import licence_of
from wam_models.metis.config import MetisConfig
from wam_models.metis.presets import PRESETS, find_preset
from wam_models.metis.size import describe
from wam_models.policy import load_policy
from wam_planner.bringup import bundled_models, find_model
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="List, show and verify checkpoints; make them from public weights.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="A bundled model by name, or a checkpoint directory.")]
Task = Annotated[str, typer.Option(help="driving or navigation: the images and points of a preset.")]
Json = Annotated[Path | None, typer.Option(help="Write the answer to this file too.")]


@app.command("list")
def list_models(json: Json = None) -> None:
    """The bundled checkpoints, and the presets. Exit status 1 when a checkpoint is broken."""
    models = [_summary(path) for path in sorted(bundled_models().glob("*/"))]
    show_table(
        f"checkpoints in {bundled_models()}",
        ("name", "model", "MB", "state"),
        ((each["name"], each["model_id"] or "", f"{each['bytes'] / 1e6:.1f}", each["state"]) for each in models),
    )
    show_table(
        "presets, for `wam models info` and `wam models convert`",
        ("name", "backbone", "action expert", "licence"),
        (
            (preset.name, preset.backbone.source or "random weights", f"{preset.width} wide", preset.backbone.licence)
            for preset in PRESETS.values()
        ),
    )
    presets = [{"name": name, "model_id": None, "bytes": None, "state": "preset"} for name in PRESETS]
    _write(json, models + presets)
    if any(each["state"] != "whole" for each in models):
        raise typer.Exit(1)


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A bundled model or a preset by name, or a checkpoint directory.")],
    task: Task = "driving",
    json: Json = None,
) -> None:
    """What a checkpoint wants and gives, and its card; of a preset, what it would be."""
    if model in PRESETS:
        _preset_info(model, task, json)
        return
    checkpoint = _open(model)
    size = sum(path.stat().st_size for path in checkpoint.weights_files if path.is_file())
    values = {
        "model_id": checkpoint.model_id,
        "directory": str(checkpoint.directory),
        "bytes": size,
        "sha256": {path.name: checkpoint.hashes[path.name] for path in checkpoint.weights_files},
        **checkpoint.config,
        "licence": licence_of(checkpoint),
        **_describe(checkpoint),
    }
    hashes = ", ".join(f"{name} {digest}" for name, digest in values["sha256"].items())
    in_files = {"bytes": f"{size / 1e6:,.1f} MB", "sha256": hashes}
    show_table(checkpoint.model_id, ("", ""), _readable({**values, **in_files, **checkpoint.preprocessing}).items())
    card = checkpoint.directory / CARD
    if card.is_file():
        console.print(card.read_text(), markup=False)
    _write(json, {**values, "preprocessing": checkpoint.preprocessing, "statistics": checkpoint.statistics})


@app.command()
def verify(model: Model, json: Json = None) -> None:
    """Checks every file against the recorded hashes, then loads the model. Exit status 1 when either fails."""
    checkpoint = _open(model, every_hash=True)
    try:
        policy = load_policy(checkpoint.directory)
    except CheckpointError as error:
        raise _refusal(error) from error
    spec = policy.spec
    untrained = "" if spec.trained else "; it was never trained: its plans mean nothing"
    console.print(
        f"{spec.model_id} is whole and loads: {spec.horizon} points every {spec.dt} s{untrained}", highlight=False
    )
    _write(json, {"model_id": spec.model_id, "horizon": spec.horizon, "dt": spec.dt, "image_size": spec.image_size})


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A diffusers or Wan folder, or a file of DriveVA, FastWAM or SimWAM.")],
    out: Annotated[Path, typer.Argument(help="The checkpoint directory to make.")],
    preset: Annotated[str, typer.Option(help="Which network; see `wam models list`.")],
    task: Task = "driving",
    format: Annotated[str, typer.Option(help="auto, diffusers, wan, driveva, fastwam or simwam.")] = "auto",
    base: Annotated[
        Path | None, typer.Option(help="Folder of the backbone, for a SOURCE that is a transformer alone.")
    ] = None,
    action: Annotated[
        str, typer.Option(help="How an action expert starts that SOURCE lacks: random, or resized from the video's.")
    ] = "random",
    seed: Annotated[int, typer.Option(help="Of what is random.")] = 0,
    precision: Annotated[str, typer.Option(help="Of the weights: bfloat16 or float32.")] = "bfloat16",
    json: Json = None,
) -> None:
    """Public weights to a checkpoint, to be trained. Exit status 1 when they do not fit the preset."""
    from wam_models.convert.convert import convert as make
    from wam_models.convert.convert import summary

    try:
        chosen = find_preset(preset)
        if not source.exists() and chosen.backbone.source:
            fetch = f"hf download {chosen.backbone.source} --local-dir {source}"
            raise ValueError(f"there is nothing at {source}: fetch the weights first, for example `{fetch}`")
        with Progress(*Progress.get_default_columns(), DownloadColumn(), console=console, transient=True) as bar:
            row = bar.add_task(preset, total=None)
            made = make(
                source,
                out,
                chosen.config(task),
                name=preset,
                format=format,
                base=base,
                action=action,
                seed=seed,
                precision=precision,
                licence=f"{chosen.backbone.licence} ({chosen.backbone.source or chosen.backbone.name})",
                progress=lambda done, total: bar.update(row, completed=done, total=total),
            )
    except ValueError as error:
        raise _refusal(error) from error
    console.print(f"{made.checkpoint.model_id} in {out}, action expert: {made.expert}", highlight=False, markup=False)
    for why, names in {**made.left_out, "made anew": made.fresh}.items():
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        console.print(f"{why}: {', '.join(names[:10])}{more}", highlight=False, markup=False)
    console.print("It must be trained: the statistics of its actions are unknown.", highlight=False)
    _write(json, {"preset": preset, "task": task, **summary(made)})


def _preset_info(name: str, task: str, json: Path | None) -> None:
    try:
        values = find_preset(name).describe(task)
    except ValueError as error:
        raise _refusal(error) from error
    source = values["source"] or "none: its weights are random until they are trained here"
    show_table(f"preset {name}", ("", ""), _readable({**values, "source": source}).items())
    _write(json, values)


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Of its network; nothing for one that this version does not run."""
    try:
        return describe(MetisConfig.from_dict(checkpoint.config["network"]))
    except (KeyError, TypeError, ValueError):
        return {}


def _readable(values: dict[str, Any]) -> dict[str, Any]:
    """With units, and without the network's dictionary, which the JSON has."""
    if "parameters" in values:
        parameters = ", ".join(f"{part} {count / 1e6:,.1f} M" for part, count in values["parameters"].items())
        gpu = "more than any common GPU has" if values["gpu_gib"] is None else f"{values['gpu_gib']} GiB"
        values = {
            **values,
            "parameters": parameters,
            "weights_bytes": f"{values['weights_bytes'] / 1e6:,.1f} MB in bfloat16",
            "planning_gib": f"{values['planning_gib']:.1f}, computed: network and autoencoder in bfloat16, kept keys "
            "and values, activations, 1 for CUDA; instructions embedded elsewhere",
            "gpu_gib": f"smallest common GPU: {gpu}",
        }
    return {name: value for name, value in values.items() if name != "network"}


def _open(model: str, *, every_hash: bool = False) -> Checkpoint:
    if model in PRESETS:
        raise _refusal(ValueError(f"{model} is a preset and has no files: see `wam models info {model}`"))
    try:
        return open_checkpoint(Path(find_model(model)), every_hash=every_hash)
    except ValueError as error:
        raise _refusal(error) from error


def _refusal(error: ValueError) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)


def _summary(directory: Path) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    try:
        found = open_checkpoint(directory)
    except CheckpointError as error:
        return {"name": directory.name, "model_id": None, "bytes": size, "state": str(error)}
    return {"name": directory.name, "model_id": found.model_id, "bytes": size, "state": "whole"}


def _write(file: Path | None, data: Any) -> None:
    if file is not None:
        write_json(file, data)
