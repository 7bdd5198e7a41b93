"""A checkpoint is a directory: everything a model needs to plan, and hashes that say it is whole.

config.json         the network (kind, name, version, sizes)
preprocessing.json  what its inputs must look like
statistics.json     how its actions are normalised
tokenizer.json      the language it knows
model.safetensors   the weights of network, autoencoder and text encoder
README.md           the card: data, seeds, steps, time, scores
manifest.json       SHA-256 of every other file but the card

Weights of more than 5 GB stand in model-00001-of-0000N.safetensors instead, with model.safetensors.index.json. Those
of the text encoder are then in files of their own, which need not be there for a plan whose instruction is embedded
already: they are checked when they are read, all other files when the checkpoint is opened.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wam_models.policy import Policy
    from wam_models.weights import DType

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_DESCRIPTIONS = ("config.json", "preprocessing.json", "statistics.json", "tokenizer.json")
# Of a checkpoint whose weights are in one file.
FILES = (*_DESCRIPTIONS, WEIGHTS)
CARD, MANIFEST = "README.md", "manifest.json"
# Names of weights begin with their part of the model.
TEXT = "text."
PARTS = ("network.", "autoencoder.", TEXT)
MAX_SHARD_BYTES = 5_000_000_000
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the text names the file and what would mend it."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified directory. config, preprocessing, statistics: parsed JSON; model_id: "<name>@<version>+<hash8>", the
    hash that of the weights: of their file, or of the hashes of index and shards; hashes: file name -> SHA-256;
    weight_map: tensor -> file name, None when there is one file."""

    directory: Path
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    statistics: dict[str, Any]
    model_id: str
    hashes: dict[str, str]
    weight_map: dict[str, str] | None = None

    @property
    def tokenizer_file(self) -> Path:
        return self.directory / "tokenizer.json"

    @property
    def weights_files(self) -> tuple[Path, ...]:
        """All of them, those of the text encoder too."""
        names = {WEIGHTS} if self.weight_map is None else set(self.weight_map.values())
        return tuple(self.directory / name for name in sorted(names))

    @property
    def weights_file(self) -> Path:
        """The one file. Raises CheckpointError when there are several: load_weights reads any number."""
        if self.weight_map is not None:
            raise CheckpointError(f"the weights of {self.directory} are in {len(self.weights_files)} files, not in one")
        return self.directory / WEIGHTS


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def open_checkpoint(directory: Path, *, every_hash: bool = False) -> Checkpoint:
    """Read and verify a directory; every_hash: shards of the text encoder too.

    Raises CheckpointError when it is missing, incomplete, corrupt or changed.
    """
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint at {directory}: give the directory of a checkpoint")
    hashes = _read_json(directory / MANIFEST).get("sha256")
    incomplete = CheckpointError(f"{directory / MANIFEST} does not list the files of a checkpoint; copy it again")
    if not isinstance(hashes, dict) or not all(isinstance(value, str) for value in hashes.values()):
        raise incomplete
    weight_map = None
    if INDEX in hashes:
        _check_file(directory / INDEX, hashes[INDEX])
        weight_map = _weight_map(directory / INDEX)
    shards = set() if weight_map is None else set(weight_map.values())
    if set(hashes) != {*_DESCRIPTIONS, *({WEIGHTS} if weight_map is None else {INDEX, *shards})}:
        raise incomplete
    for name in sorted(hashes, key=lambda name: (name in shards, name)):
        if every_hash or weight_map is None or name not in _text_shards(weight_map):
            _check_file(directory / name, hashes[name])
    config = _read_json(directory / "config.json")
    try:
        model_id = f"{config['name']}@{config['version']}+{_weights_hash(hashes, shards)[:8]}"
    except KeyError as error:
        raise CheckpointError(
            f"{directory / 'config.json'} has no {error}; it is not a checkpoint of wam_models"
        ) from None
    return Checkpoint(
        directory,
        config,
        _read_json(directory / "preprocessing.json"),
        _read_json(directory / "statistics.json"),
        model_id,
        hashes,
        weight_map,
    )


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: copy the whole checkpoint directory again")
    found = file_hash(path)
    if found != expected:
        raise CheckpointError(
            f"{path} is not the file that was saved (SHA-256 {found[:8]}, expected {expected[:8]}): "
            "it is corrupt or was edited; copy the checkpoint again"
        )


def _weight_map(index: Path) -> dict[str, str]:
    weight_map = _read_json(index).get("weight_map")
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(_SHARD.fullmatch(str(f)) for f in weight_map.values())
    ):
        raise CheckpointError(f"{index} is not an index of weights: copy the checkpoint again")
    return weight_map


