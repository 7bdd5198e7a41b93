"""How much memory a training step takes of each GPU, before there is one: counted, with no weights made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from wam_models.metis.config import MetisConfig
from wam_models.metis.model import Metis
from wam_models.metis.size import GIB, GPUS
from wam_models.training.adapters import add_adapters
from wam_models.training.live_bytes import LiveBytes
from wam_models.training.losses import Batch
from wam_models.training.recipe import Lora
from wam_models.training.step import Objective, Trainable, mixed_precision
from wam_models.wan.text import InstructionEncoder, word_tokenizer

MASTER, HALF = 4, 2  # bytes of a float32 and of a bfloat16


@dataclass(frozen=True)
class Windows:
    """What a GPU works on at a time. joint: windows with a future; plain: windows without; repeats: draws of noise and
    time for each of those."""

    joint: int = 1
    plain: int = 0
    repeats: int = 1


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on one GPU, of several the fullest.

    - weights: float32, and the tables beside them; gradients, optimiser (the moments of AdamW), average: of what
      trains. Of each tensor a GPU has its share of the rows, rounded up.
    - activations: the most that is alive at once of all else that a step makes, counted tensor by tensor over a forward
      and a backward pass. On one GPU bfloat16 copies of weights are among it. The count is for the kernels of a CPU,
      which keep one tensor more for each norm of queries and keys than those of a GPU.
    - gathered: what several GPUs lend each other, in bfloat16: all that is in no layer, three layers (one at work, one
      that arrives, the buffer it arrives in), their gradients, and one layer's gradients in float32. An estimate.
    - batch: latents, states, actions.
    - peak: the most of everything at once. Gradients come as activations go, so it is less than the sum.

    What a kernel takes for itself while it runs is not counted, nor what CUDA needs and what is lost between tensors.
    """

    weights: int
    gradients: int
    optimiser: int
    average: int
    activations: int
    gathered: int
    batch: int
    peak: int

    @property
    def gpu_gib(self) -> int | None:
        """The smallest common GPU of which the peak and 1 GiB for CUDA are at most 95 %; None when there is none."""
        return next((size for size in GPUS if self.peak + GIB <= 0.95 * size * GIB), None)


def plan_memory(
    config: MetisConfig,
    windows: Windows,
    *,
    gpus: int = 1,
    lora: Lora | None = None,
    checkpointing: bool = True,
    trains_text: bool = False,
    bfloat16: bool = True,
) -> MemoryPlan:
    """Of one shard of a step. trains_text: with the text encoder, on one instruction; else instructions are embedded
    beforehand. bfloat16: products are, as on GPUs.

    It goes through a whole step, with tensors that have shapes and no values: some 15 s of a processor for 30 layers.
    """
    with torch.device("meta"):
        model = rehearsed_model(config, lora, trains_text=trains_text)
    model.network.checkpointing = checkpointing
    with FakeTensorMode():
        _imagine(model, torch.bfloat16 if gpus > 1 else torch.float32)
        parameters = list(model.parameters())
        shares = [MASTER * ceil(p.shape[0] / gpus) * prod(p.shape[1:]) for p in parameters]
        trained = sum(share for share, p in zip(shares, parameters, strict=True) if p.requires_grad)
        batches = make_batches(config, windows)
        live = LiveBytes()
        with live:
            rehearse(model, config, batches, windows, bfloat16=bfloat16)
        gradients = [p.grad for p in parameters if p.grad is not None]
        # Of several GPUs each keeps its share of the gradients that pass by, as float32.
        part = 1.0 if gpus == 1 else MASTER / HALF / gpus
        weights = sum(shares) + sum(buffer.nbytes for buffer in model.buffers())
        optimiser = 2 * trained + MASTER * sum(p.requires_grad for p in parameters)
        gathered = _gathered(model) if gpus > 1 else 0
        batch = sum(tensor.nbytes for tensor in _tensors(batches))
        still = weights + optimiser + trained + gathered + batch
        activations, at_work = live.peak(gradients, 0.0), live.peak(gradients, part)
    return MemoryPlan(weights, trained, optimiser, trained, activations, gathered, batch, still + at_work)


