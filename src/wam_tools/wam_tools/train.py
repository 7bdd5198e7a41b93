"""`wam train`: follows a recipe from nothing to a checkpoint, recording what data it lacks on the way."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wam_models.data.bags import BagError
from wam_models.training.recipe import DataSet, Recipe, RecipeError, read_recipe
from wam_models.training.train import train_round
from wam_sim.recording import record_runs
from wam_tools.output import console

LOG_PERIOD = 30.0  # s

app = typer.Typer(help="Train a model from recorded runs; continues where it stopped.")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="The recipe, for example models/configs/metis_yard.yaml.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Processes that record runs.")] = 2,
) -> None:
    """Records, trains round by round, writes the checkpoint. Run it again after a stop: it goes on."""
    try:
        recipe = read_recipe(config)
        with Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        ) as progress:
            view = _View(progress)
            checkpoint = recipe.output
            for number, plan in enumerate(recipe.rounds):
                for name in plan.data:
                    _record(recipe.data[name], checkpoint, workers, view)
                checkpoint = train_round(recipe, number, view.report, device=device)
        _bundle(recipe, checkpoint)
    except (RecipeError, BagError, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


class _View:
    """One bar a stage, in the order in which the stages come; in a log file a line a stage every half minute."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def report(self, stage: str, done: int, of: int, figures: dict[str, float]) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=of, figures="")
        text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._progress.update(self._bars[stage], completed=done, total=of, figures=text)
        now = monotonic()
        if not console.is_terminal and (done == of or now - self._said.get(stage, -math.inf) > LOG_PERIOD):
            self._said[stage] = now
            console.print(f"{stage} {done}/{of} {text}", highlight=False)


def _record(data: DataSet, checkpoint: Path, workers: int, view: _View) -> None:
    """The runs of a data set that are not there yet. A data set without a `record` entry is the user's own."""
    if data.record is None:
        return
    settings = dict(data.record)
    driver, split, runs = settings.pop("driver"), settings.pop("split"), settings.pop("runs")
    policy = checkpoint if driver == "policy" else None
    for done, _ in enumerate(record_runs(data.folder, split, runs, workers=workers, policy=policy, **settings), 1):
        view.report(f"runs of {data.name}", done, runs, {})


def _bundle(recipe: Recipe, checkpoint: Path) -> None:
    if recipe.bundle is not None:
        shutil.rmtree(recipe.bundle, ignore_errors=True)
        shutil.copytree(checkpoint, recipe.bundle)
        console.print(f"{recipe.bundle} holds the new checkpoint", highlight=False)
