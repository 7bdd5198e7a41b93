"""Latents computed once: an epoch of training reads numbers instead of encoding every frame again."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wam_models.data.store import WindowStore
from wam_models.training.augment import another_sky, jitter_light, mirror
from wam_models.training.recipe import LEAST_SATURATION
from wam_models.wan.vae import VideoAutoencoder, to_unit


@dataclass(frozen=True)
class LatentCache:
    """Float16 latents of a store in `variants` versions: each run in one light of its own a version, every odd version
    mirrored where `mirrored` is true. frames: (variants, M, C, h, w), each frame encoded alone; futures: (S, C, F, h,
    w) of the windows future_window (S,) in the version future_variant (S,)."""

    frames: np.ndarray
    futures: np.ndarray
    future_window: np.ndarray
    future_variant: np.ndarray
    mirrored: bool = True


def open_latents(
    autoencoder: VideoAutoencoder,
    store: WindowStore,
    *,
    variants: int,
    future_every: int,
    seed: int,
    dark_skies: float = 0.0,
    mirrored: bool = True,
    least_saturation: float = LEAST_SATURATION,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> LatentCache:
    """The latents beside the store on disk, made now if this autoencoder has not been here before.

    future_every: of the windows whose recorded future shows the label, every n-th is encoded as video target.
    dark_skies: share of the runs, in each version, that are seen under a dark sky; least_saturation: see jitter_light.
    """
    digest = hashlib.sha256()
    normalised = {"mean": autoencoder.mean, "std": autoencoder.std}
    for name, tensor in sorted({**autoencoder.state_dict(), **normalised}.items()):
        digest.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    seen = _Seen(variants, seed, dark_skies, mirrored, least_saturation)
    digest.update(repr((future_every, seen)).encode())
    folder = store.folder / f"latents-{digest.hexdigest()[:12]}"
    targets = np.flatnonzero(store.windows.imitated)[::future_every]
    target_variant = np.arange(len(targets)) % variants
    if not (folder / "complete").exists():
        folder.mkdir(exist_ok=True)
        _build(autoencoder, store, folder, targets, target_variant, seen, progress)
        (folder / "complete").touch()
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    futures = np.load(folder / "futures.npy", mmap_mode="r")
    return LatentCache(frames, futures, targets, target_variant, mirrored)


@dataclass(frozen=True)
class _Seen:
    """How the runs are seen; see open_latents."""

    variants: int
    seed: int
    dark_skies: float
    mirrored: bool
    least_saturation: float


def _build(
    autoencoder: VideoAutoencoder,
    store: WindowStore,
    folder: Path,
    targets: np.ndarray,
    target_variant: np.ndarray,
    seen: _Seen,
    progress: Callable[[Iterable[int]], Iterable[int]],
) -> None:
    autoencoder.eval()
    first = to_unit(torch.from_numpy(store.frames[:1].copy()))[:, :, None]
    shape = autoencoder.encode(first.to(autoencoder.mean.device)).shape
    frames = np.lib.format.open_memmap(
        folder / "frames.npy", "w+", np.float16, (seen.variants, len(store.frames), shape[1], *shape[3:])
    )
    futures: list[np.ndarray | None] = [None] * len(targets)
    target_run = store.frame_run[store.windows.context[targets, -1]]
    own = threading.local()

    @torch.no_grad()
    def encode_run(run: int) -> int:
        if not hasattr(own, "autoencoder"):  # it keeps a cache on itself, so one serves one thread
            torch.set_num_threads(1)
            own.autoencoder = copy.deepcopy(autoencoder)
        numbers = np.flatnonzero(store.frame_run == run)
        recorded = np.array(store.frames[numbers[0] : numbers[-1] + 1])
        for variant in range(seen.variants):
            generator = torch.Generator().manual_seed(hash((seen.seed, run, variant)) % 2**31)
            skies = another_sky(recorded, seen.dark_skies, generator)
            images = to_unit(torch.from_numpy(skies)).transpose(0, 1)
            # One batch entry is one light: the whole run is seen in it, as a camera would.
            lit = jitter_light(images[None], generator, seen.least_saturation)[0]
            if variant % 2 and seen.mirrored:
                lit = mirror(lit)
            frames[variant, numbers] = _encode(own.autoencoder, lit.transpose(0, 1)[:, :, None], 16)[:, :, 0]
            wanted = np.flatnonzero((target_run == run) & (target_variant == variant))
            if len(wanted):
                newest, future = store.windows.context[targets[wanted], -1:], store.windows.future[targets[wanted]]
                clips = lit[:, np.concatenate([newest, future], axis=1) - numbers[0]].transpose(0, 1)
                for index, latents in zip(wanted, _encode(own.autoencoder, clips, 4)[:, :, 1:]):
                    futures[index] = latents
        return run

    # Whole runs side by side use the cores better than the threads inside one small convolution.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            for _ in progress(pool.map(encode_run, np.unique(store.frame_run).tolist())):
                pass
    finally:
        torch.set_num_threads(threads)
    stacked = np.stack([f for f in futures if f is not None]) if len(targets) else np.zeros((0, *shape[1:]), np.float16)
    if not (np.isfinite(frames).all() and np.isfinite(stacked).all()):
        raise ValueError("the autoencoder's latents are not finite: train it again, or check its statistics")
    np.save(folder / "futures.npy", stacked)


def _encode(autoencoder: VideoAutoencoder, frames: Tensor, batch: int) -> np.ndarray:
    """(N, 3, T, H, W) -> (N, C, T', h, w), in batches of one size: a CPU prepares convolutions anew for each."""
    out = []
    for part in frames.split(batch):
        padded = torch.cat([part, part.new_zeros(batch - len(part), *part.shape[1:])])
        device = autoencoder.mean.device
        with torch.autocast(device.type, torch.bfloat16):
            out.append(autoencoder.encode(padded.to(device))[: len(part)].to(torch.float16).cpu().numpy())
    return np.concatenate(out)


@dataclass(frozen=True)
class TrainingSet:
    """Several stores and their latents as one. Arrays as in WindowStore and LatentCache, numbered through."""

    frames: np.ndarray
    futures: np.ndarray
    future_window: np.ndarray
    future_variant: np.ndarray
    context: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    instruction: np.ndarray
    instructions: list[str]
    held_out: np.ndarray
    obstacles: np.ndarray | None
    mirrored: bool

    @classmethod
    def join(
        cls,
        parts: list[tuple[WindowStore, LatentCache]],
        held_out_share: float,
        obstacles: list[np.ndarray] | None = None,
    ) -> TrainingSet:
        """The parts one after the other; of each, a share of its runs is held out (see WindowStore.held_out).
        obstacles: of each part (M, P, 2), when they are wanted."""
        if len({latents.mirrored for _, latents in parts}) > 1:
            raise ValueError("some latents are mirrored and some are not: open all of them alike")
        instructions, told = np.unique(
            np.concatenate([store.windows.instructions for store, _ in parts]), return_inverse=True
        )
        offsets = np.cumsum([0] + [len(store.frames) for store, _ in parts])
        windows = np.cumsum([0] + [len(store) for store, _ in parts])
        return cls(
            frames=np.concatenate([latents.frames for _, latents in parts], axis=1),
            futures=np.concatenate([latents.futures for _, latents in parts]),
            future_window=np.concatenate([lat.future_window + w for (_, lat), w in zip(parts, windows)]),
            future_variant=np.concatenate([latents.future_variant for _, latents in parts]),
            context=np.concatenate([store.windows.context + o for (store, _), o in zip(parts, offsets)]),
            states=np.concatenate([store.windows.states for store, _ in parts]),
            actions=np.concatenate([store.windows.actions for store, _ in parts]),
            instruction=told,
            instructions=instructions.tolist(),
            held_out=np.concatenate([store.held_out(held_out_share) for store, _ in parts]),
            obstacles=None if obstacles is None else np.concatenate(obstacles),
            mirrored=parts[0][1].mirrored,
        )
