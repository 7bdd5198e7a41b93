"""The smallest recipe that goes through every stage of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from bags import write_bag
from nano import nano_config

from wam_models.training.recipe import Recipe, read_recipe

ROUND = {"data": ["runs"], "steps": 2, "learning_rate": 1e-3, "warmup": 1}


def recipe_in(folder: Path, steps: int = 2, *, scan: bool = False, **more: Any) -> Recipe:
    """Three bags, a first round of `steps` in two shards; everything it makes is in the folder. more: other entries."""
    for number in range(3):
        bag = folder / "bags" / f"run{number}"
        if not bag.exists():
            bag.parent.mkdir(exist_ok=True, parents=True)
            write_bag(bag, seed=number, scan=scan)
    rounds = [{**ROUND, "steps": steps, "batch": 4, "repeats": 2, "video_batch": 2, "shards": 2}]
    return read_recipe(write_recipe(folder, **{"rounds": rounds, **more}))


def write_recipe(folder: Path, **changes: Any) -> Path:
    """A recipe for bags in the folder, of one round of two steps. changes: other entries."""
    values = {
        "name": "nano",
        "version": "0.1",
        "seed": 3,
        "output": str(folder / "train"),
        "cache": str(folder / "cache"),
        "bundle": None,
        "use_acceleration": False,
        "network": nano_config().to_dict(),
        "data": {"runs": {"folder": str(folder / "bags")}},
        "autoencoder": {"steps": 2, "frames": 2, "clips": 1, "clip_every": 2, "learning_rate": 1e-3},
        "rounds": [{**ROUND, "batch": 2, "video_batch": 1}],
        "action_times": {"sampler": "power", "exponent": 1.5},
        "video_times": {"sampler": "uniform", "shift": 5.0},
        "video_weight": 0.2,
        "ema": 0.5,
        "weight_decay": 0.01,
        "variants": 2,
        "future_every": 2,
        "held_out": 0.34,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    return path
