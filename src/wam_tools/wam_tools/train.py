"""`wam train`: follows a recipe from nothing to a checkpoint, recording what data it lacks on the way."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wam_models.checkpoint import MANIFEST
from wam_models.data.bag_reader import BagError
from wam_models.runtime.ladder import make_device
from wam_models.training.recipe import DataSet, Recipe, RecipeError, read_recipe
from wam_models.training.scale import Processes
from wam_models.training.train import train_round
from wam_sim.runs import missing_runs, record_runs
from wam_tools.output import console
from wam_tools.train_plan import PRESET, show_plan

LOG_PERIOD = 30.0  # s

app = typer.Typer(help="Train a model from recorded runs; continues where it stopped.")


@app.command()
def train(
    config: Annotated[
        str,
        typer.Argument(help="The recipe, for example models/configs/metis_yard.yaml; with --plan also preset:NAME."),
    ],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Processes that record runs.")] = 2,
    plan: Annotated[
        bool, typer.Option("--plan", help="Train nothing: print the memory it would take of GPUs.")
    ] = False,
    windows: Annotated[int, typer.Option(min=1, help="With a preset's plan: windows a GPU works on at a time.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the plan to this file too.")] = None,
) -> None:
    """Records, trains round by round, writes the checkpoint. Run it again after a stop: it goes on.

    On several GPUs: torchrun --nproc-per-node 8 -m wam_tools train CONFIG --device cuda
    """
    try:
        if plan:
            show_plan(config, windows, json)
            return
        if config.startswith(PRESET):
            raise RecipeError(f"{config} has no data to train on: add --plan to see what it takes, or give a recipe")
        make_device(device)  # before hours of recording, not after them
        recipe = read_recipe(Path(config))
        _check_bundle(recipe.bundle)
        processes = Processes(device)
        with progress_bars(shown=processes.first) as progress:
            checkpoint = _follow(recipe, workers, processes, View(progress))
        if recipe.bundle is not None and processes.first:
            _replace(recipe.bundle, checkpoint)
        processes.close()
    except (ValueError, BagError, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _follow(recipe: Recipe, workers: int, processes: Processes, view: View) -> Path:
    """The checkpoint of the recipe's last round."""
    start = checkpoint = recipe.start
    if start is not None and start.suffix == ".yaml":
        first = read_recipe(start)
        start = checkpoint = first.output / f"round{len(first.rounds) - 1}"
        if not start.exists():
            _follow(first, workers, processes, view.of(first))
    recorded: set[str] = set()
    for number, plan in enumerate(recipe.rounds):
        for name in plan.data:
            if name not in recorded and processes.first:
                record_missing(recipe.data[name], checkpoint, workers, view)
                recorded.add(name)
        processes.wait()
        checkpoint = train_round(recipe, number, view.report, start_from=start, processes=processes)
    assert checkpoint is not None
    return checkpoint


def progress_bars(shown: bool = True) -> Progress:
    """What a View writes on."""
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        disable=not shown,
    )


class View:
    """One bar a stage, in the order in which the stages come; in a log file a line a stage every half minute."""

    def __init__(self, progress: Progress, prefix: str = "") -> None:
        self._progress, self._prefix = progress, prefix
        self._bars: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def of(self, recipe: Recipe) -> View:
        """The stages of another recipe, with its name in front of each."""
        return View(self._progress, f"{recipe.name} {recipe.version}: ")

    def report(self, stage: str, done: int, of: int, figures: dict[str, float]) -> None:
        stage = self._prefix + stage
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=of, figures="")
        text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._progress.update(self._bars[stage], completed=done, total=of, figures=text)
        now = monotonic()
        if not console.is_terminal and (done == of or now - self._said.get(stage, -math.inf) > LOG_PERIOD):
            self._said[stage] = now
            console.print(f"{stage} {done}/{of} {text}", highlight=False)


def record_missing(data: DataSet, checkpoint: Path | None, workers: int, view: View) -> None:
    """The runs of a data set that are not there yet, with the shares of them that arrived and that touched something:
    how well a policy does that records its own runs. A data set without a `record` entry is the user's own."""
    if data.record is None:
        return
    wanted = data.record
    if wanted.driver == "policy" and checkpoint is None:
        raise RecipeError(f"data {data.name!r} is driven by a policy, and the first round has none: add a start")
    policy = checkpoint if wanted.driver == "policy" else None
    missing = missing_runs(data.folder, wanted.split, wanted.runs, wanted.first_seed, wanted.starts, wanted.place)
    runs = record_runs(
        data.folder,
        wanted.split,
        wanted.runs,
        place=wanted.place,
        workers=workers,
        first_seed=wanted.first_seed,
        starts=wanted.starts,
        what_ifs=wanted.what_ifs,
        policy=policy,
    )
    there, arrived, touched = wanted.runs - len(missing), 0, 0
    for made, run in enumerate(runs, 1):
        arrived, touched = arrived + run.reached, touched + run.contact
        shares = {"arrived": arrived / made, "touched": touched / made}
        view.report(f"runs of {data.name}", there + made, wanted.runs, shares)


def _check_bundle(bundle: Path | None) -> None:
    """Before hours of work, not after them: what the last checkpoint replaces is a checkpoint too."""
    if bundle is not None and bundle.exists() and not (bundle / MANIFEST).exists():
        raise RecipeError(f"{bundle} is no checkpoint and is not replaced: give bundle another name")


def _replace(bundle: Path, checkpoint: Path) -> None:
    partial = bundle.with_name(bundle.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial)
    shutil.rmtree(bundle, ignore_errors=True)
    partial.rename(bundle)
    console.print(f"{bundle} holds the new checkpoint", highlight=False)
