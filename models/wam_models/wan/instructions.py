"""Instructions embedded once: in memory, on disk, and only then by the text encoder, which is loaded if it must be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from wam_models.wan.text import InstructionEncoder

# A few commands are in use; a flood of new ones must not fill the memory.
REMEMBERED = 64
# Rows that an instruction is padded to, so that few sizes of graphs and buffers serve all instructions.
_ROWS = (32, 128)
# Padding rows that stand for those left out.
_SHARING = 3


class Instructions:
    """tokenizer: of the encoder; length: tokens that the model attends to, padded; load: brings the encoder, which is
    11 GB for UMT5-XXL; folder: where embeddings are kept for the next start, None for nowhere."""

    def __init__(
        self, tokenizer: Tokenizer, length: int, load: Callable[[], InstructionEncoder], folder: Path | None = None
    ) -> None:
        self.tokenizer, self.length = tokenizer, length
        self._load, self._folder = load, folder
        self._encoder: InstructionEncoder | None = None
        self._known: dict[str, Tensor] = {}

    @torch.inference_mode()
    def embed(self, text: str) -> Tensor:
        """(n, d_model): the rows of the text itself, without the zeros that pad them to `length`."""
        if text not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[text] = self._from_disk(text)
        return self._known[text]

    @torch.inference_mode()
    def embed_anew(self, text: str) -> Tensor:
        """(1, length, d_model) straight from the encoder, with its padding."""
        return self._loaded()([text])

    def _from_disk(self, text: str) -> Tensor:
        if self._folder is None:
            return self._encode(text)
        file = self._folder / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.safetensors"
        try:
            return load_file(file)["rows"]
        except (OSError, SafetensorError, KeyError):  # not there, or half written when the power went
            rows = self._encode(text)
        self._encoder = None  # one that is kept in files is large, and the next instruction may never come
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(f".{os.getpid()}")
            save_file({"rows": rows.cpu().contiguous()}, partial, metadata={"text": text})
            partial.rename(file)
        except OSError:
            pass  # a read-only home costs the next start some seconds, not this plan
        return rows

    def _encode(self, text: str) -> Tensor:
        count = min(len(self.tokenizer.encode(text).ids), self.length)
        return self._loaded()([text])[0, :count].clone()

    def _loaded(self) -> InstructionEncoder:
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder


def pad_rows(rows: Tensor, length: int) -> tuple[Tensor, Tensor | None]:
    """Rows (n, d) as (1, m, d) with few of the length - n zero rows behind them, and the bias (1, 1, 1, m) by which the
    last of these stand for all that are left out: equal rows have equal keys, and log(count) added to the score of one
    counts it as often. Exact to rounding. None where nothing was left out."""
    count = next(size for size in padded_sizes(length) if len(rows) + _SHARING <= size or size == length)
    padded = torch.cat([rows, rows.new_zeros(count - len(rows), rows.shape[1])])[None]
    if count == length:
        return padded, None
    bias = torch.zeros(count, dtype=rows.dtype)
    bias[-_SHARING:] = _logarithms(length - count + _SHARING, _SHARING, rows.dtype)
    return padded, bias.to(rows.device).view(1, 1, 1, count)


def padded_sizes(length: int) -> list[int]:
    """That `pad_rows` pads to."""
    return [*(size for size in _ROWS if size < length), length]


def row_counts(length: int) -> list[int]:
    """Of rows, the most that `pad_rows` pads to each of its sizes."""
    return [size if size == length else size - _SHARING for size in padded_sizes(length)]


def _logarithms(total: float, count: int, dtype: torch.dtype) -> Tensor:
    """(count,) whose exponentials add up to total as nearly as dtype can say it: each makes up for the rounding of
    those before it, for in bfloat16 the logarithm of 480 alone is off by a hundredth."""
    parts = torch.full((count,), -torch.inf, dtype=dtype)
    step = 2 * torch.finfo(dtype).eps
    for number in range(count):
        if total <= 0:
            break
        last = number == count - 1
        logarithm = torch.tensor(total, dtype=torch.float64).log() - (0.0 if last else step)
        parts[number] = logarithm.to(dtype)
        total -= float(parts[number].double().exp())
    return parts
