"""How long a plan takes on each rung of the ladder, by stage, from pictures of a camera on the host to actions on it.

A plan is timed from the pictures of its context, uint8, CAMERA_WIDTH wide and of the model's aspect ratio, each of
which it resizes as the policy does, to normalised actions. Decoding of pictures, checks of the observation, and what
makes a trajectory of the actions are left out. One frame of the context is new to each plan.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from wam_models.metis.acceleration import accelerate_layers
from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.engine import Engine, Parts, Question, make_engine
from wam_models.metis.loading import GivenRows
from wam_models.metis.model import Metis
from wam_models.preprocessing import resize_frame
from wam_models.runtime.compiling import INDUCTOR
from wam_models.runtime.ladder import Rung, obstacle
from wam_models.runtime.precision import cast_transformer
from wam_models.runtime.stages import StageClock
from wam_models.wan.instructions import Instructions
from wam_models.wan.text import InstructionEncoder, word_tokenizer
from wam_models.wan.vae import VideoAutoencoder

# Of the Go2's camera, and of many others.
CAMERA_WIDTH = 1280
INSTRUCTION = "turn left at the next junction and then keep to the right"
# Paper, table of inference times: milliseconds by steps, Wan2.2-5B with an expert of 1 billion, 640x768, one H200;
# with the video, 10 steps.
PAPER_MS = {"1": 100.0, "2": 140.0, "5": 240.0, "10": 430.0, "with_video": 1380.0}
# Plans before any is timed, in which graphs are recorded and layers compiled.
_REHEARSALS = 3
_ENOUGH = 10


@dataclass
class Timing:
    """Of repeated plans. stages_ms: the median of each, in order."""

    p50_ms: float
    p99_ms: float
    stages_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """Of plan that is measured. candidates: trajectories that a plan chooses among; imagine: with the latents of the
    future video, as with the joint mask always."""

    steps: int
    candidates: int = 1
    imagine: bool = False


def random_parts(config: MetisConfig, device: torch.device, dtype: torch.dtype, text_encoder: bool) -> Parts:
    """Networks of seeded random weights, made on the device in their precision: nothing passes through the host."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            network, autoencoder = Metis(config), VideoAutoencoder(config.vae)
            encoder = _encoder(config) if text_encoder else None
    finally:
        torch.set_default_dtype(before)
    cast_transformer(network, dtype)
    nn.init.normal_(network.action.head.weight, std=0.02)  # at zero, as training begins, nothing would move
    for module in (network, autoencoder, encoder):
        if module is not None:
            module.eval().requires_grad_(False)
    if encoder is not None:
        return Parts(network, autoencoder, Instructions(encoder.tokenizer, config.text_length, lambda: encoder))
    rows = 0.1 * torch.randn(len(INSTRUCTION.split()), config.video["text_dim"], dtype=dtype, device=device)
    return Parts(network, autoencoder, GivenRows(rows, config.text_length))


def _encoder(config: MetisConfig) -> InstructionEncoder:
    tokenizer: Tokenizer = word_tokenizer([INSTRUCTION])
    return InstructionEncoder(config.text, tokenizer, config.text_length)


