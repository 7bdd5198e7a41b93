"""The speed ladder: each rung is the one before it and one thing more."""

from __future__ import annotations

from enum import Enum

import torch


class Rung(str, Enum):
    """How much of a plan's work is saved.

    plain: the library as it is, everything computed anew in every step;
    cached: text once an instruction, observation once a plan, steps alone, a 2-D encoder for single frames;
    graph: cached, with the work of a plan recorded in CUDA graphs and replayed without launches;
    compiled: layers compiled and their projections fused, recorded too where there is a GPU;
    fp8: compiled, with the products of the video expert in 8-bit floats.
    """

    PLAIN = "plain"
    CACHED = "cached"
    GRAPH = "graph"
    COMPILED = "compiled"
    FP8 = "fp8"

    @property
    def compiles(self) -> bool:
        return self in (Rung.COMPILED, Rung.FP8)

    def records(self, device: torch.device) -> bool:
        """Whether its work is replayed from CUDA graphs there."""
        return device.type == "cuda" and self in (Rung.GRAPH, Rung.COMPILED, Rung.FP8)


def make_device(name: str) -> torch.device:
    """Raises ValueError where there is no such device. One GPU: the process's current one."""
    if name not in ("cpu", "cuda"):
        raise ValueError(f"{name!r} is no device: choose cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("this torch sees no NVIDIA GPU: choose cpu, or install a CUDA build of torch")
    return torch.device(name)


def obstacle(rung: Rung, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a rung cannot be had on a device with weights of a type, or None."""
    if rung in (Rung.GRAPH, Rung.FP8) and device.type != "cuda":
        return f"rung {rung.value} needs an NVIDIA GPU, not {device.type}: choose cached or compiled"
    if rung is Rung.FP8 and dtype is not torch.bfloat16:
        return "rung fp8 needs precision bfloat16, which its products answer in"
    if rung is Rung.FP8 and torch.cuda.get_device_capability(device) < (8, 9):
        return f"rung fp8 needs 8-bit matrix units, which {torch.cuda.get_device_name(device)} lacks: choose compiled"
    return None


def make_rung(name: str, device: torch.device, dtype: torch.dtype) -> Rung:
    """Raises ValueError on an unknown name or a rung that device and type cannot carry."""
    try:
        rung = Rung(name)
    except ValueError:
        raise ValueError(f"{name!r} is no rung: choose one of {', '.join(each.value for each in Rung)}") from None
    if reason := obstacle(rung, device, dtype):
        raise ValueError(reason)
    return rung
