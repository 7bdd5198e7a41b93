"""`wam bench yard`: scores in closed loop, beside the expert and the baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from wam_models.checkpoint import CheckpointError
from wam_models.evaluation.yard import WalkOutcome, YardScores, score
from wam_planner.bringup import find_model
from wam_sim.benchmark import BASELINES, EXPERT, Contender, run_yard
from wam_sim.rollout import LATENCY
from wam_sim.worlds import SPLITS
from wam_tools.bench.policies import check_model, chosen, never_planned
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="Walks to the goal, success without contact within 60 s.")


@app.command()
def yard(
    split: Annotated[str, typer.Option(help=f"Which worlds: {', '.join(SPLITS)}.")] = "unseen",
    episodes: Annotated[int, typer.Option(min=1, help="Walks of each policy.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    model: Annotated[str, typer.Option(help="A bundled model or a checkpoint directory.")] = "metis-yard",
    steps: Annotated[str, typer.Option(help="Flow steps a plan, several with commas; default: the model's.")] = "",
    mask: Annotated[str, typer.Option(help="asymmetric, isolated or joint; default: the model's.")] = "",
    rung: Annotated[
        str, typer.Option(help="Of the speed ladder; on a processor plain, cached or compiled.")
    ] = "cached",
    candidates: Annotated[int, typer.Option(min=1, help="Trajectories that a plan chooses among.")] = 1,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="The expert's plan chooses the candidate: a bound, no policy.")
    ] = False,
    commit: Annotated[float, typer.Option(min=0.0, help="s of the driven plan that the next one keeps.")] = 0.0,
    tracker: Annotated[str, typer.Option(help="holonomic or internnav_pd.")] = "holonomic",
    only: Annotated[str, typer.Option(help="Names of the policies to run, with commas; default: all.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="First world of the split.")] = 0,
    latency: Annotated[float, typer.Option(min=0.0, max=0.5, help="s from an image to its plan at work.")] = LATENCY,
    json: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
) -> None:
    """Walks to the goal, success without contact within 60 s. Exit status 1 when a policy could not be run."""
    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not a split: choose one of {', '.join(SPLITS)}")
    try:
        if oracle and candidates < 2:
            raise ValueError("an oracle chooses among candidates: ask for several with --candidates")
        how = Contender(
            "metis-oracle" if oracle else "metis",
            str(find_model(model)),
            mask=mask or None,
            tracker=tracker,
            rung=rung,
            candidates=candidates,
            commit=commit,
            oracle=oracle,
        )
        contenders = chosen(_contenders(how, _numbers(steps)), only)
        walks: dict[str, list[WalkOutcome]] = {contender.name: [] for contender in contenders}
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(split, total=len(contenders) * episodes)
            for contender, outcome in run_yard(
                contenders, split, episodes, workers=workers, seed=seed, latency=latency
            ):
                walks[contender.name].append(outcome)
                progress.update(task, advance=1, description=f"{split}: {contender.name}")
    except (CheckpointError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    scores = {name: score(outcomes) for name, outcomes in walks.items()}
    show_table(
        f"yard, {split}, {episodes} walks each (95 % intervals)",
        (
            "policy",
            "success",
            "contact",
            "timeout",
            "SPL",
            "clearance m",
            "plan ms p50 / p99",
            "jump cm",
            "x real time",
        ),
        ((name, *_row(values)) for name, values in scores.items()),
    )
    if json is not None:
        made_by = {contender.name: contender.describe() for contender in contenders}
        policies = {name: {**values.to_dict(), **made_by[name]} for name, values in scores.items()}
        failed = {name: [w.world for w in outcomes if not w.reached] for name, outcomes in walks.items()}
        settings = {"split": split, "episodes": episodes, "seed": seed, "latency_s": latency}
        write_json(json, {**settings, "policies": policies, "failed": failed})
    for sentence in (idle := never_planned(walks)):
        typer.echo(sentence, err=True)
    if idle:
        raise typer.Exit(1)


def _contenders(metis: Contender, steps: list[int]) -> list[Contender]:
    check_model(metis.source)
    models = [replace(metis, name=f"{metis.name}-{number}-steps", steps=number) for number in steps] or [metis]
    others = [Contender(name, f"baseline:{name}", tracker=metis.tracker) for name in BASELINES]
    return [*models, Contender(EXPERT, EXPERT, tracker=metis.tracker), *others]


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part]
    except ValueError:
        raise ValueError(f"--steps takes whole numbers with commas, not {text!r}") from None


def _row(values: YardScores) -> tuple[str, ...]:
    def rate(value: float, ci: tuple[float, float]) -> str:
        return f"{100 * value:.0f} % [{100 * ci[0]:.0f}, {100 * ci[1]:.0f}]"

    plan = "-" if values.plan_ms is None else f"{values.plan_ms['p50']:.0f} / {values.plan_ms['p99']:.0f}"
    return (
        rate(values.success, values.success_ci),
        rate(values.contact, values.contact_ci),
        f"{100 * values.timeout:.0f} %",
        f"{values.spl:.2f}",
        f"{values.clearance_m:.2f}",
        plan,
        "-" if values.jump_m is None else f"{100 * values.jump_m['p50']:.1f} / {100 * values.jump_m['p95']:.1f}",
        f"{values.realtime:.1f}",
    )
