"""Weights in files: one, or shards with an index, written and read without ever holding more than a part of them.

The index is the usual one of safetensors: {"metadata": {"total_size"}, "weight_map": {name: file}}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wam_models.checkpoint import INDEX, TEXT, WEIGHTS

# Bytes between two openings of a file: as long as it is open, what was read of it counts as memory.
_AT_ONCE = 1 << 28

DType = torch.dtype | Callable[[str], torch.dtype | None] | None


def write_weights(folder: Path, weights: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], max_bytes: int) -> None:
    """Into `model.safetensors` if they are at most max_bytes, else into shards of at most that and an index. A single
    larger tensor gets a shard of its own. No more than a shard is held. Raises ValueError for a name that comes twice.
    """
    shards = _Shards(folder, max_bytes)
    for name, tensor in weights.items() if isinstance(weights, Mapping) else weights:
        shards.add(name, tensor)
    shards.finish()


class _Shards:
    """Tensors that wait are written when the next one would be too many, or belongs to the other kind of shard."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._waiting: dict[str, Tensor] = {}
        self._waiting_bytes = self._total_bytes = 0
        self._written: list[list[str]] = []
        self._names: set[str] = set()

    def add(self, name: str, tensor: Tensor) -> None:
        if name in self._names:
            raise ValueError(f"two tensors are called {name}")
        self._names.add(name)
        size = tensor.numel() * tensor.element_size()
        if self._waiting and (self._waiting_bytes + size > self._max_bytes or self._is_other_kind(name)):
            self._flush()
        self._waiting[name] = tensor
        self._waiting_bytes += size
        self._total_bytes += size

    def finish(self) -> None:
        if not self._written:
            _save(self._waiting, self._folder / WEIGHTS)
            return
        self._flush()
        total = len(self._written)
        weight_map = {}
        for number, names in enumerate(self._written, 1):
            file = f"model-{number:05d}-of-{total:05d}.safetensors"
            self._part(number).rename(self._folder / file)
            weight_map.update(dict.fromkeys(names, file))
        index = {"metadata": {"total_size": self._total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
        (self._folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def _is_other_kind(self, name: str) -> bool:
        """While all may yet fit into one file, all is one kind."""
        return bool(self._written) and name.startswith(TEXT) != next(iter(self._waiting)).startswith(TEXT)

    def _flush(self) -> None:
        for text in (False, True):
            chosen = {name: tensor for name, tensor in self._waiting.items() if name.startswith(TEXT) == text}
            if chosen:
                _save(chosen, self._part(len(self._written) + 1))
                self._written.append(list(chosen))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _part(self, number: int) -> Path:
        return self._folder / f"shard-{number}"


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    save_file(tensors, file)
    file.chmod(0o644)  # it comes out for its owner alone


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Of all tensors of a file; reads its header alone. Raises SafetensorError when it is no safetensors file."""
    with safe_open(file, "pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


def tensors(file: Path, names: Iterable[str], device: str = "cpu") -> Iterator[dict[str, Tensor]]:
    """The named tensors of a file, straight onto the device, in handfuls of about 256 MB. On "cpu" they are the file
    itself, mapped: whoever keeps one copies it before asking for the next handful."""
    left = list(names)
    while left:
        with safe_open(file, "pt", device=device) as opened:
            handful: dict[str, Tensor] = {}
            size = 0
            while left and size < _AT_ONCE:
                name = left.pop(0)
                tensor = opened.get_tensor(name)
                handful[name] = tensor
                size += tensor.numel() * tensor.element_size()
                del tensor
            yield handful
            handful.clear()
        del opened


def fill(module: nn.Module, file: Path, names: Mapping[str, str], device: str, dtype: DType) -> None:
    """Gives a module the named tensors of a file. names: in the file -> in the module's state dict; dtype: wanted of
    floating point tensors, for all or by their name in the module, None as they are. Raises ValueError for a name that
    the module does not have; which ones it lacks `misfits` tells.

    Parameters of the module may be on the meta device: they are replaced, not copied into. Names that are tied (one
    parameter under two names) get one parameter, whichever of them the file has.
    """
    tied = _tied_names(module)
    learns = {name: tensor.requires_grad for name, tensor in module.state_dict(keep_vars=True).items()}
    for handful in tensors(file, names, device):
        state: dict[str, Tensor] = {}
        for name, tensor in handful.items():
            target = names[name]
            wanted = dtype(target) if callable(dtype) else dtype
            kept = tensor.to(wanted if wanted is not None and tensor.is_floating_point() else tensor.dtype)
            # On a processor what was read is the file itself: a model must not change or die with it.
            kept = kept.clone() if kept is tensor and kept.device.type == "cpu" else kept
            group = tied.get(target, (target,))
            shared = nn.Parameter(kept, requires_grad=learns[target]) if len(group) > 1 else kept
            state.update(dict.fromkeys(group, shared))
            del tensor, kept
        # Not strict: a handful lacks what the others bring. What is missing in all of them `misfits` has told.
        if unknown := module.load_state_dict(state, strict=False, assign=True).unexpected_keys:
            raise ValueError(f"the module has no place for {', '.join(unknown)}")


def misfits(module: nn.Module, found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is wrong with tensors of these shapes for a module: one sentence a kind, with the first ten names and how
    many there are; none when they fit."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    tied = _tied_names(module)
    missing = [name for name in wanted if not any(same in found for same in tied.get(name, (name,)))]
    extra = [name for name in found if name not in wanted]
    shaped = [
        f"{name} {found[name]}, wanted {wanted[name]}"
        for name in found
        if name in wanted and found[name] != wanted[name]
    ]
    return listed({"missing": missing, "not wanted": extra, "of another shape": shaped})


def listed(kinds: Mapping[str, list[str]]) -> list[str]:
    """ "3 missing: a, b, c" for each kind that has any; the first ten of each by name."""
    return [
        f"{len(names)} {kind}: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
        for kind, names in kinds.items()
        if names
    ]


def _tied_names(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Name in the state dict -> all names of the same parameter, for those that have several: by identity, and by what
    transformers' models say of themselves, for building on the meta device may have parted them."""
    groups: dict[Any, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    tied = {name: tuple(names) for names in groups.values() if len(names) > 1 for name in names}
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        for target, source in getattr(part, "all_tied_weights_keys", {}).items():
            group = (prefix + source, prefix + target)
            tied.update(dict.fromkeys(group, group))
    return tied
