"""The trained model as a checkpoint directory, with a card that says where it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wam_models.checkpoint import open_checkpoint, save_checkpoint
from wam_models.data.latent_cache import LatentCache
from wam_models.data.store import WindowStore
from wam_models.licence import NOT_RECORDED, card_line, joined, licence_of, parts_of
from wam_models.metis.planning import MetisModel
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.training.recipe import AutoencoderTraining, Clearance, FinishedAutoencoder, Recipe
from wam_models.training.start import Start


def write_checkpoint(
    model: MetisModel, recipe: Recipe, normaliser: Normaliser, directory: Path, card: str, licence: str
) -> None:
    """Weights in float16: half the size, and 2e-4 of relative precision is far below what a plan can show."""
    network = recipe.network.to_dict()
    for key in ("latents_mean", "latents_std"):
        network["vae"] = {**network["vae"], key: list(model.autoencoder.vae.config[key])}
    save_checkpoint(
        directory,
        config={
            "kind": "metis",
            "name": recipe.name,
            "version": recipe.version,
            "licence": licence,
            "network": network,
        },
        preprocessing=Preprocessing(recipe.network.image_size, recipe.use_acceleration).to_dict(),
        statistics=normaliser.to_dict(),
        tokenizer=model.text.tokenizer.to_str(pretty=True),
        weights={name: t.detach().to(torch.float16).contiguous().clone() for name, t in model.state_dict().items()},
        card=card,
    )


def licence_after(recipe: Recipe, start: Start | None) -> str:
    """Of the weights that a recipe makes: its own, and those of the checkpoints that they come from."""
    sources = [] if start is None else [start.checkpoint]
    autoencoder = recipe.autoencoder
    before = autoencoder.weights if isinstance(autoencoder, FinishedAutoencoder) else autoencoder.begin
    if before is not None:
        sources.append(open_checkpoint(before))
    inherited = [
        f"{part} ({source.model_id})" if part == NOT_RECORDED else part
        for source in sources
        for part in parts_of(licence_of(source))
    ]
    return joined(recipe.licence or NOT_RECORDED, *inherited)


def card(
    recipe: Recipe,
    number: int,
    parts: list[tuple[WindowStore, LatentCache]],
    start: Start | None,
    scores: dict[str, float],
    seconds: float,
    licence: str,
) -> str:
    """The model card: what it is, what it saw, how long it took, what it scored on held-out windows, and its
    licence."""
    plan, network = recipe.rounds[number], recipe.network
    steps = sum(entry.steps for entry in recipe.rounds[: number + 1])
    rows = [
        f"| {name} | {len(np.unique(store.frame_run))} | {len(store)} | {len(latents.futures)} | {len(store.skipped)} |"
        for name, (store, latents) in zip(plan.data, parts, strict=True)
    ]
    height, width = network.image_size
    lines = [
        f"# {recipe.name} {recipe.version}",
        "",
        f"Metis: {network.context_frames} frames {network.context_dt} s apart at {width}x{height}, ego motion"
        f"{', goal' if network.needs_goal else ''} and instruction in; {network.action.points} points every "
        f"{network.action.dt} s out. "
        f"Attention: {network.mask.value}.",
        "",
        "| data | bags | windows | video targets | bags left out |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *([] if start is None else [f"- Continues from {start.model_id}; the steps below are on top of its own."]),
        f"- Seed {recipe.seed}. {_autoencoder_line(recipe.autoencoder)}, Metis {steps} in {number + 1} rounds.",
        f"- Last round: {plan.batch} + {plan.video_batch} windows a step, {seconds / 60:.0f} minutes in its last run.",
        *([] if plan.clearance is None else [_clearance_line(plan.clearance)]),
        *(f"- {name}: {value:.3f} (held-out runs)" for name, value in scores.items() if name != "windows"),
        *_made_of(recipe),
        card_line(licence),
    ]
    return "\n".join(lines) + "\n"


def _made_of(recipe: Recipe) -> list[str]:
    """A line where all bags were recorded in a simulation; of the user's own nothing is known."""
    records = [recipe.data[name].record for entry in recipe.rounds for name in entry.data]
    places = {record.place for record in records if record is not None}
    if None in records or len(places) != 1:
        return []
    place, never = places.pop(), {"yard": "walked on hardware", "town": "driven a real car"}
    return [f"- Trained in a simulated {place}. It has not {never[place]}."]


def _autoencoder_line(made: AutoencoderTraining | FinishedAutoencoder) -> str:
    if isinstance(made, FinishedAutoencoder):
        return f"Autoencoder that of {open_checkpoint(made.weights).model_id}"
    begun = "" if made.begin is None else f" from that of {open_checkpoint(made.begin).model_id}"
    return f"Autoencoder {made.steps} steps{begun}"


def _clearance_line(paid: Clearance) -> str:
    return (
        f"- In it plans paid {paid.weight:g} a metre that they came nearer to an obstacle of the bags' scans than "
        f"{paid.margin:g} m, where the teacher kept more."
    )
