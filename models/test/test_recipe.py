"""A recipe says which of its entries is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from nano import nano_config
from recipes import recipe_in

from wam_models.metis.config import ActionConfig
from wam_models.training.recipe import RecipeError, read_recipe

ROUND = {"data": ["runs"], "steps": 1, "batch": 1, "video_batch": 0, "learning_rate": 1}
PAID = {"weight": 1.0, "margin": 0.2, "discs": [0.0], "radius": 0.2, "lidar": 0.3}
WITHOUT_HEADING = replace(nano_config(), action=ActionConfig(width=20, ffn=40, points=5, dt=0.4, values=2)).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 1}, "stepz"),
        ({"network": {}}, "action"),
        ({"rounds": []}, "rounds is empty"),
        ({"action_times": {"sampler": "powr"}}, "'powr' is no time sampler"),
        ({"video_times": {"sampler": "uniform", "exponent": 2.0}}, "exponent"),
        ({"data": {"runs": {"folder": "x", "record": {"split": "train", "runs": 1, "driver": "polcy"}}}}, "polcy"),
        ({"autoencoder": {"steps": 1, "frames": 1, "clips": 1, "clip_every": 0, "learning_rate": 1}}, "clip_every"),
        ({"autoencoder": {"weights": "x", "steps": 1, "frames": 1}}, "leave out its frames, steps"),
        ({"rounds": [{**ROUND, "clearance": {"weight": 1.0}}]}, "margin"),
        ({"rounds": [{**ROUND, "clearance": {**PAID, "discs": []}}]}, "no discs"),
        ({"rounds": [{**ROUND, "clearance": {**PAID, "weight": -1.0}}]}, "at least 0"),
        ({"rounds": [{**ROUND, "clearance": PAID, "batch": 0, "video_batch": 1}]}, "batch"),
        ({"rounds": [{**ROUND, "dark_skies": 1.5}]}, "share"),
        ({"rounds": [{**ROUND, "clearance": PAID}], "network": WITHOUT_HEADING}, "heading"),
        ({"rounds": [{**ROUND, "data": ["nowhere"]}]}, "nowhere"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_entry_named(tmp_path: Path, change: dict, message: str) -> None:
    recipe_in(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)
