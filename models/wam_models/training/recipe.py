"""A recipe is one YAML file: data, network, autoencoder, rounds of training, where the checkpoint goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wam_models.flow_matching import make_time_sampler
from wam_models.metis.config import MetisConfig


class RecipeError(ValueError):
    """A recipe that cannot be followed; the text names the file, the key and the rule."""


_STARTS = {"yard": ("lane", "close", "anywhere"), "town": ("routes", "scenarios")}
FARTHEST = 8.0  # m: what lies beyond changes no plan of two seconds on foot
LEAST_SATURATION = 0.1


@dataclass(frozen=True)
class Recording:
    """How missing runs are made: `runs` of them in worlds of `split` from `first_seed` on, in the yard or in the
    `town`. driver: "expert", or "policy": the checkpoint of the round before drives, in the first round the start, and
    the expert says what it would have done. starts, in the yard: "lane", whole walks; "close", short ones that begin in
    front of something; "anywhere", from any place to any other; in the town: "routes", through all that comes;
    "scenarios", one after the other. what_ifs: how often the expert is asked, at each frame, what it would do there
    with another motion or another goal, or in the town another instruction."""

    split: str
    runs: int
    driver: str
    first_seed: int = 0
    starts: str = "lane"
    what_ifs: int = 0
    town: bool = False

    def __post_init__(self) -> None:
        if self.starts not in _STARTS[self.place]:
            starts = ", ".join(map(repr, _STARTS[self.place]))
            raise ValueError(f"starts in the {self.place} are {starts}, not {self.starts!r}")
        if self.driver not in ("expert", "policy"):
            raise ValueError(f"a driver is 'expert' or 'policy', not {self.driver!r}")

    @property
    def place(self) -> str:
        return "town" if self.town else "yard"


@dataclass(frozen=True)
class DataSet:
    """Bags or LeRobot datasets in `folder`. Where `record` is given bags can be made."""

    name: str
    folder: Path
    record: Recording | None = None


@dataclass(frozen=True)
class AutoencoderTraining:
    """steps of `frames` single frames or, every `clip_every`-th, `clips` clips; learning_rate decays linearly.
    range_frames more single frames are not decoded: like all others they train, with range_weight, the ranges up to
    `farthest` m (default FARTHEST) that a head reads off the latents, where the bags have a lidar's scan; and with
    stop_weight the way to the line at which a light tells to stop, where the bags have one. begin: a checkpoint
    directory whose autoencoder it begins as."""

    steps: int
    frames: int
    clips: int
    clip_every: int
    learning_rate: float
    range_frames: int = 0
    range_weight: float = 0.3
    farthest: float | None = None
    stop_weight: float = 0.0
    begin: Path | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.frames, self.clips, self.clip_every) < 1:
            raise ValueError("the autoencoder's steps, frames, clips and clip_every are at least 1")
        if self.farthest is not None and not self.farthest > 1.0:
            raise ValueError(f"the autoencoder's farthest is more than 1 m, not {self.farthest}")
        if self.stop_weight < 0.0:
            raise ValueError(f"the autoencoder's stop_weight is at least 0, not {self.stop_weight}")


@dataclass(frozen=True)
class FinishedAutoencoder:
    """weights: a checkpoint directory whose autoencoder is used as it is, with what its latents are normalised by."""

    weights: Path


@dataclass(frozen=True)
class Clearance:
    """What it costs to plan nearer to an obstacle than `margin` m, and than the teacher: `weight` a metre. The body is
    discs of `radius` m at `discs` m along it; lidar: m ahead of base_link where the bags' scans were made."""

    weight: float
    margin: float
    discs: list[float]
    radius: float
    lidar: float

    def __post_init__(self) -> None:
        if not self.discs:
            raise ValueError("clearance has no discs: [0.0] is a body of one")
        if min(self.weight, self.margin, self.radius) < 0:
            raise ValueError("clearance's weight, margin and radius are at least 0")


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on the projections of the video expert's blocks. They, the action expert and the video's head
    are all that trains. Each adds alpha / rank times the product of its two factors to the weight that it stands on."""

    rank: int
    alpha: int

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha) < 1:
            raise ValueError(f"lora's rank and alpha are at least 1, got {self.rank} and {self.alpha}")


@dataclass(frozen=True)
class Committed:
    """Plans that go on from what is being driven: in a share of the draws the first points of the trajectory, 1 to
    `most` of them, are known, with flow time 0, and only the others are learned.

    Source: training-time real-time chunking, arXiv 2512.05964.
    """

    share: float
    most: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or self.most < 1:
            raise ValueError(f"committed: a share of 0 to 1 and at least 1 point, not {self.share} and {self.most}")


@dataclass(frozen=True)
class Round:
    """steps of training on `data` (names), continuing from the round before. batch: windows a step that train the
    actions alone, each under `repeats` draws of noise and time, for reading the observation is most of the work;
    video_batch: windows a step that train video and actions jointly; shards: equal parts of both: on a CPU one process
    works on them side by side, with as many cores; several processes share them, and one GPU takes its own in turn;
    clearance: what plans of `batch` pay for coming near to what the bags' scans show; dark_skies: share of the runs
    that are seen under a dark sky; committed: how often what is being driven is known."""

    data: list[str]
    steps: int
    batch: int
    video_batch: int
    learning_rate: float
    repeats: int = 1
    warmup: int = 200
    shards: int = 1
    clearance: Clearance | None = None
    dark_skies: float = 0.0
    committed: Committed | None = None

    def __post_init__(self) -> None:
        if self.clearance is not None and not self.batch:
            raise ValueError("clearance is paid by the windows of 'batch', which is 0")
        if not 0.0 <= self.dark_skies <= 1.0:
            raise ValueError(f"dark_skies is a share, 0 to 1, not {self.dark_skies}")
        if self.shards < 1 or self.batch % self.shards or self.video_batch % self.shards:
            raise ValueError(
                f"batch {self.batch} and video_batch {self.video_batch} do not part into {self.shards} shards"
            )


@dataclass(frozen=True)
class Recipe:
    """See models/configs/metis_yard.yaml for what each entry means. start: a checkpoint directory to continue from, or
    the recipe (.yaml) of one, which is followed first; light_seed: of the lights in which the runs are seen, where it
    is not `seed`: recipes that differ in their seed then share their latents; lora: train adapters of the video expert
    in its stead; frozen_text: the text encoder stays as it is, as it always does beside lora; checkpointing: compute
    each layer again in the backward pass and keep less of it until then, for the same results; licence: of the weights
    that come out, beside those of the checkpoints that they come from; unmirrored: every odd variant is otherwise seen
    in a mirror, where a street would be driven on its left; least_saturation: of the colours in which the runs are
    seen, default LEAST_SATURATION."""

    name: str
    version: str
    seed: int
    output: Path
    cache: Path
    bundle: Path | None
    use_acceleration: bool
    network: MetisConfig
    data: dict[str, DataSet]
    autoencoder: AutoencoderTraining | FinishedAutoencoder
    rounds: list[Round]
    action_times: dict[str, Any]
    video_times: dict[str, Any]
    video_weight: float
    ema: float
    weight_decay: float
    variants: int
    future_every: int
    held_out: float
    start: Path | None = None
    light_seed: int | None = None
    lora: Lora | None = None
    frozen_text: bool = False
    checkpointing: bool = False
    licence: str | None = None
    unmirrored: bool = False
    least_saturation: float | None = None

    @property
    def saturation(self) -> float:
        """The least in which the runs are seen."""
        return LEAST_SATURATION if self.least_saturation is None else self.least_saturation

    @property
    def trains_text(self) -> bool:
        return self.lora is None and not self.frozen_text


def read_recipe(path: Path) -> Recipe:
    """Raises RecipeError when the file is missing, is not YAML or has an unknown, missing or wrong entry. Relative
    paths are relative to the working directory."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no recipe: models/configs/metis_yard.yaml is one")
    try:
        values["network"] = MetisConfig.from_dict(values["network"])
        values["data"] = {
            name: DataSet(name, Path(entry["folder"]), Recording(**entry["record"]) if "record" in entry else None)
            for name, entry in values["data"].items()
        }
        values["autoencoder"] = _autoencoder(values["autoencoder"])
        values["rounds"] = [_round(entry) for entry in values["rounds"]]
        if values.get("lora") is not None:
            values["lora"] = Lora(**values["lora"])
        for key in ("output", "cache", "bundle", "start"):
            values[key] = None if values.get(key) is None else Path(values[key])
        recipe = Recipe(**values)
        for times in (recipe.action_times, recipe.video_times):
            make_time_sampler(times)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"{path}: {error}") from None
    if recipe.network.action.values < 3 and any(entry.clearance for entry in recipe.rounds):
        raise RecipeError(f"{path}: clearance needs a body's heading, so action values 3: x, y, yaw")
    if any(entry.committed and entry.committed.most >= recipe.network.action.points for entry in recipe.rounds):
        raise RecipeError(f"{path}: committed leaves nothing to plan: 'most' must be less than the points of a plan")
    if not 0.0 < recipe.saturation <= 1.0:
        raise RecipeError(f"{path}: least_saturation is above 0 and at most 1, not {recipe.saturation}")
    if not isinstance(recipe.licence, str | None):
        raise RecipeError(f"{path}: licence is a name, as Apache-2.0, not {recipe.licence!r}")
    if not recipe.rounds:
        raise RecipeError(f"{path}: rounds is empty: nothing would be trained")
    for number, entry in enumerate(recipe.rounds):
        for name in entry.data:
            if name not in recipe.data:
                raise RecipeError(f"{path}: round {number} wants data {name!r}, which is not under 'data'")
    return recipe


def _autoencoder(entry: dict[str, Any]) -> AutoencoderTraining | FinishedAutoencoder:
    if "weights" not in entry:
        begin = entry.get("begin")
        return AutoencoderTraining(**{**entry, "begin": None if begin is None else Path(begin)})
    if others := sorted(entry.keys() - {"weights"}):
        raise ValueError(f"an autoencoder with weights is used as it is: leave out its {', '.join(others)}")
    return FinishedAutoencoder(Path(entry["weights"]))


def _round(entry: dict[str, Any]) -> Round:
    parts: dict[str, type] = {"clearance": Clearance, "committed": Committed}
    given = {name: kind(**entry[name]) for name, kind in parts.items() if entry.get(name) is not None}
    return Round(**{**entry, **given})
