"""Training that continues from a checkpoint instead of from random weights."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wam_models.checkpoint import CheckpointError, open_checkpoint


@dataclass(frozen=True)
class Start:
    """A checkpoint's weights, by the names they have in MetisModel; model_id says which they are."""

    directory: Path
    model_id: str
    weights: dict[str, Tensor]

    def load_into(self, module: nn.Module, *parts: str) -> None:
        """The weights of the named parts of a MetisModel ("network", "text", "autoencoder") into a module that holds
        them: under these names when there are several, as the part itself when there is one.

        Raises CheckpointError when the module is not of the sizes that the checkpoint has.
        """
        prefix = f"{parts[0]}." if len(parts) == 1 else ""
        chosen = {name.removeprefix(prefix): t for name, t in self.weights.items() if name.split(".")[0] in parts}
        try:
            module.load_state_dict(chosen)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                f"{self.directory} has a {' and '.join(parts)} of other sizes than the recipe: {problem}; "
                "take over its network, or start from nothing"
            ) from None


def open_start(directory: Path, output: Path) -> Start:
    """The checkpoint to continue from. Its vocabulary and its normalisation go to the folder `output`, for the weights
    continue in the same words and units. Raises CheckpointError when it cannot be used."""
    checkpoint = open_checkpoint(directory)
    for name in ("tokenizer.json", "statistics.json"):
        if not (output / name).exists():
            shutil.copyfile(directory / name, output / name)
    weights = {name: tensor.to(torch.float32) for name, tensor in load_file(checkpoint.weights_file).items()}
    return Start(directory, checkpoint.model_id, weights)
