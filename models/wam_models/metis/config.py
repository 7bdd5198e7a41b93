"""Everything that defines a Metis network. It is stored with the weights and is all that is needed to rebuild it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Mask(str, Enum):
    """Who sees whom (rows are queries). In all three the observation sees only itself and actions see it.

    asymmetric: future video sees actions, actions never see future video (the paper's choice);
    isolated: neither sees the other; joint: both do, so planning must denoise the video too.
    """

    ASYMMETRIC = "asymmetric"
    ISOLATED = "isolated"
    JOINT = "joint"


@dataclass(frozen=True)
class ActionConfig:
    """The action expert and the trajectories it speaks. width, ffn: of its blocks; layers, heads and head size are
    the video expert's. points at dt seconds apart; values: numbers a point (2: x, y; 3: x, y, yaw); state: numbers of
    ego state (see preprocessing.state_vector)."""

    width: int
    ffn: int
    points: int
    dt: float
    values: int = 3
    state: int = 8

    def __post_init__(self) -> None:
        if self.values not in (2, 3):
            raise ValueError(f"a trajectory point has 2 values (x, y) or 3 (x, y, yaw), got {self.values}")


@dataclass(frozen=True)
class MetisConfig:
    """video, vae, text: keyword arguments of diffusers' WanTransformer3DModel and AutoencoderKLWan and transformers'
    UMT5Config; text_length: tokens of an instruction; image_size: (height, width) px; context_frames at context_dt s:
    observed frames, the newest last; future_frames at future_dt s: imagined ones, a multiple of the autoencoder's
    temporal factor; steps: Euler steps of a plan unless asked otherwise; noise_scale: of the noise that a plan starts
    from, 1 as in training, 0 for its mean: plans then lean nowhere, and a seed changes nothing."""

    video: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]
    action: ActionConfig
    image_size: tuple[int, int]
    context_frames: int
    context_dt: float
    future_frames: int
    future_dt: float
    text_length: int = 512
    cameras: tuple[str, ...] = ("front",)
    mask: Mask = Mask.ASYMMETRIC
    steps: int = 10
    sampling_shift: float = 1.0
    noise_scale: float = 1.0
    needs_goal: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise_scale <= 1.0:
            raise ValueError(f"noise_scale must be 0 to 1, got {self.noise_scale}")

    @property
    def latent_size(self) -> tuple[int, int, int]:
        """(channels, height, width) of one latent frame."""
        factor = int(self.vae.get("scale_factor_spatial", 8))
        return int(self.vae["z_dim"]), self.image_size[0] // factor, self.image_size[1] // factor

    @property
    def future_latents(self) -> int:
        return self.future_frames // int(self.vae.get("scale_factor_temporal", 4))

    @property
    def tokens_per_latent(self) -> int:
        _, height, width = self.latent_size
        _, patch_h, patch_w = self.video["patch_size"]
        return (height // patch_h) * (width // patch_w)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "mask": self.mask.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MetisConfig:
        """Raises TypeError on an unknown or missing key, ValueError on a bad value."""
        known = dict(values)
        known["action"] = ActionConfig(**known["action"])
        known["mask"] = Mask(known["mask"])
        known["image_size"] = tuple(known["image_size"])
        known["cameras"] = tuple(known.get("cameras", ("front",)))
        return cls(**known)
