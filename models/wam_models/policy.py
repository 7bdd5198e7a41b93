"""The one interface every model and baseline answers through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from wam_models.types import Observation, Plan, Refusal


@dataclass(frozen=True)
class PolicySpec:
    """What a policy takes and gives. model_id: "<name>@<version>+<hash8>"; cameras: the views it wants, in order;
    context_frames at context_dt seconds apart; image_size: (height, width) it was trained at; any size of the same
    aspect ratio within 15 % is resized, others are refused; horizon points at dt seconds apart; blind: what is in the
    frames changes no plan, so a simulator need not draw them; trained: its plans mean something."""

    model_id: str
    cameras: tuple[str, ...]
    context_frames: int
    context_dt: float
    image_size: tuple[int, int]
    horizon: int
    dt: float
    needs_goal: bool
    blind: bool = False
    trained: bool = True


class Policy(ABC):
    """Deterministic for a seed. `plan` never raises on a bad observation: it returns a Refusal."""

    spec: PolicySpec

    @abstractmethod
    def plan(self, observation: Observation) -> Plan | Refusal:
        """One trajectory for one observation."""

    def prepare(self, instruction: str = "") -> None:
        """Do now what the first plans would do slowly, with instructions of any length, and read this one unless it is
        empty. Raises ValueError when the model does not fit into memory or its text encoder cannot be read."""

    def reset(self, seed: int = 0) -> None:
        """Forget everything remembered between plans and restart the noise at `seed`."""


def load_policy(
    directory: str | Path,
    *,
    device: str = "cpu",
    precision: str = "float32",
    rung: str = "cached",
    steps: int | None = None,
    seed: int = 0,
    mask: str | None = None,
    candidates: int = 1,
    imagine: bool = False,
    threads: int | None = None,
) -> Policy:
    """The policy in a checkpoint directory, or a baseline by its name (`baseline:stop`, `baseline:straight`,
    `baseline:constant_velocity`, `baseline:lane_blind`).

    device: cpu or cuda; precision: float32 or bfloat16; rung: of the speed ladder, see runtime.ladder.Rung; steps:
    flow-matching steps a plan, default the checkpoint's own; mask: another attention pattern than the trained one, for
    ablations; candidates: trajectories a plan chooses among; imagine: whether plans come with the video that they would
    lead to; threads: processor threads of this process, default torch's. A baseline has no use for any of them.

    Raises ValueError whose text names the fix: CheckpointError when the directory is missing, corrupt or its hash is
    not the one recorded when it was written, PrecisionError when the rung would plan otherwise than the plain path.
    """
    name = str(directory)
    if name.startswith("baseline:"):
        from wam_models.baselines import make_baseline

        return make_baseline(name.removeprefix("baseline:"))
    from wam_models.checkpoint import open_policy

    return open_policy(
        Path(directory),
        threads,
        device=device,
        precision=precision,
        rung=rung,
        steps=steps,
        seed=seed,
        mask=mask,
        candidates=candidates,
        imagine=imagine,
    )
