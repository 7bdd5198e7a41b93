"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch._dynamo

INDUCTOR = "inductor"
# Graphs of one function, which all layers and models of a process share: torch's eight would end at the second model.
_GRAPHS = 64

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function, backend: str = INDUCTOR) -> Function:
    """Whole or not at all, for the shapes that it meets: a break would bring back the launches that this saves."""
    torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
    return torch.compile(function, fullgraph=True, dynamic=False, backend=backend)  # type: ignore[return-value]
