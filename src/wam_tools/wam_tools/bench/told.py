"""`wam bench told`: whether a policy goes left when told left and right when told right, before the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from wam_models.checkpoint import CheckpointError
from wam_models.evaluation.yard import interval
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
        f"told left and told right, {split}, {len(answers)} pictures",
        ("apart % (95 % interval)", "left, m to the left", "right, m to the left"),
        [
            (
                f"{100 * figures['apart']:.0f} [{100 * low:.0f}, {100 * high:.0f}]",
                f"{figures['left_m']:.1f}",
                f"{figures['right_m']:.1f}",
            )
        ],
    )
    if json is not None:
        write_json(json, {"split": split, "towns": towns, "seed": seed, "model_id": policy.spec.model_id, **figures})


def _figures(answers: list[Told]) -> dict[str, Any]:
    apart = sum(each.apart for each in answers)
    return {
        "pictures": len(answers),
        "apart": apart / len(answers),
        "apart_ci": interval(apart, len(answers)),
        "left_m": float(np.median([np.nan if each.left is None else each.left for each in answers])),
        "right_m": float(np.median([np.nan if each.right is None else each.right for each in answers])),
    }
