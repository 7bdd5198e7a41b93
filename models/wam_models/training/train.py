"""Training, top to bottom: bags -> windows -> autoencoder -> latents -> Metis -> checkpoint.

Every stage keeps what it has made under the recipe's output folder and is skipped when it is there; inside a stage the
state is saved every few minutes. Stopping at any time and starting again goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from wam_models.checkpoint import open_checkpoint
from wam_models.data.bag_reader import BagError
from wam_models.data.latent_cache import LatentCache, TrainingSet, open_latents
from wam_models.data.store import WindowStore, open_store, run_folders
from wam_models.metis.planning import MetisModel
from wam_models.preprocessing import Normaliser
from wam_models.training.adapters import add_adapters, merged
from wam_models.training.augment import mirror_actions
from wam_models.training.average import Average
from wam_models.training.batch import draw_batches, plan_shortfall
from wam_models.training.card import card, licence_after, write_checkpoint
from wam_models.training.claims import claim_autoencoder, claim_round
from wam_models.training.clearance import obstacles
from wam_models.training.recipe import AutoencoderTraining, Clearance, FinishedAutoencoder, Recipe, RecipeError, Round
from wam_models.training.scale import Processes
from wam_models.training.shards import Shards
from wam_models.training.start import Start, finished_autoencoder, open_start
from wam_models.training.state import load_state, save_state, save_weights
from wam_models.training.step import Objective, Trainable, backward, make_optimiser, take_step
from wam_models.training.vae import AutoencoderTrainee, Pictures, measure_latents, quiet_start, train_autoencoder
from wam_models.training.validation import validate
from wam_models.wan.text import word_tokenizer
from wam_models.wan.vae import VideoAutoencoder

SAVE_EVERY = 500  # steps
Report = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Material:
    """What a round trains on. parts: windows and latents of each of its data sets; data: all of them as one."""

    autoencoder: VideoAutoencoder
    parts: list[tuple[WindowStore, LatentCache]]
    data: TrainingSet


def train_round(
    recipe: Recipe,
    number: int,
    report: Report,
    *,
    device: str = "cpu",
    start_from: Path | None = None,
    processes: Processes | None = None,
) -> Path:
    """Round `number` of the recipe and all that comes before it in the pipeline; returns its checkpoint directory.

    report(stage, done, of, figures) is called as work goes on, in the first process. start_from: a checkpoint directory
    whose weights the first round and the autoencoder continue from. processes: those that share the training; by
    default those that a launcher started. Raises BagError when the bags are unusable, CheckpointError when start_from
    is, RecipeError when the output folder holds another recipe's work or the shards do not part among the processes.
    """
    began = time.monotonic()
    processes = processes or Processes(device)
    if not processes.first:
        report = _say_nothing
    torch.manual_seed(recipe.seed)
    with processes.first_before_others():
        recipe.output.mkdir(parents=True, exist_ok=True)
        claim_autoencoder(recipe)
        claim_round(recipe, number)
        start = None if start_from is None else open_start(start_from, recipe.output)
        material = gather(recipe, number, report, start=start, device=str(processes.device))
        normaliser = _normaliser(recipe, material.data)
        tokenizer = _tokenizer(recipe, material.data)

    # 4. Metis.
    weights = recipe.output / f"round{number}.safetensors"
    if not weights.exists():
        _train_metis(recipe, number, material.data, normaliser, tokenizer, start, report, processes)

    # 5. Checkpoint.
    directory = recipe.output / f"round{number}"
    if processes.first:
        model = _model(recipe, tokenizer, start, weights)
        model.autoencoder = material.autoencoder
        model.to(processes.device).eval()
        scores = validate(model, material.data, normaliser)
        report("validation", 1, 1, scores)
        spent = time.monotonic() - began
        licence = licence_after(recipe, start)
        text = card(recipe, number, material.parts, start, scores, spent, licence)
        write_checkpoint(model, recipe, normaliser, directory, text, licence)
    processes.wait()
    return directory


def gather(recipe: Recipe, number: int, report: Report, *, start: Start | None = None, device: str = "cpu") -> Material:
    """The windows, the autoencoder and the latents of round `number`: read where they are kept, made where they are
    not. Raises as train_round does."""
    plan = recipe.rounds[number]

    # 1. Bags to windows.
    stores = {}
    for name in plan.data:
        bags = run_folders(recipe.data[name].folder)
        follow = _follower(report, f"windows of {name}", len(bags))
        stores[name] = open_store(bags, recipe.cache, recipe.network, recipe.use_acceleration, follow)

    # 2. Autoencoder, in the first round.
    settings = recipe.autoencoder
    if isinstance(settings, FinishedAutoencoder):
        autoencoder = finished_autoencoder(settings.weights, recipe.network.vae).to(device)
    else:
        autoencoder = _trained_autoencoder(recipe, settings, list(stores.values()), start, report, device)
    autoencoder.eval().requires_grad_(False)

    # 3. Latents.
    parts: list[tuple[WindowStore, LatentCache]] = []
    for name, store in stores.items():
        latents = open_latents(
            autoencoder,
            store,
            variants=recipe.variants,
            future_every=recipe.future_every,
            seed=recipe.seed if recipe.light_seed is None else recipe.light_seed,
            dark_skies=plan.dark_skies,
            mirrored=not recipe.unmirrored,
            least_saturation=recipe.saturation,
            progress=_follower(report, f"latents of {name}", len(np.unique(store.frame_run))),
        )
        parts.append((store, latents))
    points = None if plan.clearance is None else _obstacles(stores, plan.clearance, report)
    return Material(autoencoder, parts, TrainingSet.join(parts, recipe.held_out, points))


def _obstacles(stores: dict[str, WindowStore], settings: Clearance, report: Report) -> list[np.ndarray]:
    if all(np.isnan(store.met).all() for store in stores.values()):
        raise BagError(
            "no bag has a /scan and a camera_info, so nothing shows what to keep clear of: leave clearance out"
        )
    points = []
    for name, store in stores.items():
        follow = _follower(report, f"obstacles of {name}", len(np.unique(store.frame_run)))
        points.append(obstacles(store, settings.lidar, follow))
    return points


def _trained_autoencoder(
    recipe: Recipe,
    settings: AutoencoderTraining,
    stores: list[WindowStore],
    start: Start | None,
    report: Report,
    device: str,
) -> VideoAutoencoder:
    autoencoder = VideoAutoencoder(recipe.network.vae).to(device)
    done, statistics = recipe.output / "autoencoder.safetensors", recipe.output / "autoencoder_statistics.json"
    if not (done.exists() and statistics.exists()):
        state = recipe.output / "autoencoder_state.pt"
        begin = start if settings.begin is None else Start(open_checkpoint(settings.begin))
        if begin is None:
            quiet_start(autoencoder)
        else:
            begin.load_into(autoencoder, "autoencoder")
        trainee = AutoencoderTrainee(autoencoder, recipe.network.image_size).to(device)
        optimiser = torch.optim.AdamW(trainee.parameters(), settings.learning_rate, (0.9, 0.95), weight_decay=0.01)
        generator = torch.Generator().manual_seed(recipe.seed)
        done_before = load_state(state, trainee, optimiser, {0: generator})
        averages: dict[str, _Average] = {}

        def on_step(step: int, losses: dict[str, float]) -> None:
            figures = {name: averages.setdefault(name, _Average())(value) for name, value in losses.items()}
            report("autoencoder", step, settings.steps, figures)
            if step % SAVE_EVERY == 0:
                save_state(state, trainee, optimiser, [generator], step)

        pictures = Pictures(stores, recipe.held_out, not recipe.unmirrored, recipe.saturation)
        train_autoencoder(trainee, pictures, settings, generator, done_before, optimiser, on_step)
        mean, std = measure_latents(autoencoder, pictures, generator)
        save_weights(autoencoder.state_dict(), done)
        statistics.write_text(json.dumps({"latents_mean": mean, "latents_std": std}))
        state.unlink(missing_ok=True)
    autoencoder.load_state_dict(load_file(done))
    autoencoder.set_statistics(**json.loads(statistics.read_text()))
    return autoencoder


def _normaliser(recipe: Recipe, data: TrainingSet) -> Normaliser:
    """Fitted in the first round and kept: the weights of later rounds continue in the same units."""
    path = recipe.output / "statistics.json"
    if not path.exists():
        mirrored = [mirror_actions(torch.from_numpy(data.actions)).numpy()] if data.mirrored else []
        path.write_text(json.dumps(Normaliser.fit(np.concatenate([data.actions, *mirrored])).to_dict()))
    return Normaliser.from_dict(json.loads(path.read_text()))


def _tokenizer(recipe: Recipe, data: TrainingSet) -> Tokenizer:
    """Of the words of the first round, or of the start's."""
    path = recipe.output / "tokenizer.json"
    if not path.exists():
        word_tokenizer(data.instructions).save(str(path))
    return Tokenizer.from_file(str(path))


