"""Metis as a policy: read the observation once, then a few Euler steps of the action flow. No video is generated."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from wam_models.checkpoint import Checkpoint, CheckpointError
from wam_models.flow_matching import euler_step, sigmas
from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.model import Metis, Text
from wam_models.policy import Policy, PolicySpec
from wam_models.preprocessing import (
    MAX_ASPECT_ERROR,
    Normaliser,
    Preprocessing,
    aspect_error,
    resize_frame,
    state_vector,
    to_poses,
)
from wam_models.types import Observation, Plan, Refusal, RefusalReason, Trajectory
from wam_models.wan.text import InstructionEncoder, words_of
from wam_models.wan.vae import VideoAutoencoder, to_unit

# More than any context holds: at 10 Hz the frames of three seconds.
REMEMBERED_FRAMES = 32


class MetisModel(nn.Module):
    """The three networks of a checkpoint under one roof, so that they are saved, loaded and moved together."""

    def __init__(self, config: MetisConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.network = Metis(config)
        self.autoencoder = VideoAutoencoder(config.vae)
        self.text = InstructionEncoder(config.text, tokenizer, config.text_length)


@torch.inference_mode()
def sample_actions(
    network: Metis, observed: Tensor, state: Tensor, noise: Tensor, text: Text, steps: int, future_noise: Tensor | None
) -> Tensor:
    """Actions (N, points, values), still normalised, from noise of that shape: N candidates for one observation.

    observed: (1, C, K, h, w); state: (1, S); future_noise: (1, C, F, h, w), needed by the joint mask alone, whose
    actions look at the video they imagine.
    """
    schedule = sigmas(steps, network.config.sampling_shift).tolist()
    actions, count = noise, len(noise)
    if network.config.mask is Mask.JOINT:
        if future_noise is None:
            raise ValueError("the joint mask denoises the video too: give future_noise")
        video = future_noise.expand(count, *future_noise.shape[1:])
        wide = observed.expand(count, *observed.shape[1:]), state.expand(count, -1)
        for now, after in zip(schedule, schedule[1:]):
            time = torch.full((count,), now, device=noise.device)
            points = time[:, None].expand(-1, noise.shape[1])
            flow, velocity = network(wide[0], video, time, wide[1], actions, points, text)
            assert flow is not None
            video, actions = euler_step(video, flow, now, after), euler_step(actions, velocity, now, after)
        return actions
    prefix = network.read_observation(observed, text).repeat(count)
    state = state.expand(count, -1)
    for now, after in zip(schedule, schedule[1:]):
        time = torch.full(noise.shape[:2], now, device=noise.device)
        actions = euler_step(actions, network.step_action(prefix, state, actions, time, text), now, after)
    return actions


class MetisPolicy(Policy):
    """candidates: how many trajectories a plan draws; the medoid, the one closest to all others, is chosen.

    The noise is drawn once at reset: the same observation gives the same plan, and successive plans keep to one mind.
    """

    def __init__(
        self,
        model: MetisModel,
        preprocessing: Preprocessing,
        normaliser: Normaliser,
        model_id: str,
        *,
        steps: int | None = None,
        candidates: int = 1,
        seed: int = 0,
    ) -> None:
        config = model.config
        self._model = model.eval()
        self._device = next(model.parameters()).device
        self._preprocessing, self._normaliser = preprocessing, normaliser
        self._steps = config.steps if steps is None else steps
        if self._steps < 1:
            raise ValueError(f"a plan takes at least one step, got {self._steps}")
        self._candidates = candidates
        self._texts: dict[str, Text] = {}
        self._latents: dict[bytes, Tensor] = {}
        self.spec = PolicySpec(
            model_id=model_id,
            cameras=config.cameras,
            context_frames=config.context_frames,
            context_dt=config.context_dt,
            image_size=config.image_size,
            horizon=config.action.points,
            dt=config.action.dt,
            needs_goal=config.needs_goal,
        )
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        config = self._model.config
        shape = (self._candidates, config.action.points, config.action.values)
        self._noise = config.noise_scale * torch.randn(shape, generator=generator).to(self._device)
        channels, height, width = config.latent_size
        video = (1, channels, config.future_latents, height, width)
        self._video_noise = torch.randn(video, generator=generator).to(self._device)

    @torch.inference_mode()
    def plan(self, observation: Observation) -> Plan | Refusal:
        refusal = self._check(observation)
        if refusal is not None:
            return refusal
        try:
            return self._plan(observation)
        except (torch.OutOfMemoryError, MemoryError) as error:
            return Refusal(RefusalReason.OUT_OF_MEMORY, f"{self.spec.model_id} does not fit on {self._device}: {error}")

    def _plan(self, observation: Observation) -> Plan | Refusal:
        clock = _Stages()
        frames = [resize_frame(frame[0], self.spec.image_size) for frame in observation.frames]
        state = state_vector(observation.ego, observation.goal, self._preprocessing.use_acceleration)
        states = torch.from_numpy(state).to(self._device, torch.float32)[None]
        clock.mark("preprocess")
        text = self._text(observation.instruction)
        clock.mark("text")
        dtype = self._model.network.dtype
        observed = torch.stack([self._latent(frame) for frame in frames], dim=2)
        clock.mark("vae")
        flow = sample_actions(
            self._model.network, observed, states.to(dtype), self._noise.to(dtype), text, self._steps, self._video_noise
        )
        values = flow.double().cpu().numpy()
        clock.mark("flow")
        poses = to_poses(self._normaliser.denormalise(values))
        if not np.isfinite(poses).all():
            return Refusal(
                RefusalReason.OUTPUT_NOT_FINITE, f"{self.spec.model_id} answered with values that are not finite"
            )
        scores = medoid_scores(poses)
        chosen = poses[int(scores.argmax())]
        clock.mark("postprocess")
        trajectory = Trajectory(observation.stamp, self.spec.dt, chosen)
        return Plan(trajectory, poses, scores, clock.stages(), self.spec.model_id)

    def _latent(self, frame: np.ndarray) -> Tensor:
        """(1, C, h, w) of one resized frame. A frame is encoded when it is new and kept until it leaves the context."""
        key = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        if key not in self._latents:
            while len(self._latents) >= REMEMBERED_FRAMES:
                self._latents.pop(next(iter(self._latents)))
            pixels = to_unit(torch.from_numpy(frame).to(self._device)).to(self._model.network.dtype)
            self._latents[key] = self._model.autoencoder.encode_frames(pixels[None, :, None])[:, :, 0]
        return self._latents[key]

    def _text(self, instruction: str) -> Text:
        """Embedded once an instruction: the keys and values depend on nothing else."""
        if instruction not in self._texts:
            if len(self._texts) >= 64:  # a few commands are in use; a flood of new ones must not fill the memory
                self._texts.clear()
            embedded = self._model.text([instruction]).to(self._model.network.dtype)
            self._texts[instruction] = self._model.network.read_text(embedded)
        return self._texts[instruction]

    def _check(self, observation: Observation) -> Refusal | None:
        spec = self.spec
        if observation.cameras != spec.cameras:
            wanted = ", ".join(spec.cameras)
            return Refusal(RefusalReason.CAMERA_COUNT, f"cameras {observation.cameras} given, {wanted} wanted")
        if len(observation.frames) != spec.context_frames:
            given = len(observation.frames)
            return Refusal(RefusalReason.CONTEXT_LENGTH, f"{given} frames given, {spec.context_frames} wanted")
        size = observation.frames.shape[2:4]
        if min(size) < 32 or aspect_error(size, spec.image_size) > MAX_ASPECT_ERROR:
            return Refusal(
                RefusalReason.CAMERA_SIZE,
                f"camera is {size[1]}x{size[0]}, trained on {spec.image_size[1]}x{spec.image_size[0]}: "
                "use a camera mode of the same aspect ratio",
            )
        if not np.isfinite(observation.ego.as_array()[:3]).all():
            return Refusal(RefusalReason.EGO_NOT_FINITE, "odometry is not finite: check the odometry source")
        if observation.goal is None:
            if spec.needs_goal:
                return Refusal(RefusalReason.GOAL_MISSING, "no goal: publish one or set the parameter goal")
        elif not all(map(math.isfinite, observation.goal)):
            return Refusal(RefusalReason.GOAL_NOT_FINITE, f"the goal {observation.goal} is not finite")
        unknown = self._model.text.unknown_words(observation.instruction)
        words = words_of(self._model.text.tokenizer, observation.instruction)
        if not words or len(unknown) > self._preprocessing.max_unknown_words * len(words):
            return Refusal(
                RefusalReason.INSTRUCTION_UNKNOWN,
                f"instruction {observation.instruction!r} is not in the language this model knows "
                f"(unknown: {', '.join(unknown) or 'no words at all'}); try 'walk to the goal'",
            )
        return None


def medoid_scores(candidates: np.ndarray) -> np.ndarray:
    """(N,) minus the mean distance in metres of each trajectory (N, H, 3) to the others; higher is more agreed on."""
    xy = candidates[:, None, :, :2] - candidates[None, :, :, :2]
    return -np.hypot(xy[..., 0], xy[..., 1]).mean(axis=(1, 2))


class _Stages:
    def __init__(self) -> None:
        self._last = perf_counter()
        self._times: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        now = perf_counter()
        self._times[stage] = 1e3 * (now - self._last)
        self._last = now

    def stages(self) -> dict[str, float]:
        return dict(self._times)


def load_metis(
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    steps: int | None = None,
    seed: int = 0,
    candidates: int = 1,
    mask: str | None = None,
) -> MetisPolicy:
    """The policy of a checkpoint, in float32. mask: another attention pattern than the trained one, for ablations.

    Raises CheckpointError when configuration and weights do not fit each other.
    """
    where = checkpoint.directory
    try:
        config = MetisConfig.from_dict(checkpoint.config["network"])
        preprocessing = Preprocessing.from_dict(checkpoint.preprocessing)
        normaliser = Normaliser.from_dict(checkpoint.statistics)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: the configuration does not describe a Metis ({error})") from None
    if mask is not None:
        config = replace(config, mask=Mask(mask))
    try:
        model = MetisModel(config, Tokenizer.from_file(str(checkpoint.tokenizer_file)))
        weights = {name: tensor.float() for name, tensor in load_file(checkpoint.weights_file).items()}
        model.load_state_dict(weights, strict=True)
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{where}: weights and configuration do not fit ({reason}); copy both again") from None
    return MetisPolicy(
        model.to(device), preprocessing, normaliser, checkpoint.model_id, steps=steps, candidates=candidates, seed=seed
    )
