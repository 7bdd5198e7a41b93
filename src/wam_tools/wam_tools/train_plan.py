"""`wam train --plan`: how much memory training takes of a GPU, before there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import track

from wam_models.metis.config import MetisConfig
from wam_models.metis.presets import preset_config
from wam_models.metis.size import GIB
from wam_models.training.memory_plan import Windows, plan_choices
from wam_models.training.recipe import Lora, Recipe, RecipeError, Round, read_recipe
from wam_tools.output import console, show_table, write_json

PRESET = "preset:"
MIB = 2**20
LORA = Lora(16, 16)  # where a recipe has none
PARTS = ("weights", "gradients", "optimiser", "average", "activations", "gathered", "batch", "peak")
CHOICES = 8


def show_plan(source: str, joint: int, json: Path | None) -> None:
    """source: a recipe's file, of whose rounds the one with the largest shards is planned, or preset:NAME with `joint`
    windows a GPU. Raises RecipeError when there is no such preset or the recipe cannot be followed."""
    lora, trains_text = LORA, False
    if source.startswith(PRESET):
        config, windows = _preset(source.removeprefix(PRESET)), Windows(joint)
    else:
        recipe = read_recipe(Path(source))
        config, windows, lora = recipe.network, _largest(recipe), recipe.lora or LORA
        trains_text = not recipe.frozen_text
    choices = plan_choices(config, windows, lora, trains_text=trains_text)
    plans = list(track(choices, f"counting {source}", CHOICES, console=console, transient=True))
    console.print(f"{source}: {_what(config, windows)}", highlight=False)
    for gpus in dict.fromkeys(plan["gpus"] for plan in plans):
        _show([plan for plan in plans if plan["gpus"] == gpus], gpus)
    console.print("activations: with every layer computed once more in the backward pass, or with all of them kept")
    console.print("gathered: an estimate; the rest is counted    peak: less than the sum, for not all is there at once")
    if json is not None:
        write_json(json, {"source": source, "windows": vars(windows), "plans": plans})


def _preset(name: str) -> MetisConfig:
    try:
        return preset_config(name)
    except ValueError as error:
        raise RecipeError(str(error)) from None


def _largest(recipe: Recipe) -> Windows:
    config = recipe.network

    def latents(plan: Round) -> int:
        seen = config.context_frames
        return (plan.batch * seen + plan.video_batch * (seen + config.future_latents)) // plan.shards

    plan = max(recipe.rounds, key=latents)
    return Windows(plan.video_batch // plan.shards, plan.batch // plan.shards, plan.repeats)


def _what(config: MetisConfig, windows: Windows) -> str:
    height, width = config.image_size
    parts = [f"{windows.joint} with a future"] if windows.joint else []
    parts += [f"{windows.plain} without, under {windows.repeats} noises each"] if windows.plain else []
    return f"windows of {width}x{height} that a GPU works on at a time: {' and '.join(parts)}"


def _show(plans: list[dict[str, Any]], gpus: int) -> None:
    unit, name = (GIB, "GiB") if max(plan["peak"] for plan in plans) >= GIB else (MIB, "MiB")
    heads = [
        f"{'all weights' if plan['lora'] is None else 'LoRA ' + str(plan['lora']['rank'])}, "
        f"layers {'twice' if plan['checkpointing'] else 'kept'}"
        for plan in plans
    ]
    rows = [(part, *(f"{plan[part] / unit:.2f}" for plan in plans)) for part in PARTS]
    fits = ("fits a GPU of", *("none" if plan["gpu_gib"] is None else f"{plan['gpu_gib']} GiB" for plan in plans))
    where = "1 GPU" if gpus == 1 else f"each of {gpus} GPUs"
    show_table(f"{name} on {where}", ("", *heads), [*rows, fits])