def _model(recipe: Recipe, tokenizer: Tokenizer, start: Start | None, weights: Path | None) -> MetisModel:
    """With the weights that a round has left, or those of the start, or random ones. A text encoder that does not train
    is in no round's weights: it stays what it was before the first."""
    torch.manual_seed(recipe.seed + 1)  # whatever was drawn, or was there already, before
    model = MetisModel(recipe.network, tokenizer)
    trained = nn.ModuleDict({"network": model.network, "text": model.text})
    if start is not None and (weights is None or not recipe.trains_text):
        start.load_into(trained, "network", "text")
    if not recipe.trains_text:
        del trained["text"]
    if weights is not None:
        trained.load_state_dict(load_file(weights))
    return model


def _train_metis(
    recipe: Recipe,
    number: int,
    data: TrainingSet,
    normaliser: Normaliser,
    tokenizer: Tokenizer,
    start: Start | None,
    report: Report,
    processes: Processes,
) -> None:
    """The steps of a round; what comes out is in round<number>.safetensors."""
    before = recipe.output / f"round{number - 1}.safetensors" if number else None
    model = _model(recipe, tokenizer, start, before)
    if recipe.lora is not None:
        add_adapters(model.network, recipe.lora)
    model.network.checkpointing = recipe.checkpointing
    if recipe.trains_text:
        trainable = Trainable(model.network, model.text, data.instructions)
    else:
        with torch.no_grad():
            trainable = Trainable(model.network, None, data.instructions, model.text(data.instructions))
    del model
    processes.place(trainable)
    average = Average(trainable, recipe.ema)
    state = recipe.output / f"round{number}_state.pt"
    _run_steps(recipe, number, state, data, normaliser, trainable, average, report, processes)

    weights = processes.whole({**trainable.state_dict(), **average.state_dict()})
    if processes.first:
        if recipe.lora is not None:
            network = {name.removeprefix("network."): tensor for name, tensor in weights.items()}
            weights = {f"network.{name}": t for name, t in merged(network, recipe.network, recipe.lora).items()}
        save_weights(weights, recipe.output / f"round{number}.safetensors")
        state.unlink(missing_ok=True)
    processes.wait()


