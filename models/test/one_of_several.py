"""One of the processes of a training that test_scale.py starts: python one_of_several.py JOBS, by a launcher's variables.

JOBS: a JSON list of {"recipe": a file, "figures": a file for what is reported, "stop_after": steps, or null, "keep": a
folder for a copy of what is there then, or null}.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from wam_models.training import train
from wam_models.training.recipe import Recipe, read_recipe
from wam_models.training.scale import Processes


class Stopped(Exception):
    pass


def follow(recipe: Recipe, stop_after: int | None = None, processes: Processes | None = None) -> list[dict[str, float]]:
    """What the first round reports of each step. It saves after every one, and breaks off in the one after `stop_after`,
    when the weights have changed and nothing tells of it yet."""
    figures: list[dict[str, float]] = []
    take_step = train.take_step

    def report(stage: str, done: int, of: int, now: dict[str, float]) -> None:
        if stage == "round 0":
            figures.append(now)

    def counted(*arguments: Any) -> None:
        nonlocal taken
        take_step(*arguments)
        taken += 1
        if stop_after is not None and taken > stop_after:
            raise Stopped

    taken, train.SAVE_EVERY, train.take_step = 0, 1, counted
    try:
        train.train_round(recipe, 0, report, processes=processes)
    except Stopped:
        pass
    finally:
        train.take_step = take_step
    return figures


def main() -> None:
    processes = Processes()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        recipe = read_recipe(Path(job["recipe"]))
        figures = follow(recipe, job["stop_after"], processes)
        if processes.first:
            Path(job["figures"]).write_text(json.dumps(figures))
            if job["keep"] is not None:
                shutil.copytree(recipe.output, job["keep"])
        processes.wait()
    processes.close()


if __name__ == "__main__":
    main()
