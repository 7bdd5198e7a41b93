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
from wam_models.preprocessing import Normaliser, Preprocessing, to_poses
from wam_models.runtime.gate import Difference, check
from wam_models.runtime.ladder import Rung, make_rung
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
    place = torch.device(device)
    dtype = make_precision(precision)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("this torch sees no NVIDIA GPU: set device to cpu, or install a CUDA build of torch")
    chosen = make_rung(rung, place)
    try:
        config = MetisConfig.from_dict(checkpoint.config["network"])
        preprocessing = Preprocessing.from_dict(checkpoint.preprocessing)
        normaliser = Normaliser.from_dict(checkpoint.statistics)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: the configuration does not describe a Metis ({error})") from None
    if mask is not None:
        config = replace(config, mask=Mask(mask))
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
    try:
        first = torch.float32 if _room_for_float32(checkpoint, place) else dtype
        parts = read_parts(checkpoint, config, place, first)
        engine = make_gated_engine(parts, normaliser, chosen, dtype, checkpoint.model_id)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise CheckpointError(
            f"{checkpoint.model_id} does not fit on {device}: free memory there, or choose another device ({error})"
        ) from None
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
    )


def read_parts(checkpoint: Checkpoint, config: MetisConfig, device: torch.device, dtype: torch.dtype) -> Parts:
    """The networks of a checkpoint, shard by shard onto the device; a large text encoder only when an instruction comes
    that is not known from before. Raises CheckpointError when weights and configuration do not fit."""
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))

    def of_transformer(name: str) -> torch.dtype:
        return torch.float32 if keeps_float32(name) else dtype

    def load_text() -> InstructionEncoder:
        with init_empty_weights(include_buffers=False):
            encoder = InstructionEncoder(config.text, tokenizer, config.text_length)
        load_weights(checkpoint, encoder, "text.", device=str(device), dtype=dtype)
        return encoder.eval().requires_grad_(False)

    with init_empty_weights(include_buffers=False):
        network, autoencoder = Metis(config), VideoAutoencoder(config.vae)
    load_weights(checkpoint, network, "network.", device=str(device), dtype=of_transformer)
    load_weights(checkpoint, autoencoder, "autoencoder.", device=str(device), dtype=dtype)
    for module in (network, autoencoder):
        module.eval().requires_grad_(False)
    folder = _instructions_folder(checkpoint)
    if folder is None:  # a small encoder: what is wrong with it is better said now
        encoder = load_text()
        return Parts(network, autoencoder, Instructions(tokenizer, config.text_length, lambda: encoder))
    return Parts(network, autoencoder, Instructions(tokenizer, config.text_length, load_text, folder))


def _instructions_folder(checkpoint: Checkpoint) -> Path | None:
    """Where embedded instructions outlive the process, for text encoders so large that they have files of their own:
    one folder for each encoder and language."""
    if checkpoint.weight_map is None:
        return None
    files = {file for name, file in checkpoint.weight_map.items() if name.startswith(TEXT)}
    digest = hashlib.blake2b(digest_size=16)
    for name in ("tokenizer.json", *sorted(files)):
        digest.update(checkpoint.hashes[name].encode())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "wam" / "instructions" / digest.hexdigest()


def _room_for_float32(checkpoint: Checkpoint, device: torch.device) -> bool:
    """Whether the weights in float32 take less than half of what is free there."""
    stored = sum(path.stat().st_size for path in checkpoint.weights_files if path.is_file())
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2 * stored < free / 2


def make_gated_engine(parts: Parts, normaliser: Normaliser, rung: Rung, dtype: torch.dtype, name: str) -> Engine:
    """An engine whose plan from a fixed observation is the plain path's, computed in the precision that the weights
    come in, before anything is narrowed or fused. Changes the networks of `parts` in place. Raises PrecisionError where
    the two are too far apart.

    The joint mask has no plain path, and its cached one stands for it.
    """
    probe = _Probe.of(parts, normaliser)
    plainest = Rung.CACHED if parts.config.mask is Mask.JOINT else Rung.PLAIN
    reference = probe.poses(parts, make_engine(probe.parts(parts), plainest))
    cast_transformer(parts.network, dtype)
    cast_autoencoder(parts.autoencoder, dtype)
    accelerate_layers(parts.network, rung)
    found = probe.poses(parts, make_engine(probe.parts(parts), rung))
    check(f"{name} on rung {rung.value} in {name_of(dtype)}", Difference.between(reference, found), dtype)
    return make_engine(parts, rung)


@dataclass(frozen=True)
class _Probe:
    """The fixed observation of the gate: a textured frame, a robot in a bend, noise of a seed."""

    frames: list[np.ndarray]
    state: Tensor
    noise: Tensor
    video_noise: Tensor | None
    rows: Tensor
    normaliser: Normaliser

    @classmethod
    def of(cls, parts: Parts, normaliser: Normaliser) -> _Probe:
        config = parts.config
        generator = torch.Generator().manual_seed(0)
        shape = (config.context_frames, *config.image_size, 3)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        channels, height, width = config.latent_size
        video = torch.randn((1, channels, config.future_latents, height, width), generator=generator)
        return cls(
            list(frames),
            0.5 * torch.randn((1, config.action.state), generator=generator),
            torch.randn((1, config.action.points, config.action.values), generator=generator),
            video if config.mask is Mask.JOINT else None,
            0.1 * torch.randn((_PROBE_ROWS, config.video["text_dim"]), generator=generator),
            normaliser,
        )

    def parts(self, parts: Parts) -> Parts:
        """With an instruction of its own in place of the text encoder."""
        return replace(parts, instructions=GivenRows(self.rows, parts.config.text_length))

    @torch.inference_mode()
    def poses(self, parts: Parts, engine: Engine) -> np.ndarray:
        device = parts.network.video.patch_embedding.weight.device
        video = None if self.video_noise is None else self.video_noise.to(device)
        state, noise = self.state.to(device), self.noise.to(device)
        asked = Question(self.frames, state, "", noise, parts.config.steps, video_noise=video)
        actions, _ = engine.act(asked, StageClock(device))
        return to_poses(self.normaliser.denormalise(actions.double().cpu().numpy()))


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
