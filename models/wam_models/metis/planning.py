"""Metis as a policy: read the observation once, then a few Euler steps of the action flow; video only when asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from wam_models.checkpoint import CheckpointError
from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.engine import Engine, Parts, Question
from wam_models.metis.model import Metis
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
from wam_models.runtime.memory import does_not_fit, is_out_of_memory
from wam_models.runtime.stages import StageClock
from wam_models.types import ImaginedVideo, Observation, Plan, Refusal, RefusalReason, Trajectory
from wam_models.wan.instructions import Instructions
from wam_models.wan.text import InstructionEncoder, known_words, unknown_words, words_of
from wam_models.wan.vae import VideoAutoencoder, to_uint8

_FEW_WORDS = 60  # a language that is small enough to be said in a message
# Candidates (N, H, 3), poses in base_link, and what they were planned for -> scores (N,), the highest is driven.
Scorer = Callable[[np.ndarray, Observation], np.ndarray]


class MetisModel(nn.Module):
    """The three networks of a checkpoint under one roof, so that they are trained, saved and moved together."""

    def __init__(self, config: MetisConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.network = Metis(config)
        self.autoencoder = VideoAutoencoder(config.vae)
        self.text = InstructionEncoder(config.text, tokenizer, config.text_length)

    def parts(self) -> Parts:
        """The same networks, to plan with."""
        instructions = Instructions(self.text.tokenizer, self.config.text_length, lambda: self.text)
        return Parts(self.network, self.autoencoder, instructions)


def medoid_scores(candidates: np.ndarray, _: Observation | None = None) -> np.ndarray:
    """(N,) minus the mean distance in metres of each trajectory (N, H, 3) to the others; higher is more agreed on."""
    xy = candidates[:, None, :, :2] - candidates[None, :, :, :2]
    return -np.hypot(xy[..., 0], xy[..., 1]).mean(axis=(1, 2))


class MetisPolicy(Policy):
    """candidates: how many trajectories a plan draws, of which the one that `scorer` likes best is driven, by default
    the medoid; imagine: add the video that the chosen trajectory would lead to.

    The noise is drawn once at reset: the same observation gives the same plan, and successive plans keep to one mind.
    The first candidate starts from it scaled as the model wants it, as a single one would, the others from all of it.
    """

    def __init__(
        self,
        parts: Parts,
        engine: Engine,
        tokenizer: Tokenizer,
        preprocessing: Preprocessing,
        normaliser: Normaliser,
        model_id: str,
        *,
        steps: int | None = None,
        candidates: int = 1,
        scorer: Scorer = medoid_scores,
        imagine: bool = False,
        seed: int = 0,
        trained: bool = True,
    ) -> None:
        config = parts.config
        self._steps = config.steps if steps is None else steps
        if self._steps < 1:
            raise ValueError(f"a plan takes at least one step, got {self._steps}")
        if candidates < 1:
            raise ValueError(f"a plan draws at least one candidate, got {candidates}")
        self._config, self._engine, self._tokenizer = config, engine, tokenizer
        self._autoencoder = parts.autoencoder
        self._device = parts.network.video.patch_embedding.weight.device
        self._preprocessing, self._normaliser = preprocessing, normaliser
        self._candidates, self.scorer, self._imagine = candidates, scorer, imagine
        self.spec = PolicySpec(
            model_id=model_id,
            cameras=config.cameras,
            context_frames=config.context_frames,
            context_dt=config.context_dt,
            image_size=config.image_size,
            horizon=config.action.points,
            dt=config.action.dt,
            needs_goal=config.needs_goal,
            trained=trained,
        )
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        config = self._config
        channels, height, width = config.latent_size
        one = 1, config.action.points, config.action.values
        video = 1, channels, config.future_latents, height, width
        first = config.noise_scale * torch.randn(one, generator=generator)
        self._video_noise = torch.randn(video, generator=generator).to(self._device)
        # Drawn last and one by one, so that the first candidate does not depend on how many there are.
        others = [torch.randn(one, generator=generator) for _ in range(self._candidates - 1)]
        self._noise = torch.cat([first, *others]).to(self._device)

    @torch.inference_mode()
    def prepare(self, instruction: str = "") -> None:
        """See Policy.prepare."""
        config = self._config
        frames = [np.zeros((*config.image_size, 3), dtype=np.uint8)] * config.context_frames
        state = torch.zeros(1, config.action.state, device=self._device)
        asked = self._question(frames, state, instruction, None)
        try:
            self._engine.prepare(asked)
            if self._imagines_apart:
                self._engine.prepare(self._imagining(asked, 0))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ValueError(does_not_fit(self.spec.model_id, self._device, error)) from None

    @torch.inference_mode()
    def plan(self, observation: Observation) -> Plan | Refusal:
        refusal = self._check(observation)
        if refusal is not None:
            return refusal
        try:
            return self._plan(observation)
        except CheckpointError as error:  # the text encoder is read when an instruction first needs it
            return Refusal(RefusalReason.INSTRUCTION_UNKNOWN, f"{observation.instruction!r} cannot be read: {error}")
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            message = does_not_fit(self.spec.model_id, self._device, error)
            return Refusal(RefusalReason.OUT_OF_MEMORY, message)

    def _plan(self, observation: Observation) -> Plan | Refusal:
        clock = StageClock(self._device)
        frames = [frame[0] for frame in observation.frames]
        state = state_vector(observation.ego, observation.goal, self._preprocessing.use_acceleration)
        states = torch.from_numpy(state).to(self._device, torch.float32)[None]
        known = self._known(observation)
        clock.mark("preprocess")

        asked = self._question(frames, states, observation.instruction, known)
        flow, video = self._engine.act(asked, clock)
        poses = to_poses(self._normaliser.denormalise(flow.double().cpu().numpy()))
        if not np.isfinite(poses).all():
            return Refusal(
                RefusalReason.OUTPUT_NOT_FINITE, f"{self.spec.model_id} answered with values that are not finite"
            )
        scores = self.scorer(poses, observation)
        chosen = int(scores.argmax())
        clock.mark("postprocess")
        if self._imagines_apart:
            _, video = self._engine.act(self._imagining(asked, chosen), clock)
        imagined = self._imagined(frames[-1], video) if self._imagine and video is not None else None
        trajectory = Trajectory(observation.stamp, self.spec.dt, poses[chosen])
        return Plan(trajectory, poses, scores, clock.stages(), self.spec.model_id, imagined)

    def _question(
        self, frames: Sequence[np.ndarray], state: Tensor, instruction: str, known: Tensor | None
    ) -> Question:
        with_video = self._config.mask is Mask.JOINT or (self._imagine and self._candidates == 1)
        video_noise = self._video_noise if with_video else None
        return Question(frames, state, instruction, self._noise, self._steps, known, video_noise)

    @property
    def _imagines_apart(self) -> bool:
        """Only the video of the chosen candidate is wanted."""
        return self._imagine and self._candidates > 1

    def _imagining(self, asked: Question, chosen: int) -> Question:
        return replace(asked, noise=self._noise[chosen, None], video_noise=self._video_noise)

    def _known(self, observation: Observation) -> Tensor | None:
        """The points that are being driven already, (P, values), normalised, float32."""
        committed, action = observation.committed, self._config.action
        if committed is None or not len(committed):
            return None
        count = min(len(committed), action.points - 1)
        values = np.zeros((action.points, action.values))
        values[:count] = committed[:count, : action.values]
        known = self._normaliser.normalise(values)[:count]
        return torch.from_numpy(known).to(self._device, torch.float32)

    def _imagined(self, newest: np.ndarray, video: Tensor) -> ImaginedVideo:
        """The future as latents; their frames only when somebody looks, for decoding costs more than the plan."""
        latents = video[0].float().cpu().numpy()

        @torch.inference_mode()
        def decode() -> np.ndarray:
            picture = resize_frame(newest, self.spec.image_size)
            seen = self._autoencoder.encode(self._autoencoder.pixels(picture))
            clip = torch.cat([seen, torch.from_numpy(latents)[None].to(seen)], dim=2)
            return to_uint8(self._autoencoder.decode(clip)[0, :, 1:].transpose(0, 1)).cpu().numpy()

        return ImaginedVideo(latents, self._config.future_dt, decode)

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
        unknown = unknown_words(self._tokenizer, observation.instruction)
        words = words_of(self._tokenizer, observation.instruction)
        if not words or len(unknown) > self._preprocessing.max_unknown_words * len(words):
            known = known_words(self._tokenizer)
            return Refusal(
                RefusalReason.INSTRUCTION_UNKNOWN,
                f"instruction {observation.instruction!r} is not in the language this model knows "
                f"(unknown: {', '.join(unknown) or 'no words at all'})"
                + (f"; it knows: {', '.join(known)}" if len(known) <= _FEW_WORDS else ""),
            )
        return None