def _text_shards(weight_map: Mapping[str, str]) -> set[str]:
    """Those that hold nothing else."""
    others = {file for name, file in weight_map.items() if not name.startswith(TEXT)}
    return set(weight_map.values()) - others


def _weights_hash(hashes: Mapping[str, str], shards: set[str]) -> str:
    if not shards:
        return hashes[WEIGHTS]
    lines = "".join(f"{hashes[name]}  {name}\n" for name in (INDEX, *sorted(shards)))
    return hashlib.sha256(lines.encode()).hexdigest()


def load_weights(
    checkpoint: Checkpoint, module: nn.Module, prefix: str, *, device: str = "cpu", dtype: DType = None
) -> None:
    """Gives a module the weights whose names begin with prefix ("network.", "autoencoder.", "text.", or "" for all),
    shard by shard straight onto the device; no second copy of them is ever in memory.

    module: its parameters may be on the meta device, its buffers may not (accelerate's
    init_empty_weights(include_buffers=False)); dtype: of floating point weights, one for all or by their name in the
    module, None as they were saved. Only the files that hold such weights are read.

    Raises CheckpointError when a file is missing or not the one that was saved, or names or shapes differ from the
    module's; it lists them all by kind, the first ten by name.
    """
    from safetensors import SafetensorError

    from wam_models import weights

    where = checkpoint.directory
    found: dict[Path, dict[str, tuple[int, ...]]] = {}
    strange: list[str] = []
    for path in checkpoint.weights_files:
        if checkpoint.weight_map is not None:
            promised = [name for name, file in checkpoint.weight_map.items() if file == path.name]
            strange += [name for name in promised if not name.startswith(PARTS)]
            if not any(name.startswith(prefix) for name in promised):
                continue
            if path.name in _text_shards(checkpoint.weight_map):
                _check_file(path, checkpoint.hashes[path.name])
        try:
            found[path] = weights.shapes(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): copy the checkpoint again") from None
        if checkpoint.weight_map is None:
            strange = [name for name in found[path] if not name.startswith(PARTS)]
    chosen = {
        path: {name: name.removeprefix(prefix) for name in shapes if name.startswith(prefix)}
        for path, shapes in found.items()
    }
    problems = weights.misfits(module, {names[n]: found[path][n] for path, names in chosen.items() for n in names})
    problems += weights.listed({"of no known part": strange})
    if problems:
        raise CheckpointError(
            f"{where}: weights and configuration do not fit ({'; '.join(problems)}); copy the checkpoint again"
        )
    for path, names in chosen.items():
        weights.fill(module, path, names, device, dtype)
    module.to(device)  # buffers that are in no file


def save_checkpoint(
    directory: Path,
    *,
    config: dict[str, Any],
    preprocessing: dict[str, Any],
    statistics: dict[str, Any],
    tokenizer: str,
    weights: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
    card: str,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a checkpoint directory, replacing an earlier one only when the new one is complete.

    weights: name -> tensor, or such pairs one after the other, saved as they are; no more than a shard of them is held.
    tokenizer: its JSON.
    """
    from wam_models.weights import write_weights

    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, values in (("config", config), ("preprocessing", preprocessing), ("statistics", statistics)):
            (partial / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
        (partial / "tokenizer.json").write_text(tokenizer)
        write_weights(partial, weights, max_shard_bytes)
        hashes = {path.name: file_hash(path) for path in sorted(partial.iterdir())}
        (partial / CARD).write_text(card)
        (partial / MANIFEST).write_text(json.dumps({"sha256": hashes}, indent=2) + "\n")
    except BaseException:
        shutil.rmtree(partial)  # it may be most of a disk
        raise
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def open_policy(directory: Path, threads: int | None, **options: Any) -> Policy:
    """The policy in a checkpoint directory; see wam_models.policy.load_policy."""
    checkpoint = open_checkpoint(directory)
    kind = checkpoint.config.get("kind")
    if kind != "metis":
        raise CheckpointError(f"{directory} holds a model of kind {kind!r}; this version runs 'metis'")
    import torch

    from wam_models.metis.loading import load_metis

    if threads is not None:
        torch.set_num_threads(threads)
    return load_metis(checkpoint, **options)


def read_json(path: Path, missing: str, remedy: str) -> dict[str, Any]:
    """Raises CheckpointError when the file is missing or holds no JSON object. missing, remedy: what the text then says
    to do about it."""
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: {missing}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): {remedy}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not a JSON object: {remedy}")
    return values


def _read_json(path: Path) -> dict[str, Any]:
    return read_json(path, f"is {path.parent} a checkpoint directory?", "copy the checkpoint again")
