"""Training, top to bottom: bags -> windows -> autoencoder -> latents -> Metis -> checkpoint.

Every stage keeps what it has made under the recipe's output folder and is skipped when it is there; inside a stage the
state is saved every few minutes. Stopping at any time and starting again goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wam_models.data.bags import BagError
from wam_models.data.latent_cache import LatentCache, TrainingSet, open_latents
from wam_models.data.store import WindowStore, bag_folders, open_store
from wam_models.metis.config import MetisConfig
from wam_models.metis.model import Metis, Text
from wam_models.metis.planning import MetisModel, sample_actions
from wam_models.preprocessing import Normaliser
from wam_models.training.augment import mirror_actions
from wam_models.training.batch import Batch, action_loss, draw_batches, joint_losses, plan_shortfall
from wam_models.training.card import card, write_checkpoint
from wam_models.training.claims import claim_autoencoder, claim_round
from wam_models.training.clearance import obstacles
from wam_models.training.recipe import Clearance, Recipe
from wam_models.training.shards import Shards
from wam_models.training.start import Start, open_start
from wam_models.training.vae import AutoencoderTrainee, Pictures, measure_latents, quiet_start, train_autoencoder
from wam_models.wan.block import KeysValues
from wam_models.wan.text import InstructionEncoder, word_tokenizer
from wam_models.wan.vae import VideoAutoencoder

SAVE_EVERY = 500  # steps
Report = Callable[[str, int, int, dict[str, float]], None]


def train_round(
    recipe: Recipe, number: int, report: Report, *, device: str = "cpu", start_from: Path | None = None
) -> Path:
    """Round `number` of the recipe and all that comes before it in the pipeline; returns its checkpoint directory.

    report(stage, done, of, figures) is called as work goes on. start_from: a checkpoint directory whose weights the
    first round and the autoencoder continue from. Raises BagError when the bags are unusable, CheckpointError when
    start_from is, RecipeError when the output folder holds another recipe's work.
    """
    began = time.monotonic()
    torch.manual_seed(recipe.seed)
    recipe.output.mkdir(parents=True, exist_ok=True)
    plan = recipe.rounds[number]
    claim_autoencoder(recipe)
    claim_round(recipe, number)
    start = None if start_from is None else open_start(start_from, recipe.output)

    # 1. Bags to windows.
    stores = {}
    for name in plan.data:
        bags = bag_folders([recipe.data[name].folder])
        follow = _follower(report, f"windows of {name}", len(bags))
        stores[name] = open_store(bags, recipe.cache, recipe.network, recipe.use_acceleration, follow)

    # 2. Autoencoder, in the first round.
    autoencoder = _autoencoder(recipe, list(stores.values()), start, report, device)

    # 3. Latents.
    parts: list[tuple[WindowStore, LatentCache]] = []
    for name, store in stores.items():
        latents = open_latents(
            autoencoder,
            store,
            variants=recipe.variants,
            future_every=recipe.future_every,
            seed=recipe.seed,
            dark_skies=plan.dark_skies,
            progress=_follower(report, f"latents of {name}", len(np.unique(store.frame_run))),
        )
        parts.append((store, latents))
    points = None if plan.clearance is None else _obstacles(stores, plan.clearance, report)
    data = TrainingSet.join(parts, recipe.held_out, points)

    # 4. Metis.
    normaliser = _normaliser(recipe, data)
    model = _train_metis(recipe, number, data, autoencoder, normaliser, start, report, device)

    # 5. Checkpoint.
    scores = validate(model, data, normaliser)
    report("validation", 1, 1, scores)
    directory = recipe.output / f"round{number}"
    spent = time.monotonic() - began
    write_checkpoint(model, recipe, normaliser, directory, card(recipe, number, parts, start, scores, spent))
    return directory


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


def _autoencoder(
    recipe: Recipe, stores: list[WindowStore], start: Start | None, report: Report, device: str
) -> VideoAutoencoder:
    settings = recipe.autoencoder
    autoencoder = VideoAutoencoder(recipe.network.vae).to(device)
    done, statistics = recipe.output / "autoencoder.safetensors", recipe.output / "autoencoder_statistics.json"
    if not (done.exists() and statistics.exists()):
        state = recipe.output / "autoencoder_state.pt"
        if start is None:
            quiet_start(autoencoder)
        else:
            start.load_into(autoencoder, "autoencoder")
        trainee = AutoencoderTrainee(autoencoder, recipe.network.image_size).to(device)
        optimiser = torch.optim.AdamW(trainee.parameters(), settings.learning_rate, (0.9, 0.95), weight_decay=0.01)
        generator = torch.Generator().manual_seed(recipe.seed)
        done_before = 0
        if state.exists():
            saved = torch.load(state, weights_only=True)
            trainee.load_state_dict(saved["model"])
            optimiser.load_state_dict(saved["optimiser"])
            generator.set_state(saved["generators"][0])
            done_before = saved["step"]
        averages: dict[str, _Average] = {}

        def on_step(step: int, losses: dict[str, float]) -> None:
            figures = {name: averages.setdefault(name, _Average())(value) for name, value in losses.items()}
            report("autoencoder", step, settings.steps, figures)
            if step % SAVE_EVERY == 0:
                _save_state(state, trainee, optimiser, [generator], step)

        pictures = Pictures(stores, recipe.held_out)
        train_autoencoder(trainee, pictures, settings, generator, done_before, optimiser, on_step)
        mean, std = measure_latents(autoencoder, pictures, generator)
        _save_weights(autoencoder, done)
        statistics.write_text(json.dumps({"latents_mean": mean, "latents_std": std}))
        state.unlink(missing_ok=True)
    autoencoder.load_state_dict(load_file(done))
    autoencoder.set_statistics(**json.loads(statistics.read_text()))
    return autoencoder.eval().requires_grad_(False)


def _normaliser(recipe: Recipe, data: TrainingSet) -> Normaliser:
    """Fitted in the first round and kept: the weights of later rounds continue in the same units."""
    path = recipe.output / "statistics.json"
    if not path.exists():
        mirrored = mirror_actions(torch.from_numpy(data.actions)).numpy()
        path.write_text(json.dumps(Normaliser.fit(np.concatenate([data.actions, mirrored])).to_dict()))
    return Normaliser.from_dict(json.loads(path.read_text()))


class Trainable(nn.Module):
    """What the optimiser sees: the network and the text encoder; the autoencoder is done."""

    def __init__(self, network: Metis, text: InstructionEncoder) -> None:
        super().__init__()
        self.network, self.text = network, text

    def read_texts(self, instructions: list[str], chosen: Tensor, repeats: int = 1) -> Text:
        """The instructions with the numbers `chosen` (B,), for the action expert each `repeats` times. Each is embedded
        once, however often it stands in the batch."""
        read = self.network.read_text(self.text(instructions))
        again = chosen.repeat_interleave(repeats)

        def pick(layers: list[KeysValues]) -> list[KeysValues]:
            return [KeysValues(layer.keys[chosen], layer.values[chosen]) for layer in layers]

        return Text(pick(read.video), [KeysValues(k[again], v[again]) for k, v in read.action])


def _train_metis(
    recipe: Recipe,
    number: int,
    data: TrainingSet,
    autoencoder: VideoAutoencoder,
    normaliser: Normaliser,
    start: Start | None,
    report: Report,
    device: str,
) -> MetisModel:
    tokenizer_file = recipe.output / "tokenizer.json"
    if not tokenizer_file.exists():
        word_tokenizer(data.instructions).save(str(tokenizer_file))
    torch.manual_seed(recipe.seed + 1)  # whatever was drawn, or was there already, before
    model = MetisModel(recipe.network, _load_tokenizer(tokenizer_file))
    model.autoencoder = autoencoder
    trainable = Trainable(model.network, model.text).to(device)
    average = AveragedModel(trainable, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    finished = [recipe.output / f"round{n}.safetensors" for n in range(number + 1)]
    if (number or start) and not finished[number].exists():
        if number:
            trainable.load_state_dict(load_file(finished[number - 1]))
        elif start is not None:
            start.load_into(trainable, "network", "text")
        average.module.load_state_dict(trainable.state_dict())
    if not finished[number].exists():
        state = recipe.output / f"round{number}_state.pt"
        _run_steps(recipe, number, state, data, normaliser, trainable, average, report, device)
        _save_weights(average.module, finished[number])
        state.unlink(missing_ok=True)
    trainable.load_state_dict(load_file(finished[number]))
    return model.eval()


def _run_steps(
    recipe: Recipe,
    number: int,
    state: Path,
    data: TrainingSet,
    normaliser: Normaliser,
    trainable: Trainable,
    average: AveragedModel,
    report: Report,
    device: str,
) -> None:
    plan = recipe.rounds[number]
    decayed = [p for p in trainable.parameters() if p.ndim > 1]
    kept = [p for p in trainable.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, plan.learning_rate, betas=(0.9, 0.95))
    generators = [
        torch.Generator().manual_seed(recipe.seed + 1000 * (number + 1) + shard) for shard in range(plan.shards)
    ]
    start = 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        trainable.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        for generator, saved_state in zip(generators, saved["generators"], strict=True):
            generator.set_state(saved_state)
        start = saved["step"]

    training = np.flatnonzero(~data.held_out)
    video_training = np.flatnonzero(~data.held_out[data.future_window])
    trainable.train()
    smooth: dict[str, _Average] = {}
    share = replace(plan, batch=plan.batch // plan.shards, video_batch=plan.video_batch // plan.shards, shards=1)

    def work(model: Trainable, shard: int) -> dict[str, float]:
        """One shard's losses, after their backward pass."""
        generator = generators[shard]
        plain, video = draw_batches(data, normaliser, share, training, video_training, generator, device)
        losses, figures = [], {}
        # On a CPU, narrow matrices are slower in bfloat16 than in float32.
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            if plain is not None:
                text = model.read_texts(data.instructions, plain.instruction, plan.repeats)
                action, planned = action_loss(model.network, plain, text, recipe.action_times, plan.repeats, generator)
                losses.append(action * plan.batch / (plan.batch + plan.video_batch))
                figures["action"] = action
                if plan.clearance is not None:
                    figures["shortfall"] = plan_shortfall(plain, planned, normaliser, plan.clearance)
                    losses.append(plan.clearance.weight * figures["shortfall"])
            if video is not None:
                text = model.read_texts(data.instructions, video.instruction)
                times = recipe.action_times, recipe.video_times
                beside, picture = joint_losses(model.network, video, text, *times, generator)
                losses.append(beside * plan.video_batch / (plan.batch + plan.video_batch))
                losses.append(recipe.video_weight * picture)
                figures["video"] = picture
        torch.stack(losses).sum().backward()
        return {name: float(loss.detach()) for name, loss in figures.items()}

    with Shards(trainable, plan.shards) as shards:
        for step in range(start, plan.steps):
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * _cosine(step, plan.warmup, plan.steps)
            optimiser.zero_grad(set_to_none=True)
            for losses in shards.backward(work):
                for name, loss in losses.items():
                    smooth.setdefault(name, _Average())(loss)
            torch.nn.utils.clip_grad_norm_(trainable.parameters(), 1.0)
            optimiser.step()
            average.update_parameters(trainable)
            figures = {name: average_loss.value for name, average_loss in smooth.items()}
            report(f"round {number}", step + 1, plan.steps, figures)
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
                _save_state(state, trainable, optimiser, generators, step + 1, average=average.state_dict())


