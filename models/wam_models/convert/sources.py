"""Where the weights of public models stand, and what each is called in the modules of a Metis.

diffusers  a folder with transformer/, vae/, text_encoder/, tokenizer/
wan        the authors' folder: diffusion_pytorch_model*, Wan2.x_VAE.pth, models_t5_umt5-xxl-enc-bf16.pth and
           google/umt5-xxl/
driveva    DriveVA.safetensors: a Wan transformer under `dit.`, with a trajectory encoder and head
fastwam    a .pt of FastWAM: {"mot": both experts under `mixtures.video.` and `mixtures.action.`, "proprio_encoder"}
simwam     a .pt of SimWAM, which saves as FastWAM does

The last three have no autoencoder and no text encoder: these come from a folder of the backbone, `base`.

Sources: Wan-Video/Wan2.2, xiaomi-mlab/DriveVA (diffsynth/models/wan_video_dit.py, UNIVERSE_infer/infer_nuscenes.py),
yuantianyuan01/FastWAM (models/wan22/{fastwam,mot,action_dit}.py), H-EmbodVis/SimWAM (models/wan22/{simwam,mot}.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wam_models.checkpoint import CheckpointError
from wam_models.convert.key_names import Table, autoencoder_names, text_names, transformer_names
from wam_models.convert.stored import (
    PickleFile,
    SafetensorsFiles,
    Stored,
    find_safetensors,
    load_pickle,
    read_public_json,
)
from wam_models.metis.config import MetisConfig

# Of the weights themselves, where their source states one.
LICENCES = {"driveva": "not stated by DriveVA", "fastwam": "MIT (FastWAM)", "simwam": "Apache-2.0 (SimWAM)"}
_TRAJECTORY = "trajectory encoder and head: a Metis has an action expert in their place"
_PROPRIO = "proprioception as text: a Metis has a state token in its place"
_HEAD = "head of the action expert: it reads tokens without the norm that a Metis has before its own"
_BASE = "autoencoder and text encoder: those of the base folder are taken"


@dataclass(frozen=True)
class Part:
    """Tensors of one module. names: stored -> in the module's state dict; unknown: stored, of no name it could have."""

    stored: Stored
    names: dict[str, str]
    unknown: tuple[str, ...] = ()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """By the name in the module."""
        stored = self.stored.shapes()
        return {name: stored[original] for original, name in self.names.items()}


@dataclass(frozen=True)
class Rest:
    """What a backbone has besides its transformer. latents: its own latents_mean and latents_std, if it says them."""

    autoencoder: Part
    text: Part
    tokenizer: Path
    latents: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """left_out: why -> the names of what a Metis has no place for."""

    format: str
    video: Part
    rest: Rest
    action: Part | None = None
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)


def open_source(path: Path, format: str, base: Path | None, config: MetisConfig) -> Source:
    """The weights at path for a network of this configuration; no values are read. format: one of FORMATS or "auto".

    Raises CheckpointError when something is missing, of another model, or cannot be told.
    """
    if not path.exists():
        raise CheckpointError(f"there is nothing at {path}")
    format = _recognise(path) if format == "auto" else format
    if format not in FORMATS:
        raise CheckpointError(f"unknown format {format!r}; there are: auto, {', '.join(FORMATS)}")
    if format in BACKBONES:
        video, rest = BACKBONES[format]
        return Source(format, video(path, config), rest(path, config))
    if base is None:
        raise CheckpointError(
            f"{path} has no autoencoder and no text encoder: give --base, a folder of its backbone (diffusers or wan)"
        )
    _, rest = BACKBONES["diffusers" if (base / "vae").is_dir() else "wan"]
    return _PUBLISHED[format](path, format, rest(base, config), config)


def _recognise(path: Path) -> str:
    if path.is_dir():
        if (path / "transformer").is_dir():
            return "diffusers"
        config = path / "config.json"
        if config.is_file() and read_public_json(config).get("_class_name") == "WanTransformer3DModel":
            raise CheckpointError(f"{path} is the transformer of a diffusers folder: give the folder that it lies in")
        if (path / "low_noise_model").is_dir() or any(path.glob("diffusion_pytorch_model*")):
            return "wan"
        raise CheckpointError(
            f"{path} holds neither a folder transformer, as of diffusers, nor Wan's diffusion_pytorch_model files: "
            "fetch the whole folder, or give --format"
        )
    if path.suffix == ".safetensors":
        names = (name.removeprefix("pipe.") for name in SafetensorsFiles((path,)).shapes())
        if any(name.startswith(("dit.", "trajectory_encoder.")) for name in names):
            return "driveva"
    elif path.suffix in (".pt", ".pth") and "mot" in load_pickle(path):
        return "fastwam"
    raise CheckpointError(f"cannot tell what {path} is: give --format, one of {', '.join(FORMATS)}")


def _diffusers_video(folder: Path, config: MetisConfig) -> Part:
    """Of two transformers that share the sampling, the one for little noise: planning reads clean frames."""
    low_noise = folder / "transformer_2"
    place = low_noise if (low_noise / "config.json").is_file() else folder / "transformer"
    _agree(place / "config.json", config.video)
    return _as_it_is(find_safetensors(place, "diffusion_pytorch_model"))


