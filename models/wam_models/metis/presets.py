"""Metis by name: a backbone, an action expert of a size, and one of two tasks.

The paper's table names a "14B" backbone with experts of about 0.21 and 1.04 billion parameters. Widths 256 and 1024
give 0.207 and 1.021 billion on the 5B backbone and 0.43 and 2.03 billion on 14B, and the row of 1.04 is, digit for
digit, the paper's 5B result: the label is doubtful. Both readings are here. `wan22_5b_*` takes the paper's widths;
`wan22_a14b_*` takes the widths that reach 0.2 and 1 billion with 40 layers of 40 heads, 128 and 576.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wam_models.metis.config import ActionConfig, MetisConfig
from wam_models.metis.size import describe
from wam_models.wan.presets import WAN21_1P3B, WAN22_5B, WAN22_A14B, WAN_NANO, WAN_SMALL, WAN_TINY, Backbone

TASKS = ("driving", "navigation")


@dataclass(frozen=True)
class Preset:
    """width, ffn: of the action expert's blocks; driving_image, navigation_image: (height, width) px."""

    name: str
    backbone: Backbone
    width: int
    ffn: int
    driving_image: tuple[int, int] = (640, 768)
    navigation_image: tuple[int, int] = (384, 384)

    def config(self, task: str = "driving") -> MetisConfig:
        """driving: 8 points (x, y, yaw) at 0.5 s, as NAVSIM scores them; the command is in the instruction.
        navigation: 5 points (x, y) at 1 s, as CityWalker's benchmark has them, towards a goal.

        Both observe one frame of one front camera and imagine 8 frames at 0.5 s, two latents. Raises ValueError for
        another task.
        """
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}; there are: {', '.join(TASKS)}")
        driving = task == "driving"
        points, dt, values = (8, 0.5, 3) if driving else (5, 1.0, 2)
        return MetisConfig(
            video=dict(self.backbone.video),
            vae=dict(self.backbone.vae),
            text=dict(self.backbone.text),
            action=ActionConfig(width=self.width, ffn=self.ffn, points=points, dt=dt, values=values),
            image_size=self.driving_image if driving else self.navigation_image,
            context_frames=1,
            context_dt=0.5,
            future_frames=8,
            future_dt=0.5,
            text_length=self.backbone.text_length,
            sampling_shift=self.backbone.training_shift,
            needs_goal=not driving,
        )

    def describe(self, task: str = "driving") -> dict[str, Any]:
        """What there is to know before any weights are here, as JSON."""
        return {
            "preset": self.name,
            "task": task,
            **describe(self.config(task)),
            "licence": self.backbone.licence,
            "source": f"{self.backbone.source}/{self.backbone.subfolder}" if self.backbone.source else None,
        }


def _presets() -> dict[str, Preset]:
    presets = [
        Preset("wan22_5b_ae1b", WAN22_5B, 1024, 4096),
        Preset("wan22_5b_ae0p2b", WAN22_5B, 256, 1024),
        Preset("wan21_1p3b_ae0p24b", WAN21_1P3B, 512, 1536),
        Preset("wan22_a14b_ae0p2b", WAN22_A14B, 128, 512),
        Preset("wan22_a14b_ae1b", WAN22_A14B, 576, 2304),
        Preset("nano", WAN_NANO, 64, 256, driving_image=(64, 96), navigation_image=(64, 64)),
        Preset("tiny", WAN_TINY, 96, 384, driving_image=(128, 192), navigation_image=(160, 160)),
        # Half of the paper's resolution, at which it chooses its attention pattern.
        Preset("small", WAN_SMALL, 128, 512, driving_image=(320, 384), navigation_image=(192, 192)),
    ]
    return {preset.name: preset for preset in presets}


PRESETS = _presets()


def find_preset(name: str) -> Preset:
    """Raises ValueError naming the choices when there is no such preset."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]


def preset_config(name: str, task: str = "driving") -> MetisConfig:
    """The network of a preset. Raises ValueError naming the choices when preset or task is unknown."""
    return find_preset(name).config(task)