def hindrance(rung: Rung, config: MetisConfig, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why plans of this network cannot be measured on a rung, or None."""
    if rung is Rung.PLAIN and config.mask is Mask.JOINT:
        return "rung plain cannot serve the joint mask, whose actions look at the video they imagine: choose cached"
    return obstacle(rung, device, dtype)


def measure(
    parts: Parts,
    rungs: list[Rung],
    kinds: list[Kind],
    effort: tuple[int, float],
    progress: Callable[[str], None],
    failed: dict[Rung, str],
    compiling: str = INDUCTOR,
) -> Iterator[tuple[Rung, Kind, Timing, float]]:
    """Each rung that device and network can carry, with the largest distance of its actions from those of the first
    rung, in the units of the flow. Rungs that leave the layers as they are take turns, so that a machine with other
    work slows all of them alike; where one fails, its group is left and the reason is put into `failed`. effort: plans
    timed of each, and the seconds after which ten are enough. Changes the networks in place."""
    weight = parts.network.video.patch_embedding.weight
    possible = [rung for rung in rungs if hindrance(rung, parts.config, weight.device, weight.dtype) is None]
    references: dict[Kind, Tensor] = {}
    for group in _groups(possible):
        forget_peak(weight.device)
        try:
            yield from _measure_group(parts, group, kinds, effort, progress, references, compiling)
        except (RuntimeError, ValueError) as error:  # no compiler, no memory: the other rungs are still worth knowing
            first, *_ = [*str(error).strip().splitlines(), ""]
            failed.update((rung, f"rung {rung.value} failed: {type(error).__name__} {first}") for rung in group)


def _measure_group(
    parts: Parts,
    group: list[Rung],
    kinds: list[Kind],
    effort: tuple[int, float],
    progress: Callable[[str], None],
    references: dict[Kind, Tensor],
    compiling: str,
) -> Iterator[tuple[Rung, Kind, Timing, float]]:
    """A function of its own, so that nothing of a group is left when the next one's memory is measured."""
    for rung in group:
        accelerate_layers(parts.network, rung, compiling)
    engines = {rung: make_engine(parts, rung, compiling) for rung in group}
    numbers = count()
    for kind in kinds:
        progress(f"{', '.join(rung.value for rung in group)}: {_name(kind)}")
        able = [rung for rung in group if rung is not Rung.PLAIN or not kind.imagine]
        runs = [_Run(parts, kind, engines[rung]) for rung in able]
        for rung, run, timing in zip(able, runs, take_turns(runs, *effort, numbers), strict=True):
            found = run.actions()
            reference = references.setdefault(kind, found)
            yield rung, kind, timing, float((found - reference).abs().max())


def _groups(rungs: list[Rung]) -> list[list[Rung]]:
    unchanged = [rung for rung in rungs if not rung.compiles]
    return [group for group in (unchanged, *([rung] for rung in rungs if rung.compiles)) if group]


def _name(kind: Kind) -> str:
    extra = f", best of {kind.candidates}" if kind.candidates > 1 else ""
    return f"{kind.steps} steps{extra}{', with video' if kind.imagine else ''}"


class _Run:
    def __init__(self, parts: Parts, kind: Kind, engine: Engine) -> None:
        config = parts.config
        self._engine, self._steps = engine, kind.steps
        self._device = parts.network.video.patch_embedding.weight.device
        generator = torch.Generator().manual_seed(0)
        height, width = config.image_size
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        # Noise as fine as the camera's pixels would be grey for the model.
        self._picture = resize_frame(noise, (round(CAMERA_WIDTH * height / width), CAMERA_WIDTH))
        self._context = config.context_frames
        shape = kind.candidates, config.action.points, config.action.values
        self._noise = torch.randn(shape, generator=generator).to(self._device)
        self._state = torch.randn((1, config.action.state), generator=generator)
        channels, height, width = config.latent_size
        video = torch.randn((1, channels, config.future_latents, height, width), generator=generator)
        self._video = video.to(self._device) if kind.imagine or config.mask is Mask.JOINT else None

    def pictures(self, number: int) -> list[np.ndarray]:
        """Of plan `number`: the last one is new, the others were seen by the plans before, as on a robot."""
        return [np.roll(self._picture, 3 * (number + i)) for i in range(self._context)]

    def plan(self, pictures: list[np.ndarray], clock: StageClock) -> Tensor:
        """(N, points, values) on the host."""
        state = self._state.to(self._device)
        clock.mark("preprocess")
        asked = Question(pictures, state, INSTRUCTION, self._noise, self._steps, video_noise=self._video)
        actions, _ = self._engine.act(asked, clock)
        return actions.double().cpu()

    def actions(self) -> Tensor:
        """The answer to pictures that no timed plan sees."""
        with torch.inference_mode():
            return self.plan(self.pictures(-1 - self._context), StageClock(self._device))

    def timed(self, number: int) -> tuple[float, dict[str, float]]:
        """ms of a plan, and of its stages."""
        pictures = self.pictures(number)
        began = perf_counter()
        clock = StageClock(self._device)
        self.plan(pictures, clock)
        return 1e3 * (perf_counter() - began), clock.stages()


@torch.inference_mode()
def take_turns(runs: list[_Run], repeats: int, seconds: float, numbers: Iterator[int]) -> list[Timing]:
    """Timings of several runs whose plans alternate. numbers: of plans; each brings a picture that none saw before."""
    if not runs:
        return []
    for _ in range(_REHEARSALS):
        number = next(numbers)
        for run in runs:
            run.timed(number)
    plans: list[list[tuple[float, dict[str, float]]]] = [[] for _ in runs]
    began = perf_counter()
    while len(plans[0]) < repeats and (len(plans[0]) < _ENOUGH or perf_counter() - began < seconds):
        number = next(numbers)
        for run, timed in zip(runs, plans, strict=True):
            timed.append(run.timed(number))
    return [_summary(*zip(*timed, strict=True)) for timed in plans]


def _summary(totals: tuple[float, ...], stages: tuple[dict[str, float], ...]) -> Timing:
    medians = {name: float(np.median([each[name] for each in stages])) for name in stages[0]}
    return Timing(float(np.median(totals)), float(np.quantile(totals, 0.99)), medians)


def forget_peak(device: torch.device) -> None:
    """On a GPU the next `peak_bytes` is of what comes from here on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory held since `forget_peak`, graphs included; of a processor, by this process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