def _run_steps(
    recipe: Recipe,
    number: int,
    state: Path,
    data: TrainingSet,
    normaliser: Normaliser,
    trainable: Trainable,
    average: Average,
    report: Report,
    processes: Processes,
) -> None:
    plan, device = recipe.rounds[number], processes.device
    try:
        shares = processes.share(plan.shards)
    except ValueError as error:
        raise RecipeError(f"round {number}: {error}") from None
    optimiser = make_optimiser(trainable, plan.learning_rate, recipe.weight_decay)
    generators = {s: torch.Generator().manual_seed(recipe.seed + 1000 * (number + 1) + s) for s in shares}
    start = load_state(state, trainable, optimiser, generators, average=average)

    training = np.flatnonzero(~data.held_out)
    video_training = np.flatnonzero(~data.held_out[data.future_window])
    trainable.train()
    smooth: dict[str, _Average] = {}
    share = replace(plan, batch=plan.batch // plan.shards, video_batch=plan.video_batch // plan.shards, shards=1)
    objective = _objective(recipe, plan, normaliser)

    def work(model: Trainable, place: int) -> dict[str, float]:
        generator = generators[shares[place]]
        plain, video = draw_batches(data, normaliser, share, training, video_training, generator, device)
        return backward(model, objective, plain, video, generator, device)

    side_by_side = device.type == "cpu" and processes.count == 1
    with Shards(trainable, len(shares), in_turn=not side_by_side) as shards:
        for step in range(start, plan.steps):
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * _cosine(step, plan.warmup, plan.steps)
            optimiser.zero_grad(set_to_none=True)
            for losses in processes.gather(shards.backward(work)):
                for name, loss in losses.items():
                    smooth.setdefault(name, _Average())(loss)
            take_step(trainable, optimiser, average)
            figures = {name: average_loss.value for name, average_loss in smooth.items()}
            report(f"round {number}", step + 1, plan.steps, figures)
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
                drawn = list(generators.values())
                save_state(state, trainable, optimiser, drawn, step + 1, average=average, processes=processes)


def _objective(recipe: Recipe, plan: Round, normaliser: Normaliser) -> Objective:
    paid = plan.clearance
    return Objective(
        action_times=recipe.action_times,
        video_times=recipe.video_times,
        joint_share=plan.video_batch / (plan.batch + plan.video_batch),
        video_weight=recipe.video_weight,
        repeats=plan.repeats,
        shortfall=None if paid is None else partial(plan_shortfall, normaliser=normaliser, settings=paid),
        shortfall_weight=0.0 if paid is None else paid.weight,
        committed=plan.committed,
    )


def _cosine(step: int, warmup: int, steps: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def _say_nothing(stage: str, done: int, of: int, figures: dict[str, float]) -> None:
    """Of processes that work on the same, one reports."""


def _follower(report: Report, stage: str, total: int) -> Callable[[Any], Iterable[Any]]:
    def follow(items: Any) -> Iterable[Any]:
        for done, item in enumerate(items):
            report(stage, done, total, {})
            yield item
        report(stage, total, total, {})

    return follow


class _Average:
    """Running mean over about the last hundred values."""

    def __init__(self) -> None:
        self.value = float("nan")

    def __call__(self, value: float) -> float:
        self.value = value if math.isnan(self.value) else 0.99 * self.value + 0.01 * value
        return self.value
