"""Tensors in files of others: their names and shapes at once, their values a handful at a time."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor

from wam_models.checkpoint import CheckpointError, read_json
from wam_models.weights import shapes, tensors

# Bytes read of a pickle between two openings; what was read counts as memory as long as the file is open.
_AT_ONCE = 1 << 28


class Stored(Protocol):
    """Some tensors by name. `handfuls` gives those asked for in the order of the files; each is gone with the next."""

    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    def handfuls(self, names: Iterable[str]) -> Iterator[dict[str, Tensor]]: ...


@dataclass(frozen=True)
class SafetensorsFiles:
    paths: tuple[Path, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Raises CheckpointError naming a file that is no safetensors file."""
        return {name: shape for path in self.paths for name, shape in _read_shapes(path).items()}

    def handfuls(self, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
        wanted = set(names)
        for path in self.paths:
            yield from tensors(path, [name for name in _read_shapes(path) if name in wanted])


@dataclass(frozen=True)
class PickleFile:
    """A file of torch.save, read without running anything in it: a file that holds more than tensors, numbers and text
    is refused. inside: the entry with the tensors, "" for the file itself."""

    path: Path
    inside: str = ""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Raises CheckpointError when the file cannot be read or its entry holds other things than tensors."""
        return {name: tuple(tensor.shape) for name, tensor in self._open().items()}

    def handfuls(self, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
        left = list(names)
        while left:
            opened = self._open()
            handful: dict[str, Tensor] = {}
            size = 0
            while left and size < _AT_ONCE:
                name = left.pop(0)
                handful[name] = opened[name]
                size += opened[name].numel() * opened[name].element_size()
            yield handful
            handful.clear()
            del opened

    def _open(self) -> dict[str, Tensor]:
        content = load_pickle(self.path)
        if self.inside:
            content = content.get(self.inside, {})
        strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
        if strange or not content:
            what = f"things that are no tensors: {', '.join(strange[:10])}" if strange else "no weights"
            place = f"{self.path}, entry {self.inside!r}," if self.inside else f"{self.path}"
            raise CheckpointError(f"{place} holds {what}")
        return content


def load_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a file of torch.save, its tensors mapped, not read. Raises CheckpointError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds more than weights, or is damaged, and is not opened: nothing in it is run. Save its tensors "
            "alone, with torch.save(state_dict, file)"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({str(error).splitlines()[0]}): fetch it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no named weights")
    return content


def find_safetensors(folder: Path, stem: str) -> SafetensorsFiles:
    """`stem`.safetensors in a folder, or the shards that its index names. Raises CheckpointError naming what is not
    there."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return SafetensorsFiles((single,))
    if not index.is_file():
        raise CheckpointError(f"{folder} has neither {single.name} nor {index.name}: fetch the whole folder")
    files = set(read_public_json(index).get("weight_map", {}).values())
    paths = [folder / Path(file).name for file in sorted(files)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise CheckpointError(f"{folder} lacks {', '.join(missing) or 'all shards'} of {index.name}: fetch it again")
    return SafetensorsFiles(tuple(paths))


def read_public_json(path: Path) -> dict[str, Any]:
    """Raises CheckpointError when the file is missing or holds no JSON object."""
    return read_json(path, "fetch the whole folder", "fetch it again")


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        return shapes(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch it again") from None
