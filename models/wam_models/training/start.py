"""Training that continues from a checkpoint instead of from random weights, or takes its autoencoder from one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wam_models.checkpoint import Checkpoint, CheckpointError, load_weights, open_checkpoint
from wam_models.wan.vae import VideoAutoencoder


@dataclass(frozen=True)
class Start:
    """A checkpoint to continue from, of any size."""

    checkpoint: Checkpoint

    @property
    def model_id(self) -> str:
        return self.checkpoint.model_id

    def load_into(
        self, module: nn.Module, *parts: str, mend: str = "take over its network, or start from nothing"
    ) -> None:
        """The weights of the named parts of a MetisModel ("network", "text", "autoencoder"), in float32, into a module
        that has them under these names when there are several, and is the part itself when there is one.

        Raises CheckpointError, which ends in `mend`, when the module is not of the sizes that the checkpoint has.
        """
        for part in parts:
            target = module if len(parts) == 1 else module.get_submodule(part)
            try:
                load_weights(self.checkpoint, target, f"{part}.", dtype=torch.float32)
            except CheckpointError as error:
                article = "an" if part == "autoencoder" else "a"
                raise CheckpointError(
                    f"{self.checkpoint.directory} has {article} {part} of other sizes than the recipe ({error}): {mend}"
                ) from None


def open_start(directory: Path, output: Path) -> Start:
    """The checkpoint to continue from. Its vocabulary and its normalisation go to the folder `output`, for the weights
    continue in the same words and units. Raises CheckpointError when it cannot be used."""
    checkpoint = open_checkpoint(directory)
    for name in ("tokenizer.json", "statistics.json"):
        if not (output / name).exists():
            shutil.copyfile(directory / name, output / name)
    return Start(checkpoint)


def finished_autoencoder(directory: Path, vae: dict[str, Any]) -> VideoAutoencoder:
    """The autoencoder of a checkpoint, with what its latents are normalised by; vae: the recipe's settings of it.
    Raises CheckpointError when the checkpoint cannot be used or its autoencoder has other sizes."""
    checkpoint = open_checkpoint(directory)
    autoencoder = VideoAutoencoder(vae)
    Start(checkpoint).load_into(autoencoder, "autoencoder", mend="take over its vae, or train one")
    measured = checkpoint.config["network"]["vae"]
    autoencoder.set_statistics(measured["latents_mean"], measured["latents_std"])
    return autoencoder
