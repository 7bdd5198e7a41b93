"""One step of training: the losses of one shard of its batch, and what the optimiser does with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wam_models.metis.model import Metis, Text
from wam_models.training.average import Average
from wam_models.training.losses import Batch, action_loss, joint_losses
from wam_models.training.recipe import Committed
from wam_models.wan.block import KeysValues
from wam_models.wan.text import InstructionEncoder

# What plans (B * repeats, points, values), normalised, lack in clearance beside those of a batch, m.
Shortfall = Callable[[Batch, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """What is minimised. action_times, video_times: samplers, as a recipe gives them; joint_share: how much of the
    action loss, 0 to 1, comes from windows with a future; video_weight: of the video loss; repeats: draws of noise and
    time for each window without one; shortfall, shortfall_weight: what plans of those windows pay for; committed: how
    often the first points of a trajectory are known."""

    action_times: dict[str, Any]
    video_times: dict[str, Any]
    joint_share: float
    video_weight: float
    repeats: int = 1
    shortfall: Shortfall | None = None
    shortfall_weight: float = 0.0
    committed: Committed | None = None


class Trainable(nn.Module):
    """What trains: the network, with the text encoder or on instructions that it has embedded beforehand.

    instructions: what batches mean by their numbers; embedded: the same, (N, L, text_dim), where `text` is None.
    """

    embedded: Tensor

    def __init__(
        self,
        network: Metis,
        text: InstructionEncoder | None,
        instructions: list[str],
        embedded: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.text, self.instructions = network, text, instructions
        self.register_buffer("embedded", embedded, persistent=False)

    def forward(
        self, objective: Objective, plain: Batch | None, video: Batch | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """loss: of both batches together; action, video, shortfall: what it is made of, as far as they are wanted."""
        # Each instruction is read once, however often it stands in the batch.
        read = self.network.read_text(self.embedded if self.text is None else self.text(self.instructions))
        losses, figures = [], {}
        if plain is not None:
            text = _of(read, plain.instruction, objective.repeats)
            times = objective.action_times, objective.repeats
            action, planned = action_loss(self.network, plain, text, *times, generator, objective.committed)
            losses.append((1 - objective.joint_share) * action)
            figures["action"] = action
            if objective.shortfall is not None:
                figures["shortfall"] = objective.shortfall(plain, planned)
                losses.append(objective.shortfall_weight * figures["shortfall"])
        if video is not None:
            text = _of(read, video.instruction)
            samplers = objective.action_times, objective.video_times
            beside, picture = joint_losses(self.network, video, text, *samplers, generator, objective.committed)
            losses.append(objective.joint_share * beside)
            losses.append(objective.video_weight * picture)
            figures.setdefault("action", beside)
            figures["video"] = picture
        return {**figures, "loss": torch.stack(losses).sum()}


def _of(read: Text, chosen: Tensor, repeats: int = 1) -> Text:
    """Of the instructions that were read those with the numbers `chosen` (B,), for the action expert each `repeats`
    times."""
    again = chosen.repeat_interleave(repeats)

    def pick(layers: list[KeysValues], rows: Tensor) -> list[KeysValues]:
        return [KeysValues(layer.keys[rows], layer.values[rows]) for layer in layers]

    return Text(pick(read.video, chosen), pick(read.action, again))


def backward(
    model: Trainable,
    objective: Objective,
    plain: Batch | None,
    video: Batch | None,
    generator: torch.Generator,
    device: torch.device,
) -> dict[str, float]:
    """Gradients of one shard's loss, and the figures it is made of."""
    with mixed_precision(model, device):
        figures = model(objective, plain, video, generator)
    figures.pop("loss").backward()
    return {name: float(figure.detach()) for name, figure in figures.items()}


def mixed_precision(model: Trainable, device: torch.device, enabled: bool | None = None) -> torch.autocast:
    """bfloat16 products of float32 weights; on a CPU not, where narrow matrices are slower in bfloat16."""
    # What is cast for a layer that will be computed again need not stay until then.
    cached = not model.network.checkpointing
    wanted = device.type != "cpu" if enabled is None else enabled
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted, cache_enabled=cached)


def make_optimiser(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over what requires gradients; biases and other vectors do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over each weight: the default on a GPU takes room for as many intermediate values as there are weights.
    fused = all(parameter.is_cuda for parameter in trained) or None
    return torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.95), fused=fused)


def take_step(model: nn.Module, optimiser: torch.optim.Optimizer, average: Average) -> None:
    """With the gradients that are there, their norm cut to 1."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    average.update()
