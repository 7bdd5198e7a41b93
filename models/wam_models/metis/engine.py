"""A Metis at work on a device: frames, state, instruction and noise in, actions out. The rung says how."""

from __future__ import annotations

import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.model import Metis, Text
from wam_models.metis.sampling import Flow, sample_plainly
from wam_models.preprocessing import resize_frame
from wam_models.runtime.compiling import INDUCTOR, compiled
from wam_models.runtime.graphs import Recorder, Work, live
from wam_models.runtime.ladder import Rung
from wam_models.runtime.shrinking import Shrinker
from wam_models.runtime.stages import StageClock
from wam_models.wan.frame_encoder import FrameEncoder
from wam_models.wan.instructions import pad_rows, row_counts
from wam_models.wan.vae import VideoAutoencoder, to_unit

# More than any context holds: at 10 Hz the frames of three seconds.
REMEMBERED_FRAMES = 32
# Keys and values of an instruction take 24 MB in the 5B model, and 377 MB where it is as long as can be.
REMEMBERED_TEXTS = 4


class Embedding(Protocol):
    """Instructions to rows; see wan.instructions.Instructions."""

    def embed(self, text: str) -> Tensor: ...

    def embed_anew(self, text: str) -> Tensor: ...


@dataclass(frozen=True)
class Parts:
    """The networks of a Metis and what reads instructions for them."""

    network: Metis
    autoencoder: VideoAutoencoder
    instructions: Embedding

    @property
    def config(self) -> MetisConfig:
        return self.network.config


@dataclass(frozen=True)
class Question:
    """What an engine is asked. frames: uint8 (H, W, 3) of any size, oldest first; state: (1, S); noise: (N, points,
    values), for N candidates, in `steps` Euler steps; known, (P, values), normalised: see Flow.start; video_noise:
    (1, C, F, h, w) where the future video is wanted too. Tensors are on the engine's device."""

    frames: Sequence[np.ndarray]
    state: Tensor
    instruction: str
    noise: Tensor
    steps: int
    known: Tensor | None = None
    video_noise: Tensor | None = None


class Engine(ABC):
    """Answers one observation at a time; not for several threads at once."""

    @abstractmethod
    def act(self, question: Question, clock: StageClock) -> tuple[Tensor, Tensor | None]:
        """Actions like the noise, normalised, float32, and the future latents where they are asked for: of the last
        candidate, where each imagines its own."""

    @abstractmethod
    def prepare(self, question: Question) -> None:
        """Do now what the first plans of this kind would do slowly, with instructions of any length: allocate, compile,
        record. Reads the instruction too, unless it is empty."""

    @abstractmethod
    def read_with(self, instructions: Embedding) -> None:
        """Take instructions from there from now on."""


def make_engine(parts: Parts, rung: Rung, compiling: str = INDUCTOR) -> Engine:
    """compiling: a backend of torch.compile. Raises ValueError when the rung cannot serve the model."""
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, on every rung alike
    return PlainEngine(parts) if rung is Rung.PLAIN else CachedEngine(parts, rung, compiling)


class PlainEngine(Engine):
    """Rung plain. Every frame is encoded by the library's 3-D autoencoder and every instruction by the text encoder."""

    def __init__(self, parts: Parts) -> None:
        if parts.config.mask is Mask.JOINT:
            raise ValueError("the joint mask has no plain path: choose rung cached")
        self._network, self._instructions = parts.network, parts.instructions
        self._autoencoder = parts.autoencoder.as_library()
        self._device, self._dtype = _place(parts.network)
        self._size = parts.config.image_size

    def act(self, question: Question, clock: StageClock) -> tuple[Tensor, Tensor | None]:
        if question.video_noise is not None:
            raise ValueError("rung plain imagines nothing: choose rung cached")
        embedded = self._instructions.embed_anew(question.instruction).to(self._device, self._dtype)
        clock.mark("text")
        frames = [resize_frame(frame, self._size) for frame in question.frames]
        clock.mark("preprocess")
        latents = [self._autoencoder.encode(self._autoencoder.pixels(frame)) for frame in frames]
        clock.mark("vae")
        observed, state = torch.cat(latents, dim=2), question.state.to(self._dtype)
        actions = sample_plainly(
            self._network, observed, state, question.noise, embedded, question.steps, question.known
        )
        clock.mark("flow")
        return actions, None

    def prepare(self, question: Question) -> None:
        if question.instruction:
            self.act(question, StageClock(self._device))

    def read_with(self, instructions: Embedding) -> None:
        self._instructions = instructions


