"""Which settings made what lies in an output folder: work of another recipe is never taken for this one's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wam_models.checkpoint import open_checkpoint
from wam_models.training.recipe import FinishedAutoencoder, Recipe, RecipeError

# Of a network's settings, those that say how a plan is drawn from weights that are finished.
PLANNING = {"steps", "sampling_shift", "noise_scale"}


def claim_autoencoder(recipe: Recipe) -> None:
    """Note what determines the autoencoder of recipe.output. Raises RecipeError when the one there is another's, and
    CheckpointError when it is to be taken from a checkpoint that cannot be used."""
    network, first = recipe.network.to_dict(), recipe.rounds[0].data
    settings = {**_common(recipe, first), "vae": network["vae"]}
    if isinstance(recipe.autoencoder, FinishedAutoencoder):
        settings["weights"] = open_checkpoint(recipe.autoencoder.weights).model_id
    else:
        begin = recipe.autoencoder.begin
        settings |= {**asdict(recipe.autoencoder), "begin": begin and open_checkpoint(begin).model_id}
    _claim(recipe.output / "autoencoder.json", settings)


def claim_round(recipe: Recipe, number: int) -> None:
    """Note what determines round `number` of recipe.output. Raises RecipeError when the one there is another's."""
    used = [name for entry in recipe.rounds[: number + 1] for name in entry.data]
    network = {name: value for name, value in recipe.network.to_dict().items() if name not in PLANNING}
    settings: dict[str, Any] = {**_common(recipe, used), "network": network}
    times = ("action_times", "video_times")
    for name in (*times, "video_weight", "ema", "weight_decay", "variants", "future_every", "light_seed"):
        settings[name] = getattr(recipe, name)
    settings["lora"], settings["frozen_text"] = recipe.lora and asdict(recipe.lora), recipe.frozen_text
    settings["rounds"] = [asdict(entry) for entry in recipe.rounds[: number + 1]]
    _claim(recipe.output / f"round{number}.json", settings)


def _common(recipe: Recipe, used: Iterable[str]) -> dict[str, Any]:
    """Of the data sets only those used so far: a later round may be given more without undoing the earlier ones."""
    entries = {name: recipe.data[name] for name in used}
    data = {name: [str(entry.folder), entry.record and asdict(entry.record)] for name, entry in entries.items()}
    start = None if recipe.start is None else str(recipe.start)
    return {
        "seed": recipe.seed,
        "start": start,
        "data": data,
        "image_size": recipe.network.image_size,
        "held_out": recipe.held_out,
        "use_acceleration": recipe.use_acceleration,
        "unmirrored": recipe.unmirrored,
        "least_saturation": recipe.least_saturation,
    }


def _claim(path: Path, settings: dict[str, Any]) -> None:
    wanted = _given(json.loads(json.dumps(settings)))
    if not path.exists():
        path.write_text(json.dumps(wanted, indent=1) + "\n")
        return
    found = _given(json.loads(path.read_text()))
    other = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if other:
        raise RecipeError(
            f"{path.with_suffix('')} was made by another recipe ({', '.join(other)}): "
            f"delete {path.parent}, or give this recipe another output"
        )


def _given(settings: Any) -> Any:
    """Without what is left at None, 0 or nothing, at any depth: a setting that a later release adds undoes no work."""
    if isinstance(settings, dict):
        return {name: _given(value) for name, value in settings.items() if value}
    return [_given(value) for value in settings] if isinstance(settings, list) else settings
