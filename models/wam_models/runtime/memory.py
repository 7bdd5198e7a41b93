"""When memory runs out, and how much there is."""

from __future__ import annotations

from pathlib import Path

import torch

# The last one is cuDNN's, when it finds no room to work in.
_TELLTALES = ("out of memory", "can't allocate memory", "alloc_failed", "unable to find an engine")


def is_out_of_memory(error: BaseException) -> bool:
    """torch says so in several ways: with a type of its own, as a plain RuntimeError on a processor, and as an error of
    CUDA or one of its libraries."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(telltale in str(error).lower() for telltale in _TELLTALES)


def does_not_fit(model_id: str, device: object, error: BaseException) -> str:
    """What to say then."""
    return f"{model_id} does not fit on {device}: free memory there, or choose another device ({error})"


def available_memory(device: torch.device) -> int:
    """Bytes that a process could take there."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
