"""How fast a plan could be on a device: its arithmetic over the device's rate, its bytes over the bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.model import Metis
from wam_models.metis.sampling import Flow
from wam_models.runtime.precision import cast_autoencoder, cast_transformer
from wam_models.wan.frame_encoder import FrameEncoder
from wam_models.wan.vae import VideoAutoencoder

# Rows of an instruction after its padding was put together; see wan.instructions.
_TEXT_ROWS = 32
# Of a block: made of the text once an instruction.
_TEXT = "attn2.to_k", "attn2.to_v", "attn2.norm_k"


@dataclass(frozen=True)
class Ceilings:
    """What the device reached. bandwidth: bytes read and written a second, in a large copy; rate: FLOP/s, in a large
    product of the precision that is served."""

    bandwidth: float
    rate: float

    @classmethod
    def measure(cls, device: torch.device, dtype: torch.dtype) -> Ceilings:
        """On random data: on zeros the clocks run higher. Takes seconds."""
        on_gpu = device.type == "cuda"
        return cls(_copy_bandwidth(2**30 if on_gpu else 2**25, device), _rate(8192 if on_gpu else 1024, device, dtype))


@dataclass(frozen=True)
class Work:
    """Of one part of a plan: floating-point operations, and the bytes that must be read at least: each weight once, and
    the keys and values of the observation."""

    flops: float
    bytes: float

    def floor(self, ceilings: Ceilings) -> float:
        """Milliseconds."""
        return 1e3 * max(self.flops / ceilings.rate, self.bytes / ceilings.bandwidth)


def count_work(config: MetisConfig, dtype: torch.dtype) -> dict[str, Work]:
    """vae: one frame; prefill; step: one, of one candidate, with the video where the mask is joint. Counted on the meta
    device, with text at hand."""
    with init_empty_weights(include_buffers=False):
        network, autoencoder = Metis(config).to("meta"), VideoAutoencoder(config.vae).to("meta")
    cast_transformer(network, dtype)
    cast_autoencoder(autoencoder, dtype)
    encoder = FrameEncoder.of(autoencoder)
    frame = torch.empty(1, 3, *config.image_size, dtype=dtype, device="meta")
    with torch.no_grad():
        text = network.read_text(torch.empty(1, _TEXT_ROWS, config.video["text_dim"], dtype=dtype, device="meta"))
        joint = config.mask is Mask.JOINT
        flow = Flow(network, 1, imagine=joint)
        observed = _nbytes(flow.observed_keys_values)
        text_of = {"video": _nbytes(text.video), "action": _nbytes(text.action)}
        step = _step_bytes(network.action, [layer.action for layer in _layers(network)]) + text_of["action"]
        if joint:
            step += _step_bytes(network.video, [layer.video for layer in _layers(network)]) + text_of["video"]
        return {
            "vae": Work(_flops(lambda: encoder(frame)), _nbytes(encoder.parameters())),
            "prefill": Work(_flops(lambda: flow.read(text)), _video_bytes(network) + text_of["video"] + observed),
            "step": Work(_flops(lambda: flow.run(text)), step + observed),
        }


def floors(work: dict[str, Work], ceilings: Ceilings, steps: list[int]) -> dict[int, float]:
    """Milliseconds of a plan by its number of steps. One frame of the context is new: the others were seen before."""
    fixed = work["vae"].floor(ceilings) + work["prefill"].floor(ceilings)
    return {count: fixed + count * work["step"].floor(ceilings) for count in steps}


def _flops(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def _nbytes(tensors: object) -> float:
    if isinstance(tensors, Tensor):
        return float(tensors.nbytes)
    return sum(map(_nbytes, tensors)) if tensors is not None else 0.0  # type: ignore[arg-type, call-overload]


def _video_bytes(network: Metis) -> float:
    """Weights that reading an observation needs: not those for text, nor what follows the keys of the last layer."""
    *most, last = (dict(layer.video.named_parameters()) for layer in _layers(network))
    read = [weight for layer in most for name, weight in layer.items() if not name.startswith(_TEXT)]
    needed = "attn1.to_k", "attn1.to_v", "attn1.norm_k", "scale_shift_table"
    return _nbytes(read) + _nbytes([weight for name, weight in last.items() if name.startswith(needed)])


def _step_bytes(expert: nn.Module, blocks: list[nn.Module]) -> float:
    """Weights of an expert that a step needs: text and time were read before."""
    own = [w for name, w in expert.named_parameters() if not name.startswith("condition_embedder")]
    inner = [w for block in blocks for name, w in block.named_parameters() if not name.startswith(_TEXT)]
    return _nbytes(own) + _nbytes(inner)


def _layers(network: Metis) -> list[Any]:
    return list(network.layers)


def _copy_bandwidth(count: int, device: torch.device) -> float:
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), device)


def _rate(size: int, device: torch.device, dtype: torch.dtype) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _best(lambda: a @ b, device)


def _best(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(8):
        _wait(device)
        began = perf_counter()
        call()
        _wait(device)
        times.append(perf_counter() - began)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
