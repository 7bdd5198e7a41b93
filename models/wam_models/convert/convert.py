"""Public weights to a checkpoint. Everything is compared before anything is written, and a few tensors at a time are
read, cast and written: memory for one shard is enough for any model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from wam_models.checkpoint import MAX_SHARD_BYTES, Checkpoint, CheckpointError, open_checkpoint, save_checkpoint
from wam_models.convert.action import fresh_expert, is_resized, resize
from wam_models.convert.sources import LICENCES, Part, Source, open_source
from wam_models.licence import NOT_RECORDED, card_line, joined
from wam_models.metis.config import MetisConfig
from wam_models.metis.experts import ActionExpert
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.runtime.precision import keeps_float32, make_precision
from wam_models.weights import listed, misfits

STARTS = ("random", "resized")
# Part of the model -> where its names begin.
_PLACES = {
    "video": "network.video.",
    "action": "network.action.",
    "autoencoder": "autoencoder.vae.",
    "text": "text.encoder.",
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Conversion:
    """What was made. expert: "source", "random" or "resized"; fresh: tensors of the expert that are in no source;
    left_out: why -> what is in the source and in no Metis."""

    checkpoint: Checkpoint
    format: str
    expert: str
    fresh: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]


def convert(
    source: Path,
    out: Path,
    config: MetisConfig,
    *,
    name: str,
    format: str = "auto",
    base: Path | None = None,
    action: str = "random",
    seed: int = 0,
    precision: str = "bfloat16",
    licence: str = NOT_RECORDED,
    progress: Progress = lambda done, total: None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Conversion:
    """Write the weights at source as an untrained Metis of this configuration.

    format: see sources; base: a folder of the backbone, for formats that are a transformer alone; action: how the
    action expert starts where the source has none that fits, "random" or "resized" from the video expert; precision: of
    the weights, see runtime.precision, but for what Wan keeps in float32; licence: of the backbone; progress: called
    with bytes done and bytes in all.

    Its actions are not normalised, for their statistics are the business of training.
    Raises ValueError for an unknown precision, and CheckpointError, which is one, when the source does not fit the
    configuration, naming what is missing, too many or of another shape, and when out exists or its disk is too full.
    Nothing is written then.
    """
    if out.exists():
        raise CheckpointError(f"{out} exists: give another folder, or remove it")
    if action not in STARTS:
        raise CheckpointError(f"an action expert starts as one of {', '.join(STARTS)}, not {action!r}")
    dtype = make_precision(precision)
    opened = open_source(source, format, base, config)
    config = replace(config, vae={**config.vae, **opened.rest.latents})
    modules = _modules(config)
    opened, expert = _with_fitting_expert(opened, modules["action"], action)
    parts = {"video": opened.video, "autoencoder": opened.rest.autoencoder, "text": opened.rest.text}
    _check(source, parts, modules)
    fresh = _fresh_names(modules["action"], opened.action, expert)
    tokenizer = _read_tokenizer(opened.rest.tokenizer, config)
    total = sum(
        prod(shape) * _dtype(_PLACES[part] + name, dtype).itemsize
        for part, module in modules.items()
        for name, shape in _shapes(module).items()
    )
    _check_disk(out, total)
    statistics = Normaliser(*(fill((config.action.points, config.action.values)) for fill in (np.zeros, np.ones)))
    licence = joined(licence, *([LICENCES[opened.format]] if opened.format in LICENCES else []))
    weights = _cast(_weights(opened, config, modules["action"], expert, fresh, seed), dtype, total, progress)
    save_checkpoint(
        out,
        config={
            "kind": "metis",
            "name": name,
            "version": "0.0",
            "licence": licence,
            "trained": False,
            "network": config.to_dict(),
        },
        preprocessing=Preprocessing(config.image_size).to_dict(),
        statistics=statistics.to_dict(),
        tokenizer=tokenizer.to_str(),
        weights=weights,
        card=_card(name, opened, expert, fresh, seed, precision, licence),
        max_shard_bytes=max_shard_bytes,
    )
    return Conversion(open_checkpoint(out), opened.format, expert, tuple(fresh), opened.left_out)


def _modules(config: MetisConfig) -> dict[str, nn.Module]:
    with torch.device("meta"):
        video = WanTransformer3DModel(**config.video)
        return {
            "video": video,
            "action": ActionExpert(config.action, video),
            "autoencoder": AutoencoderKLWan(**config.vae),
            "text": UMT5EncoderModel(UMT5Config(**config.text)),
        }


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def _with_fitting_expert(source: Source, module: nn.Module, start: str) -> tuple[Source, str]:
    """The source with an action expert only if it has one that fits, and where the expert then comes from."""
    if source.action is None:
        return source, start
    found, wanted = source.action.shapes(), _shapes(module)
    bent = {name for name in found if found[name] != wanted.get(name)}
    lacking = [name for name in wanted if is_resized(name) and name not in found]
    left_out = dict(source.left_out)
    stored = {ours: original for original, ours in source.action.names.items()}
    if lacking or any(is_resized(name) for name in bent):
        shaped = [f"{name} {found[name]}, wanted {wanted.get(name)}" for name in sorted(bent)]
        why = "; ".join(listed({"missing": lacking, "of another shape": shaped}))
        left_out[f"action expert of another size than the preset's ({why})"] = tuple(stored.values())
        return replace(source, action=None, left_out=left_out), start
    if bent:  # it speaks of other actions: another robot's
        left_out["input of other actions than the task's"] = tuple(stored[name] for name in sorted(bent))
    names = {original: ours for original, ours in source.action.names.items() if ours not in bent}
    return replace(source, action=replace(source.action, names=names), left_out=left_out), "source"


def _check(source: Path, parts: dict[str, Part], modules: dict[str, nn.Module]) -> None:
    problems = []
    for part, found in parts.items():
        wrong = misfits(modules[part], found.shapes()) + listed({"of no known name": list(found.unknown)})
        problems += [f"{part}: {'; '.join(wrong)}"] if wrong else []
    if problems:
        raise CheckpointError(f"{source} does not fit the preset. {'. '.join(problems)}")


def _fresh_names(module: nn.Module, found: Part | None, expert: str) -> list[str]:
    taken = set() if found is None else set(found.names.values())
    return [name for name in _shapes(module) if name not in taken and not (expert == "resized" and is_resized(name))]


def _read_tokenizer(file: Path, config: MetisConfig) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001  the library raises no narrower one
        raise CheckpointError(f"{file} is no tokenizer ({error}): fetch it again") from None
    words, known = tokenizer.get_vocab_size(), config.text["vocab_size"]
    if words > known:
        raise CheckpointError(f"{file} has {words} words, the text encoder knows {known}: they do not belong together")
    # The encoder pads and cuts what it reads by itself.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _check_disk(out: Path, total: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out.parent).free
    if free < 1.01 * total:
        raise CheckpointError(f"{out.parent} has {free / 1e9:.1f} GB left, the checkpoint takes {total / 1e9:.1f} GB")


def _weights(
    source: Source, config: MetisConfig, module: nn.Module, expert: str, fresh: list[str], seed: int
) -> Iterator[tuple[str, Tensor]]:
    place = _PLACES["action"]
    wanted = _shapes(module)
    for name, tensor in _stored(source.video):
        yield _PLACES["video"] + name, tensor
        if expert == "resized" and is_resized(name):
            yield place + name, resize(tensor, wanted[name])
    for name, tensor in _stored(source.action) if source.action is not None else ():
        yield place + name, tensor
    for name, tensor in fresh_expert(config, seed, set(fresh)):
        yield place + name, tensor
    for name, tensor in _stored(source.rest.autoencoder):
        yield _PLACES["autoencoder"] + name, tensor
    both = "shared.weight" in source.rest.text.names.values()
    for name, tensor in _stored(source.rest.text):
        if not (both and name == "encoder.embed_tokens.weight"):  # the same, in files that have both
            yield _PLACES["text"] + name, tensor


def _stored(part: Part) -> Iterator[tuple[str, Tensor]]:
    for handful in part.stored.handfuls(part.names):
        for original, tensor in handful.items():
            yield part.names[original], tensor
            del tensor


def _cast(
    weights: Iterator[tuple[str, Tensor]], dtype: torch.dtype, total: int, progress: Progress
) -> Iterator[tuple[str, Tensor]]:
    done = 0
    for name, tensor in weights:
        # A copy in any case: what waits to be written must not keep a whole file of the source open.
        copy = tensor.detach().to(dtype=_dtype(name, dtype), copy=True).contiguous()
        done += copy.numel() * copy.element_size()
        del tensor
        yield name, copy
        progress(min(done, total), total)


def _dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if name.startswith("network.") and keeps_float32(name) else dtype


def _card(name: str, source: Source, expert: str, fresh: list[str], seed: int, precision: str, licence: str) -> str:
    start = {
        "source": "taken over",
        "random": f"random, seed {seed}, with a head of zeros",
        "resized": f"the video expert's, resized; what is new is random, seed {seed}, with a head of zeros",
    }[expert]
    lines = [
        f"# {name}",
        "",
        f"Converted from weights in the format {source.format}, as {precision}. "
        "**Not trained:** it plans nothing of use.",
        "",
        f"- Action expert: {start}. Tensors that are in no source: {len(fresh)}.",
        "- Statistics of the actions are unknown: they are taken as mean 0 and deviation 1. Training measures them.",
        *(f"- Left out, {why}: {len(names)} tensors." for why, names in source.left_out.items()),
        card_line(licence),
    ]
    return "\n".join(lines) + "\n"


def summary(conversion: Conversion) -> dict[str, Any]:
    """What a conversion did, as JSON."""
    return {
        "model_id": conversion.checkpoint.model_id,
        "directory": str(conversion.checkpoint.directory),
        "format": conversion.format,
        "expert": conversion.expert,
        "fresh": list(conversion.fresh),
        "left_out": {why: list(names) for why, names in conversion.left_out.items()},
    }
