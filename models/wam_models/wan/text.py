"""Instructions to embeddings: a tokenizer and a UMT5 encoder, of any size."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

PAD, UNKNOWN, END = "<pad>", "<unk>", "</s>"


def word_tokenizer(texts: list[str]) -> Tokenizer:
    """A tokenizer that knows exactly the words of `texts`, lower case, for models trained on a small language."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word in words_of(tokenizer, text)})
    vocabulary = {token: number for number, token in enumerate([PAD, END, UNKNOWN, *words])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, vocabulary[END])]
    )
    return tokenizer


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words a tokenizer cuts a text into, before it looks them up."""
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))]


def known_words(tokenizer: Tokenizer) -> list[str]:
    """All that it has a number for, but for the tokens that are no words."""
    return sorted(set(tokenizer.get_vocab()) - {PAD, UNKNOWN, END})


def unknown_words(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text that the tokenizer does not know; none for a tokenizer without an unknown token."""
    unknown = tokenizer.token_to_id(UNKNOWN)
    if unknown is None:
        return []
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return [text[a:b] for number, (a, b) in zip(encoding.ids, encoding.offsets) if number == unknown]


class InstructionEncoder(nn.Module):
    """config: keyword arguments of UMT5Config; length: tokens of the output, as the Wan pipelines pad it.

    Embeddings beyond the end of the text are zeros and are attended to like any other, as Wan was trained.
    """

    def __init__(self, config: dict[str, Any], tokenizer: Tokenizer, length: int) -> None:
        super().__init__()
        self.tokenizer, self.length = tokenizer, length
        # Without dropout: it draws from torch's global generator, so that no seed would fix the weights.
        self.encoder = UMT5EncoderModel(UMT5Config(**{"dropout_rate": 0.0, **config}))

    def forward(self, texts: list[str]) -> Tensor:
        """(B, length, d_model)."""
        rows = [self.tokenizer.encode(text).ids[: self.length] for text in texts]
        ids = torch.zeros(len(rows), self.length, dtype=torch.long)
        mask = torch.zeros(len(rows), self.length, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        device = self.encoder.shared.weight.device
        ids, mask = ids.to(device), mask.to(device)
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden * mask[..., None].to(hidden.dtype)
