"""`wam models`: which checkpoints are here, what they are, whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wam_models.checkpoint import CARD, Checkpoint, CheckpointError, open_checkpoint
from wam_models.policy import load_policy
from wam_planner.bringup import find_model, prefix
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="List, show and verify checkpoints.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="A bundled model by name, or a checkpoint directory.")]
Json = Annotated[Path | None, typer.Option(help="Write the answer to this file too.")]


@app.command("list")
def list_models(json: Json = None) -> None:
    """The bundled checkpoints. Exit status 1 when one of them is broken."""
    folder = prefix("wam_models") / "share" / "wam_models" / "bundled"
    models = [_summary(path) for path in sorted(folder.glob("*/"))]
    show_table(
        f"checkpoints in {folder}",
        ("name", "model", "MB", "state"),
        ((each["name"], each["model_id"] or "", f"{each['bytes'] / 1e6:.1f}", each["state"]) for each in models),
    )
    _write(json, models)
    if any(each["state"] != "whole" for each in models):
        raise typer.Exit(1)


@app.command()
def info(model: Model, json: Json = None) -> None:
    """What a checkpoint wants and gives, and its card."""
    checkpoint = _open(model)
    values = {"model_id": checkpoint.model_id, "directory": str(checkpoint.directory), **checkpoint.config}
    show_table(checkpoint.model_id, ("", ""), [*values.items(), *checkpoint.preprocessing.items()])
    card = checkpoint.directory / CARD
    if card.is_file():
        console.print(card.read_text(), markup=False)
    _write(json, {**values, "preprocessing": checkpoint.preprocessing, "statistics": checkpoint.statistics})


@app.command()
def verify(model: Model, json: Json = None) -> None:
    """Checks every file against the recorded hashes, then loads the model. Exit status 1 when either fails."""
    checkpoint = _open(model)
    try:
        policy = load_policy(checkpoint.directory)
    except CheckpointError as error:
        raise _refusal(error) from error
    spec = policy.spec
    console.print(f"{spec.model_id} is whole and loads: {spec.horizon} points every {spec.dt} s", highlight=False)
    _write(json, {"model_id": spec.model_id, "horizon": spec.horizon, "dt": spec.dt, "image_size": spec.image_size})


def _open(model: str) -> Checkpoint:
    try:
        return open_checkpoint(Path(find_model(model)))
    except CheckpointError as error:
        raise _refusal(error) from error


def _refusal(error: CheckpointError) -> typer.Exit:
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
