"""One of the processes of a training, as test_scale.py starts them: python one_of_several.py JOBS.

JOBS: a JSON list of {"recipe": a file, "figures": a file for what is reported, "stop_after": steps, or null, "keep": a
folder for a copy of what is there then, or null}.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wam_models.training import train
from wam_models.training.average import Average, local_part
from wam_models.training.recipe import Recipe, read_recipe
from wam_models.training.scale import Processes


class Stopped(Exception):
    pass


Followed = dict[str, Any]


def follow(recipe: Recipe, stop_after: int | None = None, processes: Processes | None = None) -> Followed:
    """steps: what the first round reports of each; held: the share of weights, moments and averages in this process.

    It saves after every second step, and breaks off in the one after `stop_after`, when the weights have changed and
    nothing tells of it yet."""
    figures: list[dict[str, float]] = []
    held: dict[str, float] = {}
    take_step = train.take_step

    def report(stage: str, done: int, of: int, now: dict[str, float]) -> None:
        if stage == "round 0":
            figures.append(now)

    def counted(model: nn.Module, optimiser: torch.optim.Optimizer, average: Average) -> None:
        nonlocal taken
        take_step(model, optimiser, average)
        taken += 1
        held["weights"] = share(model.parameters())
        held["moments"] = share(state["exp_avg"] for state in optimiser.state.values())
        held["average"] = share(average.state_dict().values())
        if stop_after is not None and taken > stop_after:
            raise Stopped

    taken, train.SAVE_EVERY, train.take_step = 0, 2, counted
    try:
        train.train_round(recipe, 0, report, processes=processes)
    except Stopped:
        pass
    finally:
        train.take_step = take_step
    return {"steps": figures, "held": held}


def share(tensors: Iterable[Tensor]) -> float:
    listed = list(tensors)
    return sum(local_part(tensor).numel() for tensor in listed) / sum(tensor.numel() for tensor in listed)


def main() -> None:
    processes = Processes()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        recipe = read_recipe(Path(job["recipe"]))
        followed = follow(recipe, job["stop_after"], processes)
        if processes.first:
            Path(job["figures"]).write_text(json.dumps(followed))
            if job["keep"] is not None:
                shutil.copytree(recipe.output, job["keep"])
        processes.wait()
    processes.close()


if __name__ == "__main__":
    main()
