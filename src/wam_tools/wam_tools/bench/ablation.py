"""`wam bench ablation`: one network trained with each attention mask and without video, then scored side by side.

It may be stopped and started again: what is trained or has walked is not done again. See trials.py for how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wam_models.checkpoint import CheckpointError
from wam_models.data.bag_reader import BagError
from wam_models.evaluation.ablation import Difference, Interval, Trial, VariantScores, compare, score_variant
from wam_models.training.recipe import FinishedAutoencoder, Recipe, RecipeError, read_recipe
from wam_models.training.train import gather
from wam_tools.bench.trials import (
    BASE,
    SPLIT,
    VARIANTS,
    Unit,
    claim,
    read_json,
    read_trial,
    train_missing,
    varied,
    walk_missing,
)
from wam_tools.output import console, show_table, write_json
from wam_tools.train import View, progress_bars, record_missing

app = typer.Typer(help="Attention masks, and training without video: equal data, steps and seeds, with intervals.")


@app.command()
def ablation(
    config: Annotated[Path, typer.Option(help="The recipe.")] = Path("models/configs/ablation_yard.yaml"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant.")] = 3,
    episodes: Annotated[int, typer.Option(min=1, help="Walks of each training.")] = 40,
    workers: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
    steps: Annotated[int, typer.Option(min=0, help="Training steps; default: the recipe's.")] = 0,
    only: Annotated[str, typer.Option(help=f"Variants with commas, of {', '.join(VARIANTS)}; default: all.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where it is made; default: the recipe's.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
) -> None:
    """Trains what is missing, walks it, prints success and displacement errors with 95 % intervals."""
    try:
        recipe = _checked(read_recipe(config), steps, output)
        units = [Unit(name, varied(recipe, name, recipe.seed + n)) for n in range(seeds) for name in _chosen(only)]
        claim(units)
        with progress_bars() as progress:
            view = View(progress)
            for name in recipe.rounds[0].data:
                record_missing(recipe.data[name], None, workers, view)
            windows = _windows(recipe, view)
            train_missing(units, workers, view)
            walk_missing(units, episodes, workers, view)
    except (RecipeError, BagError, CheckpointError, FileExistsError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    trials: dict[str, list[Trial]] = {}
    for unit in units:
        trials.setdefault(unit.variant, []).append(read_trial(unit))
    budget = _budget(units, windows, seeds, episodes)
    scores = {name: score_variant(of_it) for name, of_it in trials.items()}
    others = [name for name in trials if name != BASE and BASE in trials]
    differences = {f"{name} - {BASE}": compare(trials[name], trials[BASE]) for name in others}
    _show(scores, differences, budget)
    if json is not None:
        write_json(
            json,
            {
                "budget": budget,
                "variants": {name: values.to_dict() for name, values in scores.items()},
                "differences": {name: values.to_dict() for name, values in differences.items()},
            },
        )


def _checked(recipe: Recipe, steps: int, output: Path | None) -> Recipe:
    """With what the command line says otherwise. Raises RecipeError when the recipe does not make equal variants."""
    if not isinstance(recipe.autoencoder, FinishedAutoencoder):
        raise RecipeError("the variants share one autoencoder: give the recipe's autoencoder weights")
    if recipe.start is not None or len(recipe.rounds) != 1:
        raise RecipeError("the variants are trained from nothing, in one round: leave out start and other rounds")
    plan = recipe.rounds[0]
    if plan.batch or not plan.video_batch:
        raise RecipeError(
            "a window of 'batch' trains plans that see no video, which the joint mask never makes: "
            "batch must be 0, and video_batch at least 1"
        )
    return replace(
        recipe,
        output=recipe.output if output is None else output,
        rounds=[replace(plan, steps=steps or plan.steps)],
    )


def _chosen(only: str) -> list[str]:
    wanted = [name for name in only.split(",") if name] or list(VARIANTS)
    if unknown := set(wanted) - set(VARIANTS):
        raise ValueError(f"no variant is called {', '.join(sorted(unknown))}: there are {', '.join(VARIANTS)}")
    return [name for name in VARIANTS if name in wanted]


def _windows(recipe: Recipe, view: View) -> int:
    """How many train. Makes what all trainings read, so that no two of them make it at once."""
    data = gather(recipe, 0, view.report).data
    training = int((~data.held_out[data.future_window]).sum())
    if not (training and data.held_out.any()):
        raise RecipeError(
            f"{training} windows to train on and {data.held_out.sum()} held out: record more runs, or change held_out"
        )
    return training


def _budget(units: Sequence[Unit], windows: int, seeds: int, episodes: int) -> dict[str, Any]:
    """What every variant was given, and what all took; minutes: of one process, of the last run where one stopped."""
    recipe = units[0].recipe
    plan = recipe.rounds[0]
    held_out = int(read_json(units[0].scores_file)["windows"])
    return {
        "steps": plan.steps,
        "batch": plan.video_batch,
        "windows": {"training": windows, "held_out": held_out},
        "seeds": seeds,
        "walks": {"split": SPLIT, "episodes": episodes},
        "flow_steps": recipe.network.steps,
        "minutes": {
            "training": sum(read_json(unit.scores_file)["minutes"] for unit in units),
            "walks": sum(read_json(unit.walks_file)["minutes"] for unit in units),
        },
    }


def _show(scores: dict[str, VariantScores], differences: dict[str, Difference], budget: dict[str, Any]) -> None:
    windows, minutes, walks = budget["windows"], budget["minutes"], budget["walks"]
    console.print(
        f"each training: {budget['steps']} steps of {budget['batch']} windows, drawn from {windows['training']}; "
        f"{budget['seeds']} of each variant; {walks['episodes']} walks in {walks['split']} and {windows['held_out']} "
        f"held-out windows each, {budget['flow_steps']} flow steps a plan; process minutes: "
        f"{minutes['training']:.0f} training, {minutes['walks']:.0f} walking",
        highlight=False,
    )
    show_table(
        "ablation (95 % intervals: of all walks, Wilson; of the seeds, t)",
        ("variant", "success", "by seed", "of the seeds", "contact", "ADE m", "FDE m"),
        (
            (
                name,
                f"{_percent(of_it.success)} {_range(of_it.success_ci, 100, 0)}",
                ", ".join(_percent(seed["success"]) for seed in of_it.seeds),
                _range(of_it.success_seeds_ci, 100, 0),
                f"{_percent(of_it.contact)} {_range(of_it.contact_ci, 100, 0)}",
                f"{of_it.ade_m:.3f} {_range(of_it.ade_ci, 1, 3)}",
                f"{of_it.fde_m:.3f} {_range(of_it.fde_ci, 1, 3)}",
            )
            for name, of_it in scores.items()
        ),
    )
    if differences:
        show_table(
            "differences, paired by seed and world (95 % t-intervals)",
            ("", "success, points", "over worlds", "over seeds", "ADE cm", "FDE cm"),
            (
                (
                    name,
                    f"{100 * of_it.success:+.1f}",
                    _range(of_it.success_worlds_ci, 100, 1),
                    _range(of_it.success_seeds_ci, 100, 1),
                    f"{100 * of_it.ade_m:+.2f} {_range(of_it.ade_ci, 100, 2)}",
                    f"{100 * of_it.fde_m:+.2f} {_range(of_it.fde_ci, 100, 2)}",
                )
                for name, of_it in differences.items()
            ),
        )


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _range(bounds: Interval, factor: float, digits: int) -> str:
    """Of a single seed there is none."""
    low, high = (factor * bound for bound in bounds)
    return f"[{low:.{digits}f}, {high:.{digits}f}]" if low == low else "-"