def _diffusers_rest(folder: Path, config: MetisConfig) -> Rest:
    latents = ("latents_mean", "latents_std")
    vae = _agree(folder / "vae" / "config.json", {k: v for k, v in config.vae.items() if k not in latents})
    _agree(folder / "text_encoder" / "config.json", config.text)
    return Rest(
        _as_it_is(find_safetensors(folder / "vae", "diffusion_pytorch_model")),
        _as_it_is(find_safetensors(folder / "text_encoder", "model")),
        _tokenizer(folder / "tokenizer"),
        {name: vae[name] for name in latents if name in vae},
    )


def _wan_video(folder: Path, config: MetisConfig) -> Part:
    place = folder / "low_noise_model" if (folder / "low_noise_model").is_dir() else folder
    if (place / "config.json").is_file():
        wan = config.video
        sizes = {
            "dim": wan["num_attention_heads"] * wan["attention_head_dim"],
            "num_heads": wan["num_attention_heads"],
            "num_layers": wan["num_layers"],
            "ffn_dim": wan["ffn_dim"],
            "in_dim": wan["in_channels"],
            "out_dim": wan["out_channels"],
            "freq_dim": wan["freq_dim"],
        }
        _agree(place / "config.json", sizes)
    return _renamed(find_safetensors(place, "diffusion_pytorch_model"), transformer_names(config.video["num_layers"]))


def _wan_rest(folder: Path, config: MetisConfig) -> Rest:
    vae = PickleFile(folder / ("Wan2.2_VAE.pth" if config.vae.get("is_residual") else "Wan2.1_VAE.pth"))
    text = PickleFile(folder / "models_t5_umt5-xxl-enc-bf16.pth")
    return Rest(
        _renamed(vae, autoencoder_names(config.vae)),
        _renamed(text, text_names(config.text["num_layers"])),
        _tokenizer(folder / "google" / "umt5-xxl"),
    )


def _driveva(path: Path, format: str, rest: Rest, config: MetisConfig) -> Source:
    """Names may begin with `pipe.`, and those of the transformer may lack their `dit.`."""
    stored = SafetensorsFiles((path,))
    table = transformer_names(config.video["num_layers"])
    names: dict[str, str] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    unknown: list[str] = []
    for original in stored.shapes():
        short = original.removeprefix("pipe.")
        if short.startswith(("trajectory_encoder.", "trajectory_head.")):
            left_out[_TRAJECTORY] = (*left_out.get(_TRAJECTORY, ()), original)
        elif short.startswith(("vae.", "text_encoder.")):
            left_out[_BASE] = (*left_out.get(_BASE, ()), original)
        elif short.removeprefix("dit.") in table:
            names[original] = table[short.removeprefix("dit.")]
        else:
            unknown.append(original)
    return Source(format, Part(stored, names, tuple(unknown)), rest, None, left_out)


def _mot(path: Path, format: str, rest: Rest, config: MetisConfig) -> Source:
    content = load_pickle(path)
    if "mot" not in content:
        raise CheckpointError(f"{path} has no entry 'mot': it is no checkpoint of {format}")
    stored = PickleFile(path, "mot")
    table = transformer_names(config.video["num_layers"])
    expert = {name: ours for name, ours in table.items() if name.startswith(("blocks.", "text_", "time_"))}
    expert |= {f"action_encoder.{leaf}": f"action_in.{leaf}" for leaf in ("weight", "bias")}
    video: dict[str, str] = {}
    action: dict[str, str] = {}
    head: list[str] = []
    unknown: list[str] = []
    for original in stored.shapes():
        of_video = original.removeprefix("mixtures.video.")
        of_action = original.removeprefix("mixtures.action.")
        if of_video != original and of_video in table:
            video[original] = table[of_video]
        elif of_action != original and of_action in expert:
            action[original] = expert[of_action]
        elif of_action in ("head.weight", "head.bias"):
            head.append(original)
        else:
            unknown.append(original)
    left_out = {_HEAD: tuple(head)} if head else {}
    proprio = content.get("proprio_encoder")
    if isinstance(proprio, dict):
        left_out[_PROPRIO] = tuple(f"proprio_encoder.{name}" for name in proprio)
    return Source(format, Part(stored, video, tuple(unknown)), rest, Part(stored, action), left_out)


_Video = Callable[[Path, MetisConfig], Part]
_Rest = Callable[[Path, MetisConfig], Rest]
BACKBONES: dict[str, tuple[_Video, _Rest]] = {
    "diffusers": (_diffusers_video, _diffusers_rest),
    "wan": (_wan_video, _wan_rest),
}
_PUBLISHED: dict[str, Callable[[Path, str, Rest, MetisConfig], Source]] = {
    "driveva": _driveva,
    "fastwam": _mot,
    "simwam": _mot,
}
FORMATS = (*BACKBONES, *_PUBLISHED)


def _as_it_is(stored: Stored) -> Part:
    return Part(stored, {name: name for name in stored.shapes()})


def _renamed(stored: Stored, table: Table) -> Part:
    found = stored.shapes()
    known = {name: table[name] for name in found if name in table}
    return Part(stored, known, tuple(name for name in found if name not in table))


def _agree(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in a file, which must not say another value than the wanted one anywhere: sizes of tensors do
    not show, for example, the number of heads."""
    found = read_public_json(path)
    expected = json.loads(json.dumps(dict(wanted)))
    other = [
        f"{name} {found[name]}, wanted {value}" for name, value in expected.items() if found.get(name, value) != value
    ]
    if other:
        raise CheckpointError(f"{path} is of another model than the preset: {'; '.join(other)}")
    return found


def _tokenizer(folder: Path) -> Path:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(
            f"{file} is missing: fetch the whole folder, or write it with "
            "transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    return file
