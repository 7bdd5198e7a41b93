"""Names of weights as Wan's authors wrote them, and of the same weights in the library's modules.

Each table maps all original names to the names in the state dict of diffusers' WanTransformer3DModel or
AutoencoderKLWan, or transformers' UMT5EncoderModel. A table is one to one; `inverse` turns it around. It may hold names
that a model lacks (no shortcut where the width stays), never fewer than it has.

Source: Wan-Video/Wan2.2, wan/modules/{model,vae2_1,vae2_2,t5}.py. DriveVA, FastWAM and SimWAM use the same names for
their transformers, behind prefixes of their own (see sources).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Table = dict[str, str]

_BOTH = ("weight", "bias")
# Modules that have a weight and a bias, original -> diffusers.
_TRANSFORMER = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
}
_BLOCK = {
    **{
        f"{original}.{each}": f"{ours}.{projection}"
        for original, ours in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for each, projection in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"))
    },
    "norm3": "norm2",  # the affine norm before cross-attention: Wan numbers it last
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
_TEXT_BLOCK = {
    "norm1": "layer.0.layer_norm",
    **{f"attn.{each}": f"layer.0.SelfAttention.{each}" for each in "qkvo"},
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}
_RESNET = {
    "residual.0.gamma": "norm1.gamma",
    "residual.3.gamma": "norm2.gamma",
    **{
        f"{original}.{leaf}": f"{ours}.{leaf}"
        for original, ours in (("residual.2", "conv1"), ("residual.6", "conv2"), ("shortcut", "conv_shortcut"))
        for leaf in _BOTH
    },
}
_ATTENTION = {
    name: name for name in ("norm.gamma", *(f"{part}.{leaf}" for part in ("to_qkv", "proj") for leaf in _BOTH))
}
_RESAMPLE = {name: name for name in (f"{part}.{leaf}" for part in ("resample.1", "time_conv") for leaf in _BOTH)}


def transformer_names(layers: int) -> Table:
    """Of a video transformer, or of an action expert with its blocks."""
    table = {f"{original}.{leaf}": f"{ours}.{leaf}" for original, ours in _TRANSFORMER.items() for leaf in _BOTH}
    table["head.modulation"] = "scale_shift_table"
    for number in range(layers):
        place = f"blocks.{number}"
        for original, ours in _BLOCK.items():
            table |= {f"{place}.{original}.{leaf}": f"{place}.{ours}.{leaf}" for leaf in _BOTH}
        for original, ours in (("self_attn", "attn1"), ("cross_attn", "attn2")):
            table |= {
                f"{place}.{original}.{norm}.weight": f"{place}.{ours}.{norm}.weight" for norm in ("norm_q", "norm_k")
            }
        table[f"{place}.modulation"] = f"{place}.scale_shift_table"
    return table


def text_names(layers: int) -> Table:
    """Of the UMT5 encoder; nothing in it has a bias."""
    table = {"token_embedding.weight": "shared.weight", "norm.weight": "encoder.final_layer_norm.weight"}
    for number in range(layers):
        for original, ours in _TEXT_BLOCK.items():
            table[f"blocks.{number}.{original}.weight"] = f"encoder.block.{number}.{ours}.weight"
    return table


def autoencoder_names(config: Mapping[str, Any]) -> Table:
    """Of the autoencoder with these keyword arguments of AutoencoderKLWan: Wan2.1's where it is not residual, which
    counts all modules of a coder in one row, else Wan2.2's, which counts them by block."""
    table = {
        f"{original}.{leaf}": f"{ours}.{leaf}"
        for original, ours in (("conv1", "quant_conv"), ("conv2", "post_quant_conv"))
        for leaf in _BOTH
    }
    for coder in ("encoder", "decoder"):
        table |= {f"{coder}.conv1.{leaf}": f"{coder}.conv_in.{leaf}" for leaf in _BOTH}
        table |= {f"{coder}.head.2.{leaf}": f"{coder}.conv_out.{leaf}" for leaf in _BOTH}
        table[f"{coder}.head.0.gamma"] = f"{coder}.norm_out.gamma"
        middle = f"{coder}.mid_block"
        table |= _moved(f"{coder}.middle.0", f"{middle}.resnets.0", _RESNET)
        table |= _moved(f"{coder}.middle.1", f"{middle}.attentions.0", _ATTENTION)
        table |= _moved(f"{coder}.middle.2", f"{middle}.resnets.1", _RESNET)
    blocks = len(config.get("dim_mult", (1, 2, 4, 4)))
    resnets = config.get("num_res_blocks", 2)
    places = _residual_places if config.get("is_residual") else _flat_places
    for original, ours, leaves in places(blocks, resnets):
        table |= _moved(original, ours, leaves)
    return table


def inverse(table: Table) -> Table:
    """The library's names -> the original ones."""
    return {ours: original for original, ours in table.items()}


def _moved(original: str, ours: str, leaves: Table) -> Table:
    return {f"{original}.{there}": f"{ours}.{here}" for there, here in leaves.items()}


def _residual_places(blocks: int, resnets: int) -> Iterator[tuple[str, str, Table]]:
    for block in range(blocks):
        for coder, part, row, count in (
            ("encoder", "down", f"encoder.downsamples.{block}.downsamples", resnets),
            ("decoder", "up", f"decoder.upsamples.{block}.upsamples", resnets + 1),
        ):
            ours = f"{coder}.{part}_blocks.{block}"
            yield from ((f"{row}.{number}", f"{ours}.resnets.{number}", _RESNET) for number in range(count))
            if block < blocks - 1:
                yield f"{row}.{count}", f"{ours}.{part}sampler", _RESAMPLE


def _flat_places(blocks: int, resnets: int) -> Iterator[tuple[str, str, Table]]:
    for block in range(blocks):
        first = block * (resnets + 1)
        for number in range(first, first + resnets):
            yield f"encoder.downsamples.{number}", f"encoder.down_blocks.{number}", _RESNET
        if block < blocks - 1:
            number = first + resnets
            yield f"encoder.downsamples.{number}", f"encoder.down_blocks.{number}", _RESAMPLE
        first = block * (resnets + 2)
        ours = f"decoder.up_blocks.{block}"
        for number in range(resnets + 1):
            yield f"decoder.upsamples.{first + number}", f"{ours}.resnets.{number}", _RESNET
        if block < blocks - 1:
            yield f"decoder.upsamples.{first + resnets + 1}", f"{ours}.upsamplers.0", _RESAMPLE
