"""`wam bench told`: whether a policy goes left when told left and right when told right, before the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from wam_models.checkpoint import CheckpointError
from wam_models.evaluation.town import bootstrap
from wam_models.policy import load_policy
from wam_planner.bringup import find_model
from wam_sim.town.layout import SPLITS
from wam_sim.town.told import Told, ask_both
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="Told left and told right before the same picture: how often plans go to those sides.")


@app.command()
def told(
    split: Annotated[str, typer.Option(help=f"Which towns: {', '.join(SPLITS)}.")] = "val",
    towns: Annotated[int, typer.Option(min=1, help="One junction in each.")] = 40,
    model: Annotated[str, typer.Option(help="A bundled model or a checkpoint directory.")] = "metis-town",
    seed: Annotated[int, typer.Option(min=0, help="First town of the split.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """Told left and told right before the same picture: how often plans go to those sides. Exit status 1 when the
    policy could not be run."""
    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not a split: choose one of {', '.join(SPLITS)}")
    try:
        policy = load_policy(find_model(model))
        answers = list(track(ask_both(policy, split, towns, seed), "asking", console=console, transient=True))
    except (CheckpointError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if not answers:
        typer.echo(f"no junction of these towns of {split} turns both ways: ask for more towns", err=True)
        raise typer.Exit(1)
    figures = _figures(answers)
    low, high = figures["apart_ci"]
    show_table(
        f"told left and told right, {split}, {len(answers)} questions",
        ("apart % (95 % interval)", "left, m to the left", "right, m to the left"),
        [
            (
                f"{100 * figures['apart']:.0f} [{100 * low:.0f}, {100 * high:.0f}]",
                _metres(figures["left_m"]),
                _metres(figures["right_m"]),
            )
        ],
    )
    if json is not None:
        write_json(json, {"split": split, "towns": towns, "seed": seed, "model_id": policy.spec.model_id, **figures})


def _metres(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _figures(answers: list[Told]) -> dict[str, Any]:
    ends = {side: [end for each in answers if (end := getattr(each, side)) is not None] for side in ("left", "right")}
    # What is asked at one junction is alike: the interval is one over towns.
    towns = [[each.apart for each in answers if each.world == world] for world in {each.world for each in answers}]
    return {
        "questions": len(answers),
        "refused": sum(each.left is None or each.right is None for each in answers),
        "apart": sum(each.apart for each in answers) / len(answers),
        "apart_ci": bootstrap(np.array(sorted(np.mean(town) for town in towns))),
        "left_m": float(np.median(ends["left"])) if ends["left"] else None,
        "right_m": float(np.median(ends["right"])) if ends["right"] else None,
    }