def plan_choices(
    config: MetisConfig, windows: Windows, lora: Lora, *, trains_text: bool, gpus: tuple[int, ...] = (1, 8)
) -> Iterator[dict[str, Any]]:
    """For full training and for adapters, with checkpointing and without, on each number of GPUs: which of them (gpus,
    lora, checkpointing), the bytes of a MemoryPlan, and gpu_gib."""
    for adapters, checkpointing, count in product((None, lora), (True, False), gpus):
        plan = plan_memory(
            config,
            windows,
            gpus=count,
            lora=adapters,
            checkpointing=checkpointing,
            trains_text=trains_text and adapters is None,
        )
        named = None if adapters is None else asdict(adapters)
        yield {
            "gpus": count,
            "lora": named,
            "checkpointing": checkpointing,
            **asdict(plan),
            "gpu_gib": plan.gpu_gib,
        }


def rehearsed_model(config: MetisConfig, lora: Lora | None, *, trains_text: bool = False) -> Trainable:
    """With random weights; one instruction, which is random too where there is no text encoder."""
    network = Metis(config)
    if lora is not None:
        add_adapters(network, lora)
    instructions = ["walk to the goal"]
    if trains_text:
        encoder = InstructionEncoder(config.text, word_tokenizer(instructions), config.text_length)
        return Trainable(network, encoder, instructions)
    return Trainable(network, None, instructions, torch.randn(1, config.text_length, config.video["text_dim"]))


def make_batches(config: MetisConfig, windows: Windows) -> tuple[Batch | None, Batch | None]:
    """Random ones: the windows without a future, and those with one."""
    plain = _batch(config, windows.plain, future=False) if windows.plain else None
    return plain, _batch(config, windows.joint, future=True) if windows.joint else None


def objective_of(windows: Windows, shift: float) -> Objective:
    """The losses of a recipe, with their usual weights. shift: of the video's flow times."""
    share = windows.joint / (windows.joint + windows.plain)
    times = {"sampler": "power"}, {"sampler": "uniform", "shift": shift}
    return Objective(*times, joint_share=share, video_weight=1.0, repeats=windows.repeats)


def rehearse(
    model: Trainable,
    config: MetisConfig,
    batches: tuple[Batch | None, Batch | None],
    windows: Windows,
    *,
    bfloat16: bool,
) -> None:
    """A forward and a backward pass on the CPU."""
    objective, generator = objective_of(windows, config.sampling_shift), torch.Generator().manual_seed(0)
    with mixed_precision(model, torch.device("cpu"), enabled=bfloat16):
        loss = model(objective, *batches, generator)["loss"]
    loss.backward()


def _batch(config: MetisConfig, count: int, *, future: bool) -> Batch:
    channels, height, width = config.latent_size
    action = config.action
    return Batch(
        observed=torch.randn(count, channels, config.context_frames, height, width),
        future=torch.randn(count, channels, config.future_latents, height, width) if future else None,
        states=torch.randn(count, action.state),
        actions=torch.randn(count, action.points, action.values),
        instruction=torch.zeros(count, dtype=torch.long),
    )


def _tensors(batches: tuple[Batch | None, Batch | None]) -> Iterator[Tensor]:
    for batch in batches:
        if batch is not None:
            yield from (tensor for tensor in vars(batch).values() if tensor is not None)


def _imagine(model: nn.Module, dtype: torch.dtype) -> None:
    """A model without tensors is given fake ones of a CPU, whose kernels have counterparts on a GPU."""
    made: dict[nn.Parameter, nn.Parameter] = {}  # some modules share a parameter
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            if old not in made:
                made[old] = nn.Parameter(torch.empty(old.shape, dtype=dtype), requires_grad=old.requires_grad)
            setattr(module, name, made[old])
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _gathered(model: Trainable) -> int:
    def count(module: nn.Module, *, trained: bool = False) -> int:
        return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)

    layers = list(model.network.layers)
    rest, rest_trained = (count(model, trained=t) - sum(count(e, trained=t) for e in layers) for t in (False, True))
    layer = max(count(each) for each in layers)
    layer_trained = max(count(each, trained=True) for each in layers)
    return HALF * (rest + rest_trained + 3 * layer + layer_trained) + MASTER * layer_trained
