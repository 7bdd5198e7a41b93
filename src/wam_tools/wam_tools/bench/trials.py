"""The trainings and the walks of an ablation, each done once and kept in a folder of its variant and seed.

The variants of a seed begin with the same weights and draw the same windows, noises and times; they differ in what
their name says.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any

import numpy as np

from wam_models.checkpoint import open_checkpoint
from wam_models.evaluation.ablation import Trial
from wam_models.evaluation.yard import WalkOutcome
from wam_models.metis.config import Mask
from wam_models.training.claims import PLANNING, claim_autoencoder, claim_round
from wam_models.training.recipe import Recipe
from wam_models.training.shards import use_one_thread
from wam_models.training.train import train_round
from wam_sim.benchmark import Contender, run_yard
from wam_sim.rollout import LATENCY
from wam_tools.output import write_json
from wam_tools.train import View

SPLIT = "val"
BASE, NO_VIDEO = "asymmetric", "no-video"
VARIANTS = (BASE, "isolated", "joint", NO_VIDEO)
REPORT_PERIOD = 1.0  # s

Progress = tuple[str, int, int, dict[str, float]]


@dataclass(frozen=True)
class Unit:
    """A variant trained from one seed: the recipe says how, and its output is where everything of it lies."""

    variant: str
    recipe: Recipe

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.recipe.seed}"

    @property
    def checkpoint(self) -> Path:
        return self.recipe.output / "round0"

    @property
    def scores_file(self) -> Path:
        return self.recipe.output / "scores.json"

    @property
    def walks_file(self) -> Path:
        return self.recipe.output / "walks.json"

    def planning(self) -> dict[str, Any]:
        """How its plans are drawn, which may change without training again."""
        network = self.recipe.network.to_dict()
        return {name: network[name] for name in sorted(PLANNING)}


def varied(recipe: Recipe, variant: str, seed: int) -> Recipe:
    """The recipe of one variant and seed. All share the lights in which the runs are seen, and so the latents."""
    mask = Mask.ASYMMETRIC if variant == NO_VIDEO else Mask(variant)
    return replace(
        recipe,
        name=f"{recipe.name}-{variant}",
        seed=seed,
        light_seed=recipe.seed if recipe.light_seed is None else recipe.light_seed,
        output=recipe.output / f"{variant}-{seed}",
        network=replace(recipe.network, mask=mask),
        video_weight=0.0 if variant == NO_VIDEO else recipe.video_weight,
    )


def claim(units: Sequence[Unit]) -> None:
    """Before any work, for all: raises RecipeError when a folder holds what another recipe made."""
    for unit in units:
        unit.recipe.output.mkdir(parents=True, exist_ok=True)
        claim_autoencoder(unit.recipe)
        claim_round(unit.recipe, 0)


def train_missing(units: Sequence[Unit], workers: int, view: View) -> None:
    """Trains the units that are not trained yet, side by side. Raises as train_round does."""
    missing = [unit for unit in units if not _is_trained(unit)]
    if not missing:
        return
    context = multiprocessing.get_context("spawn")
    reports: multiprocessing.Queue[Progress] = context.Queue()
    with ProcessPoolExecutor(workers, context, initializer=_report_to, initargs=(reports,)) as pool:
        waiting: set[Future[None]] = {pool.submit(_train, unit) for unit in missing}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=REPORT_PERIOD)
                for future in done:
                    future.result()
                _pass_on(reports, view)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pass_on(reports: multiprocessing.Queue[Progress], view: View) -> None:
    while True:
        try:
            view.report(*reports.get_nowait())
        except Empty:
            return


def _is_trained(unit: Unit) -> bool:
    if not (unit.scores_file.exists() and unit.checkpoint.exists()):
        return False
    return bool(read_json(unit.scores_file)["planning"] == unit.planning())


_reports: multiprocessing.Queue[Progress] | None = None


def _report_to(queue: multiprocessing.Queue[Progress]) -> None:
    """In a worker: where its progress goes. One thread, for the workers share the cores."""
    global _reports
    _reports = queue
    use_one_thread()


def _train(unit: Unit) -> None:
    began, said = monotonic(), -np.inf
    scores: dict[str, float] = {}

    def report(stage: str, done: int, of: int, figures: dict[str, float]) -> None:
        nonlocal said
        if stage == "validation":
            scores.update(figures)
        elif stage.startswith("round") and (done == of or monotonic() - said > REPORT_PERIOD):
            said = monotonic()
            assert _reports is not None
            _reports.put((unit.name, done, of, figures))

    train_round(unit.recipe, 0, report)
    minutes = (monotonic() - began) / 60
    write_json(unit.scores_file, {**scores, "minutes": minutes, "planning": unit.planning()})


def walk_missing(units: Sequence[Unit], episodes: int, workers: int, view: View) -> None:
    """Walks the units that have not walked so, all through the same worlds."""
    missing = [unit for unit in units if not _has_walked(unit, episodes)]
    if not missing:
        return
    contenders = {Contender(unit.name, str(unit.checkpoint)): unit for unit in missing}
    walks: dict[str, list[WalkOutcome]] = {unit.name: [] for unit in missing}
    for contender, outcome in run_yard(list(contenders), SPLIT, episodes, workers=workers):
        unit = contenders[contender]
        of_it = walks[unit.name]
        of_it.append(outcome)
        view.report(f"walks of {unit.name}", len(of_it), episodes, {})
        if len(of_it) == episodes:
            minutes = sum(walk.wall_seconds for walk in of_it) / 60
            settings = _walk_settings(unit, episodes)
            write_json(unit.walks_file, {**settings, "minutes": minutes, "walks": [asdict(walk) for walk in of_it]})


def _walk_settings(unit: Unit, episodes: int) -> dict[str, Any]:
    """What walks depend on."""
    return {
        "model_id": open_checkpoint(unit.checkpoint).model_id,
        "planning": unit.planning(),
        "split": SPLIT,
        "episodes": episodes,
        "latency_s": LATENCY,
    }


def _has_walked(unit: Unit, episodes: int) -> bool:
    if not unit.walks_file.exists():
        return False
    found = read_json(unit.walks_file)
    return all(found.get(name) == value for name, value in _walk_settings(unit, episodes).items())


def read_trial(unit: Unit) -> Trial:
    """Of a unit that is trained and has walked."""
    scores, walks = read_json(unit.scores_file), read_json(unit.walks_file)["walks"]
    return Trial(unit.recipe.seed, scores["ade_m"], scores["fde_m"], [WalkOutcome(**walk) for walk in walks])


def read_json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values
