"""`wam bench town`: drives in closed loop, scored as on CARLA's leaderboard, beside the expert and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from wam_models.checkpoint import CheckpointError
from wam_models.evaluation.town import DriveOutcome, TownScores, driving_score, score, score_by_scenario
from wam_planner.bringup import find_model
from wam_sim.town.benchmark import BASELINES, EXPERT, Contender, run_town
from wam_sim.town.layout import SPLITS
from wam_sim.town.rollout import LATENCY
from wam_sim.town.scenarios import SCENARIOS
from wam_tools.bench.policies import check_model, chosen, never_planned
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="Drives through towns: route completion, driving score, infractions.")

_MODEL = "metis"


@app.command()
def town(
    split: Annotated[str, typer.Option(help=f"Which towns: {', '.join(SPLITS)}.")] = "unseen",
    episodes: Annotated[int, typer.Option(min=1, help="Towns, in each of which every scenario is driven once.")] = 60,
    scenarios: Annotated[str, typer.Option(help=f"With commas, or `all`: {', '.join(SCENARIOS)}.")] = "route",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    model: Annotated[str, typer.Option(help="A bundled model or a checkpoint directory.")] = "metis-town",
    steps: Annotated[int | None, typer.Option(min=1, help="Flow steps a plan; default: the model's.")] = None,
    rung: Annotated[
        str, typer.Option(help="Of the speed ladder; on a processor plain, cached or compiled.")
    ] = "cached",
    only: Annotated[str, typer.Option(help="Names of the policies to run, with commas; default: all.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="First town of the split.")] = 0,
    latency: Annotated[float, typer.Option(min=0.0, max=0.5, help="s from an image to its plan at work.")] = LATENCY,
    json: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
) -> None:
    """Drives through towns: route completion, driving score, infractions. Exit status 1 when a policy could not be
    run."""
    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not a split: choose one of {', '.join(SPLITS)}")
    names = list(SCENARIOS) if scenarios == "all" else [name for name in scenarios.split(",") if name]
    if not names or not set(names) <= SCENARIOS.keys():
        raise typer.BadParameter(f"{scenarios!r} names no scenarios: choose of {', '.join(SCENARIOS)}, or all")
    try:
        contenders = chosen(_contenders(Contender(_MODEL, find_model(model), steps=steps, rung=rung)), only)
        if any(contender.name == _MODEL for contender in contenders):
            check_model(contenders[0].source)
        drives: dict[str, list[DriveOutcome]] = {contender.name: [] for contender in contenders}
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(split, total=len(contenders) * len(names) * episodes)
            for contender, outcome in run_town(
                contenders, split, names, episodes, workers=workers, seed=seed, latency=latency
            ):
                drives[contender.name].append(outcome)
                progress.update(task, advance=1, description=f"{split}: {contender.name} {outcome.scenario}")
    except (CheckpointError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    teacher = drives.get(EXPERT, [])
    scores = {name: score(outcomes, teacher) for name, outcomes in drives.items()}
    show_table(
        f"town, {split}, {episodes * len(names)} drives each (95 % intervals)",
        (
            "policy",
            "route %",
            "driving score",
            "success %",
            "collisions",
            "red lights",
            "outside",
            "ended otherwise",
            "plan ms p50 / p99",
            "x real time",
        ),
        ((name, *_row(values)) for name, values in scores.items()),
    )
    by_scenario = {name: score_by_scenario(outcomes, teacher) for name, outcomes in drives.items()}
    if len(names) > 1:
        show_table(
            "driving score by scenario",
            ("scenario", *drives),
            ((each, *(f"{by_scenario[name][each].driving_score:.0f}" for name in drives)) for each in names),
        )
    if json is not None:
        made_by = {contender.name: contender.describe() for contender in contenders}
        policies = {
            name: {
                **values.to_dict(),
                **made_by[name],
                "scenarios": {each: part.to_dict() for each, part in by_scenario[name].items()},
            }
            for name, values in scores.items()
        }
        settings = {"split": split, "episodes": episodes, "scenarios": names, "seed": seed, "latency_s": latency}
        write_json(json, {**settings, "policies": policies, "failed": {n: _failed(d) for n, d in drives.items()}})
    for sentence in (idle := never_planned(drives)):
        typer.echo(sentence, err=True)
    if idle:
        raise typer.Exit(1)


def _contenders(metis: Contender) -> list[Contender]:
    baselines = [Contender(name, f"baseline:{name}") for name in BASELINES]
    return [metis, Contender(EXPERT, EXPERT), *baselines]


def _failed(drives: Sequence[DriveOutcome]) -> dict[str, str]:
    """What went wrong in the drives that were not perfect, by world."""
    said = {
        each.world: ", ".join(
            [each.ended.value, *(f"{i.kind.value} {i.time:.1f} s {i.detail}" for i in each.infractions)]
        )
        for each in drives
        if driving_score(each) < 100.0
    }
    return dict(sorted(said.items()))


def _row(values: TownScores) -> tuple[str, ...]:
    def count(*kinds: str) -> str:
        return str(sum(int(values.infractions[kind]["count"] or 0) for kind in kinds if kind in values.infractions))

    ended = ", ".join(
        f"{reason} {number}" for reason, number in values.ended.items() if reason != "completed" and number
    )
    plan = "-" if values.plan_ms is None else f"{values.plan_ms['p50']:.0f} / {values.plan_ms['p99']:.0f}"
    low, high = values.route_completion_ci
    worst, best = values.driving_score_ci
    return (
        f"{values.route_completion:.0f} [{low:.0f}, {high:.0f}]",
        f"{values.driving_score:.0f} [{worst:.0f}, {best:.0f}]",
        f"{100 * values.success:.0f}",
        count("collision_pedestrian", "collision_vehicle", "collision_static"),
        count("red_light"),
        count("outside_lanes"),
        ended or "-",
        plan,
        f"{values.realtime:.1f}",
    )
