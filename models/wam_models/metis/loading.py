"""A checkpoint to a policy: built in the precision and on the rung asked for, and let through the gate."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import init_empty_weights
from tokenizers import Tokenizer
from torch import Tensor

from wam_models.checkpoint import TEXT, Checkpoint, CheckpointError, load_weights
from wam_models.metis.acceleration import accelerate_layers
from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.engine import Engine, Parts, Question, make_engine
from wam_models.metis.model import Metis
from wam_models.metis.planning import MetisPolicy
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.runtime.gate import Difference, check
from wam_models.runtime.ladder import Rung, make_device, make_rung
from wam_models.runtime.memory import available_memory, does_not_fit, is_out_of_memory
from wam_models.runtime.precision import cast_autoencoder, cast_transformer, keeps_float32, make_precision, name_of
from wam_models.runtime.stages import StageClock
from wam_models.wan.instructions import Instructions
from wam_models.wan.text import InstructionEncoder
from wam_models.wan.vae import VideoAutoencoder

# Rows of the instruction that the gate plans with; it is none, so that no text encoder need be loaded for it.
_PROBE_ROWS = 8


def load_metis(
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    precision: str = "float32",
    rung: str = Rung.CACHED.value,
    steps: int | None = None,
    seed: int = 0,
    candidates: int = 1,
    mask: str | None = None,
    imagine: bool = False,
) -> MetisPolicy:
    """See wam_models.policy.load_policy for the options.

    Raises CheckpointError when configuration and weights do not fit each other, PrecisionError when the rung plans
    otherwise than the plain path, ValueError for an option that cannot be had here.
    """
    where = checkpoint.directory
    place = make_device(device)
    dtype = make_precision(precision)
    chosen = make_rung(rung, place, dtype)
    try:
        config = MetisConfig.from_dict(checkpoint.config["network"])
        preprocessing = Preprocessing.from_dict(checkpoint.preprocessing)
        normaliser = Normaliser.from_dict(checkpoint.statistics)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: the configuration does not describe a Metis ({error})") from None
    if mask is not None:
        config = replace(config, mask=_make_mask(mask))
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
    try:
        first = torch.float32 if _room_for_float32(checkpoint, place) else dtype
        parts = read_parts(checkpoint, config, tokenizer, place, first, text_dtype=dtype)
        count = config.steps if steps is None else steps
        served = Serving(chosen, dtype, count, candidates)
        engine = make_gated_engine(parts, normaliser, served, checkpoint.model_id)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CheckpointError(does_not_fit(checkpoint.model_id, device, error)) from None
    return MetisPolicy(
        parts,
        engine,
        tokenizer,
        preprocessing,
        normaliser,
        checkpoint.model_id,
        steps=steps,
        candidates=candidates,
        imagine=imagine,
        seed=seed,
        trained=bool(checkpoint.config.get("trained", True)),
    )


def _make_mask(name: str) -> Mask:
    try:
        return Mask(name)
    except ValueError:
        raise ValueError(f"{name!r} is no mask: choose one of {', '.join(each.value for each in Mask)}") from None


def read_parts(
    checkpoint: Checkpoint,
    config: MetisConfig,
    tokenizer: Tokenizer,
    device: torch.device,
    dtype: torch.dtype,
    text_dtype: torch.dtype | None = None,
) -> Parts:
    """The networks of a checkpoint, shard by shard onto the device; a large text encoder only when an instruction comes
    that is not known from before. text_dtype: of the text encoder, by default that of the others. Raises
    CheckpointError when weights and configuration do not fit."""
    text_dtype = text_dtype or dtype

    def of_transformer(name: str) -> torch.dtype:
        return torch.float32 if keeps_float32(name) else dtype

    def load_text() -> InstructionEncoder:
        with init_empty_weights(include_buffers=False):
            encoder = InstructionEncoder(config.text, tokenizer, config.text_length)
        load_weights(checkpoint, encoder, "text.", device=str(device), dtype=text_dtype)
        return encoder.eval().requires_grad_(False)

    with init_empty_weights(include_buffers=False):
        network, autoencoder = Metis(config), VideoAutoencoder(config.vae)
    load_weights(checkpoint, network, "network.", device=str(device), dtype=of_transformer)
    load_weights(checkpoint, autoencoder, "autoencoder.", device=str(device), dtype=dtype)
    for module in (network, autoencoder):
        module.eval().requires_grad_(False)
    folder = _instructions_folder(checkpoint, config.text_length, text_dtype)
    if folder is None:  # a small encoder: what is wrong with it is better said now
        encoder = load_text()
        return Parts(network, autoencoder, Instructions(tokenizer, config.text_length, lambda: encoder))
    return Parts(network, autoencoder, Instructions(tokenizer, config.text_length, load_text, folder))


def _instructions_folder(checkpoint: Checkpoint, length: int, dtype: torch.dtype) -> Path | None:
    """Where embedded instructions outlive the process, for text encoders so large that they have files of their own:
    one folder for each encoder, language, length and precision."""
    if checkpoint.weight_map is None:
        return None
    files = {file for name, file in checkpoint.weight_map.items() if name.startswith(TEXT)}
    digest = hashlib.blake2b(f"{length} {name_of(dtype)}".encode(), digest_size=16)
    for name in ("tokenizer.json", *sorted(files)):
        digest.update(checkpoint.hashes[name].encode())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "wam" / "instructions" / digest.hexdigest()


def _room_for_float32(checkpoint: Checkpoint, device: torch.device) -> bool:
    """Whether network and autoencoder in float32, from half floats, take less than half of what is free there."""
    index = checkpoint.weight_map or {}
    text = {file for name, file in index.items() if name.startswith(TEXT)}
    stored = sum(path.stat().st_size for path in checkpoint.weights_files if path.name not in text)
    return 2 * stored < available_memory(device) / 2


@dataclass(frozen=True)
class Serving:
    """How a model is asked: what the gate has to try. Raises ValueError for no step or no candidate."""

    rung: Rung
    dtype: torch.dtype
    steps: int
    candidates: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a plan takes at least one step, got {self.steps}")
        if self.candidates < 1:
            raise ValueError(f"a plan draws at least one candidate, got {self.candidates}")


def make_gated_engine(parts: Parts, normaliser: Normaliser, served: Serving, name: str) -> Engine:
    """An engine whose plans from a fixed observation are the plain path's, computed in the precision that the weights
    come in, before anything is narrowed or fused: candidates side by side, first free and then with their first point
    known. Changes the networks of `parts` in place. Raises PrecisionError where the two are too far apart.

    The joint mask has no plain path, and its cached one stands for it.
    """
    probe = _Probe.of(parts, normaliser, served)
    plainest = Rung.CACHED if parts.config.mask is Mask.JOINT else Rung.PLAIN
    before = parts.network.dtype
    reference = probe.poses(make_engine(probe.parts(parts), plainest))
    cast_transformer(parts.network, served.dtype)
    cast_autoencoder(parts.autoencoder, served.dtype)
    if parts.network.video.patch_embedding.weight.is_cuda:
        torch.cuda.empty_cache()
    accelerate_layers(parts.network, served.rung)
    engine = make_engine(probe.parts(parts), served.rung)
    difference = Difference.between(reference, probe.poses(engine))
    how = f"{name} on rung {served.rung.value} in {name_of(served.dtype)}, beside {name_of(before)},"
    check(how, difference, served.dtype)
    engine.read_with(parts.instructions)
    return engine


@dataclass(frozen=True)
class _Probe:
    """The fixed questions of the gate: a noisy frame, ego states and noise of a seed."""

    questions: tuple[Question, ...]
    rows: Tensor
    normaliser: Normaliser

    @classmethod
    def of(cls, parts: Parts, normaliser: Normaliser, served: Serving) -> _Probe:
        config, device = parts.config, parts.network.video.patch_embedding.weight.device
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(device)

        frames = np.random.default_rng(0).integers(
            0, 256, (config.context_frames, *config.image_size, 3), dtype=np.uint8
        )
        channels, height, width = config.latent_size
        free = Question(
            list(frames),
            0.5 * normal(1, config.action.state),
            "",
            normal(served.candidates, config.action.points, config.action.values),
            served.steps,
            video_noise=normal(1, channels, config.future_latents, height, width)
            if config.mask is Mask.JOINT
            else None,
        )
        bound = replace(free, known=0.1 * normal(1, config.action.values))
        return cls((free, bound), 0.1 * normal(_PROBE_ROWS, config.video["text_dim"]), normaliser)

    def parts(self, parts: Parts) -> Parts:
        """With an instruction of its own in place of the text encoder."""
        return replace(parts, instructions=GivenRows(self.rows, parts.config.text_length))

    @torch.inference_mode()
    def poses(self, engine: Engine) -> np.ndarray:
        """(questions, candidates, points, 3). Where the model answers without a yaw it is 0: the direction of travel
        that would stand for it turns with every millimetre between near points."""
        answers = []
        for question in self.questions:
            actions, _ = engine.act(question, StageClock(question.noise.device))
            values = self.normaliser.denormalise(actions.double().cpu().numpy())
            answers.append(np.concatenate([values, np.zeros((*values.shape[:-1], 3 - values.shape[-1]))], axis=-1))
        return np.stack(answers)


class GivenRows:
    """One embedding, (n, d), for every instruction: planning without a text encoder."""

    def __init__(self, rows: Tensor, length: int) -> None:
        self._rows, self._length = rows, length

    def embed(self, _: str) -> Tensor:
        """See Instructions.embed."""
        return self._rows

    def embed_anew(self, _: str) -> Tensor:
        """See Instructions.embed_anew."""
        padding = self._rows.new_zeros(self._length - len(self._rows), self._rows.shape[1])
        return torch.cat([self._rows, padding])[None]