@torch.inference_mode()
def validate(model: MetisModel, data: TrainingSet, normaliser: Normaliser, limit: int = 512) -> dict[str, float]:
    """Displacement errors (m) of plans on held-out windows: mean over the points (ade) and at the last one (fde)."""
    windows = np.flatnonzero(data.held_out)
    if not len(windows):
        return {}
    windows = windows[np.linspace(0, len(windows) - 1, min(limit, len(windows))).astype(int)]
    device = model.autoencoder.mean.device
    generator = torch.Generator().manual_seed(0)
    errors = []
    for window in windows:
        batch = Batch.take(data, normaliser, np.array([window]), np.array([0]), None).to(str(device))
        text = model.network.read_text(model.text([data.instructions[int(batch.instruction)]]))
        noise = model.config.noise_scale * torch.randn(batch.actions.shape, generator=generator).to(device)
        latents = torch.randn((1, *_future_shape(model.config)), generator=generator).to(device)
        sampled = sample_actions(model.network, batch.observed, batch.states, noise, text, model.config.steps, latents)
        planned, wanted = (normaliser.denormalise(t.cpu().numpy()) for t in (sampled, batch.actions))
        difference = planned - wanted
        errors.append(np.hypot(difference[0, :, 0], difference[0, :, 1]))
    stacked = np.array(errors)
    return {"ade_m": float(stacked.mean()), "fde_m": float(stacked[:, -1].mean()), "windows": float(len(windows))}


def _future_shape(config: MetisConfig) -> tuple[int, int, int, int]:
    channels, height, width = config.latent_size
    return channels, config.future_latents, height, width


def _load_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _cosine(step: int, warmup: int, steps: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def _save_weights(model: nn.Module, path: Path) -> None:
    """Each name with a tensor of its own: a text encoder's tied embeddings share theirs."""
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}, partial)
    partial.rename(path)


def _save_state(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: list[torch.Generator],
    step: int,
    **more: Any,
) -> None:
    """Written beside and renamed: a stop in the middle of saving loses nothing."""
    partial = path.with_name(path.name + ".partial")
    drawn = [generator.get_state() for generator in generators]
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "generators": drawn}
    torch.save({**state, "step": step, **more}, partial)
    partial.rename(path)


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