class CachedEngine(Engine):
    """All other rungs. What depends on the instruction alone is kept for REMEMBERED_TEXTS of them, a frame's latents
    until it leaves the context, the observation's keys and values for the steps of a plan."""

    def __init__(self, parts: Parts, rung: Rung, compiling: str = INDUCTOR) -> None:
        self._network, self._instructions = parts.network, parts.instructions
        self._length, self._width = parts.config.text_length, int(parts.config.video["text_dim"])
        self._joint = parts.config.mask is Mask.JOINT
        self._device, self._dtype = _place(parts.network)
        self._record: Callable[[Work], Work] = Recorder() if rung.records(self._device) else live
        self._texts: dict[str, Text] = {}
        self._places: dict[int, _Place] = {}
        self._flows: dict[_Kind, Flow] = {}
        self._desks: dict[tuple[_Kind, int], _Desk] = {}
        encoder: Callable[[Tensor], Tensor] = FrameEncoder.of(parts.autoencoder)
        if rung.compiles:
            encoder = compiled(encoder, compiling)
        self._frames = FrameReader(encoder, parts.config, self._device, self._dtype, self._record)

    def act(self, question: Question, clock: StageClock) -> tuple[Tensor, Tensor | None]:
        return self._answer(self._text(question.instruction), question, clock)

    def prepare(self, question: Question) -> None:
        for count in row_counts(self._length):
            rows = torch.zeros(count, self._width, device=self._device, dtype=self._dtype)
            self._answer(self._read(rows), question, StageClock(self._device))
        if question.instruction:
            self.act(question, StageClock(self._device))

    def read_with(self, instructions: Embedding) -> None:
        self._instructions = instructions
        self._texts.clear()

    def _answer(self, text: Text, question: Question, clock: StageClock) -> tuple[Tensor, Tensor | None]:
        desk = self._desk(text, question)
        desk.place.lay(text)
        clock.mark("text")
        flow = desk.flow
        flow.observed.copy_(self._frames.read(question.frames, clock))
        clock.mark("vae")
        desk.read()
        clock.mark("prefill")
        answers = []
        for noise in question.noise.split(len(flow.actions)):
            flow.start(question.state, noise, question.known, question.video_noise)
            desk.run()
            answers.append(flow.actions.clone())
        clock.mark("flow")
        return torch.cat(answers), None if flow.video is None else flow.video.clone()

    def _text(self, instruction: str) -> Text:
        if instruction not in self._texts:
            while len(self._texts) >= REMEMBERED_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            self._texts[instruction] = self._read(self._instructions.embed(instruction))
        return self._texts[instruction]

    def _read(self, rows: Tensor) -> Text:
        return self._network.read_text(*pad_rows(rows.to(self._device, self._dtype), self._length))

    def _desk(self, text: Text, question: Question) -> _Desk:
        """Made at the first plan of its kind and length of the instruction."""
        candidates, imagine = 1 if self._joint else len(question.noise), question.video_noise is not None
        kind = _Kind(question.steps, candidates, imagine)
        if kind not in self._flows:
            self._flows[kind] = Flow(self._network, kind.steps, candidates=candidates, imagine=imagine)
        length = text.video[0].keys.shape[1]
        if length not in self._places:
            self._places[length] = _Place(text)
        if (kind, length) not in self._desks:
            self._desks[kind, length] = _Desk(self._flows[kind], self._places[length], self._record)
        return self._desks[kind, length]


class _Kind(NamedTuple):
    steps: int
    candidates: int
    imagine: bool


class _Place:
    """Where the instructions of one length are laid, so that work on them can be recorded."""

    def __init__(self, text: Text) -> None:
        self.text = Text(
            [each._replace(keys=each.keys.clone(), values=each.values.clone()) for each in text.video],
            [each._replace(keys=each.keys.clone(), values=each.values.clone()) for each in text.action],
        )
        # Weakly: an instruction that is forgotten elsewhere need not be remembered here.
        self._lies = weakref.ref(text)

    def lay(self, text: Text) -> None:
        """The instruction of the next plan."""
        if text is self._lies():
            return
        for mine, others in ((self.text.video, text.video), (self.text.action, text.action)):
            for own, other in zip(mine, others, strict=True):
                own.keys.copy_(other.keys)
                own.values.copy_(other.values)
        self._lies = weakref.ref(text)


class _Desk:
    """A flow and a place, and the work on the two."""

    def __init__(self, flow: Flow, place: _Place, record: Callable[[Work], Work]) -> None:
        self.flow, self.place = flow, place
        self.read, self.run = record(lambda: flow.read(place.text)), record(lambda: flow.run(place.text))


class FrameReader:
    """uint8 frames (H, W, 3) to latents, each encoded once while it is in the context."""

    def __init__(
        self,
        encoder: Callable[[Tensor], Tensor],
        config: MetisConfig,
        device: torch.device,
        dtype: torch.dtype,
        record: Callable[[Work], Work],
    ) -> None:
        height, width = self._size = config.image_size
        self._host = torch.zeros(height, width, 3, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._pixels = torch.zeros(height, width, 3, dtype=torch.uint8, device=device)
        self._latent = torch.zeros(1, *config.latent_size, dtype=dtype, device=device)
        self._known: dict[bytes, Tensor] = {}
        self._alone = config.context_frames == 1
        self._shrinker = Shrinker(self._size, device) if device.type == "cuda" else None

        def encode() -> None:
            self._latent.copy_(encoder(to_unit(self._pixels).to(dtype)[None]))

        self._encode_pixels = record(encode)

    def read(self, frames: Sequence[np.ndarray], clock: StageClock) -> Tensor:
        """(1, C, K, h, w)."""
        return torch.stack([self._read(frame, clock) for frame in frames], dim=2)

    def _read(self, frame: np.ndarray, clock: StageClock) -> Tensor:
        if self._alone:  # the next plan has another frame: nothing to look up
            return self._encode(frame, clock)
        frame = resize_frame(frame, self._size)
        key = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        clock.mark("preprocess")
        if key not in self._known:
            while len(self._known) >= REMEMBERED_FRAMES:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._encode(frame, clock).clone()
        return self._known[key]

    def _encode(self, frame: np.ndarray, clock: StageClock) -> Tensor:
        self._lay(frame)
        clock.mark("preprocess")
        self._encode_pixels()
        clock.mark("vae")
        return self._latent

    def _lay(self, frame: np.ndarray) -> None:
        """Onto the device, in the model's size."""
        if self._shrinker is not None and self._shrinker.takes(frame.shape):
            self._pixels.copy_(self._shrinker(frame))
        else:
            self._host.copy_(torch.from_numpy(resize_frame(frame, self._size)))
            self._pixels.copy_(self._host)


def _place(network: Metis) -> tuple[torch.device, torch.dtype]:
    weight = network.video.patch_embedding.weight
    return weight.device, weight.dtype
