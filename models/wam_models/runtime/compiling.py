"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

INDUCTOR = "inductor"

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function, backend: str = INDUCTOR) -> Function:
    """Whole or not at all, for the shapes that it meets: a break would bring back the launches that this saves."""
    return torch.compile(function, fullgraph=True, dynamic=False, backend=backend)  # type: ignore[return-value]
