"""A checkpoint is a directory: everything a model needs to plan, and hashes that say it is whole.

config.json         the network (kind, name, version, sizes)
preprocessing.json  what its inputs must look like
statistics.json     how its actions are normalised
tokenizer.json      the language it knows
model.safetensors   the weights of network, autoencoder and text encoder
README.md           the card: data, seeds, steps, time, scores
manifest.json       SHA-256 of every other file but the card
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wam_models.policy import Policy

WEIGHTS = "model.safetensors"
FILES = ("config.json", "preprocessing.json", "statistics.json", "tokenizer.json", WEIGHTS)
CARD, MANIFEST = "README.md", "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the text names the file and what would mend it."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified directory. config, preprocessing, statistics: parsed JSON; model_id: "<name>@<version>+<hash8>"."""

    directory: Path
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    statistics: dict[str, Any]
    model_id: str

    @property
    def tokenizer_file(self) -> Path:
        return self.directory / "tokenizer.json"

    @property
    def weights_file(self) -> Path:
        return self.directory / WEIGHTS


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def open_checkpoint(directory: Path) -> Checkpoint:
    """Read and verify a directory. Raises CheckpointError when it is missing, incomplete, corrupt or changed."""
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint at {directory}: give a checkpoint directory or baseline:straight")
    manifest = _read_json(directory / MANIFEST)
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or set(hashes) != set(FILES):
        raise CheckpointError(f"{directory / MANIFEST} does not list the files of a checkpoint; copy it again")
    for name in FILES:
        path = directory / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: copy the whole checkpoint directory again")
        found = file_hash(path)
        if found != hashes[name]:
            raise CheckpointError(
                f"{path} is not the file that was saved (SHA-256 {found[:8]}, expected {hashes[name][:8]}): "
                "it is corrupt or was edited; copy the checkpoint again"
            )
    config = _read_json(directory / "config.json")
    try:
        model_id = f"{config['name']}@{config['version']}+{hashes[WEIGHTS][:8]}"
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
    )


def save_checkpoint(
    directory: Path,
    *,
    config: dict[str, Any],
    preprocessing: dict[str, Any],
    statistics: dict[str, Any],
    tokenizer: str,
    weights: dict[str, Any],
    card: str,
) -> None:
    """Write a checkpoint directory, replacing an earlier one only when the new one is complete.

    weights: name -> tensor, saved as they are; tokenizer: its JSON.
    """
    from safetensors.torch import save_file

    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, values in (("config", config), ("preprocessing", preprocessing), ("statistics", statistics)):
        (partial / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
    (partial / "tokenizer.json").write_text(tokenizer)
    save_file(weights, partial / WEIGHTS)
    (partial / WEIGHTS).chmod(0o644)  # it comes out for its owner alone
    (partial / CARD).write_text(card)
    hashes = {name: file_hash(partial / name) for name in FILES}
    (partial / MANIFEST).write_text(json.dumps({"sha256": hashes}, indent=2) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def open_policy(
    directory: Path, *, device: str, steps: int | None, seed: int, mask: str | None, threads: int | None
) -> Policy:
    """The policy in a checkpoint directory; see wam_models.policy.load_policy."""
    checkpoint = open_checkpoint(directory)
    kind = checkpoint.config.get("kind")
    if kind != "metis":
        raise CheckpointError(f"{directory} holds a model of kind {kind!r}; this version runs 'metis'")
    import torch

    from wam_models.metis.planning import load_metis

    if threads is not None:
        torch.set_num_threads(threads)
    return load_metis(checkpoint, device=device, steps=steps, seed=seed, mask=mask)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: is {path.parent} a checkpoint directory?") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): copy the checkpoint again") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not a JSON object: copy the checkpoint again")
    return values
