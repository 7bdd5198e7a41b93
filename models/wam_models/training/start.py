"""Training that continues from a checkpoint instead of from random weights, or takes its autoencoder from one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wam_models.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from wam_models.wan.vae import VideoAutoencoder


@dataclass(frozen=True)
class Start:
    """A checkpoint's weights, by the names they have in MetisModel; model_id says which they are."""

    directory: Path
    model_id: str
    weights: dict[str, Tensor]

    def load_into(
        self, module: nn.Module, *parts: str, mend: str = "take over its network, or start from nothing"
    ) -> None:
        """The weights of the named parts of a MetisModel ("network", "text", "autoencoder") into a module that holds
        them: under these names when there are several, as the part itself when there is one.

        Raises CheckpointError, which ends in `mend`, when the module is not of the sizes that the checkpoint has.
        """
        prefix = f"{parts[0]}." if len(parts) == 1 else ""
        chosen = {name.removeprefix(prefix): t for name, t in self.weights.items() if name.split(".")[0] in parts}
        try:
            module.load_state_dict(chosen)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            article = "an" if parts[0] == "autoencoder" else "a"
            raise CheckpointError(
                f"{self.directory} has {article} {' and '.join(parts)} of other sizes than the recipe: "
                f"{problem}; {mend}"
            ) from None


def open_start(directory: Path, output: Path) -> Start:
    """The checkpoint to continue from. Its vocabulary and its normalisation go to the folder `output`, for the weights
    continue in the same words and units. Raises CheckpointError when it cannot be used."""
    checkpoint = open_checkpoint(directory)
    for name in ("tokenizer.json", "statistics.json"):
        if not (output / name).exists():
            shutil.copyfile(directory / name, output / name)
    return _read(checkpoint)


def finished_autoencoder(directory: Path, vae: dict[str, Any]) -> VideoAutoencoder:
    """The autoencoder of a checkpoint, with what its latents are normalised by; vae: the recipe's settings of it.
    Raises CheckpointError when the checkpoint cannot be used or its autoencoder has other sizes."""
    checkpoint = open_checkpoint(directory)
    autoencoder = VideoAutoencoder(vae)
    _read(checkpoint).load_into(autoencoder, "autoencoder", mend="take over its vae, or train one")
    measured = checkpoint.config["network"]["vae"]
    autoencoder.set_statistics(measured["latents_mean"], measured["latents_std"])
    return autoencoder


def _read(checkpoint: Checkpoint) -> Start:
    weights = {name: tensor.to(torch.float32) for name, tensor in load_file(checkpoint.weights_file).items()}
    return Start(checkpoint.directory, checkpoint.model_id, weights)
