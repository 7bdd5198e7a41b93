"""Tables of names are one to one, complete for the real sizes, and those of the library where it has them."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from hypothesis import given
from hypothesis import strategies as st
from transformers import UMT5Config, UMT5EncoderModel

from wam_models.convert.key_names import Table, autoencoder_names, inverse, text_names, transformer_names
from wam_models.wan.presets import UMT5_XXL, WAN21_1P3B, WAN21_VAE, WAN22_5B, WAN22_A14B, WAN22_VAE


def used(table: Table, module: torch.nn.Module) -> Table:
    """Original name -> the module's, of all its tensors; an encoder's tied copy of its words is none of them."""
    names = [name for name in module.state_dict() if name != "encoder.embed_tokens.weight"]
    back = inverse(table)
    assert set(names) <= set(back)
    return {back[name]: name for name in names}


@pytest.mark.parametrize("backbone", [WAN22_5B, WAN22_A14B, WAN21_1P3B], ids=lambda backbone: backbone.name)
def test_the_names_of_a_transformer_are_the_library_s(backbone) -> None:
    with torch.device("meta"):
        module = WanTransformer3DModel(**backbone.video)
    table = used(transformer_names(backbone.video["num_layers"]), module)
    assert convert_wan_transformer_to_diffusers({name: name for name in table}) == inverse(table)


def test_the_names_of_the_older_autoencoder_are_the_library_s() -> None:
    with torch.device("meta"):
        module = AutoencoderKLWan(**WAN21_VAE)
    table = used(autoencoder_names(WAN21_VAE), module)
    assert convert_wan_vae_to_diffusers({name: name for name in table}) == inverse(table)


def test_there_are_as_many_names_as_in_the_authors_modules() -> None:
    """Counted by building the modules of Wan-Video/Wan2.2 (42bf4cf) in full size."""
    with torch.device("meta"):
        counts = {
            825: (transformer_names(30), WanTransformer3DModel(**WAN22_5B.video)),
            196: (autoencoder_names(WAN22_VAE), AutoencoderKLWan(**WAN22_VAE)),
            194: (autoencoder_names(WAN21_VAE), AutoencoderKLWan(**WAN21_VAE)),
            242: (text_names(24), UMT5EncoderModel(UMT5Config(**UMT5_XXL))),
        }
    for count, (table, module) in counts.items():
        assert len(used(table, module)) == count


@pytest.mark.parametrize(
    ("original", "ours"),
    [
        ("encoder.downsamples.1.downsamples.0.shortcut.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"),
        ("encoder.downsamples.2.downsamples.2.time_conv.bias", "encoder.down_blocks.2.downsampler.time_conv.bias"),
        ("encoder.downsamples.0.downsamples.2.resample.1.bias", "encoder.down_blocks.0.downsampler.resample.1.bias"),
        ("decoder.upsamples.3.upsamples.2.residual.6.weight", "decoder.up_blocks.3.resnets.2.conv2.weight"),
        ("decoder.upsamples.1.upsamples.3.resample.1.weight", "decoder.up_blocks.1.upsampler.resample.1.weight"),
        ("decoder.middle.1.to_qkv.weight", "decoder.mid_block.attentions.0.to_qkv.weight"),
        ("conv2.bias", "post_quant_conv.bias"),
        ("encoder.head.0.gamma", "encoder.norm_out.gamma"),
    ],
)
def test_names_of_the_newer_autoencoder(original: str, ours: str) -> None:
    assert autoencoder_names(WAN22_VAE)[original] == ours


@pytest.mark.parametrize(
    ("original", "ours"),
    [
        ("token_embedding.weight", "shared.weight"),
        ("blocks.7.ffn.gate.0.weight", "encoder.block.7.layer.1.DenseReluDense.wi_0.weight"),
        ("blocks.7.ffn.fc2.weight", "encoder.block.7.layer.1.DenseReluDense.wo.weight"),
        (
            "blocks.0.pos_embedding.embedding.weight",
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        ),
        ("norm.weight", "encoder.final_layer_norm.weight"),
    ],
)
def test_names_of_the_text_encoder(original: str, ours: str) -> None:
    assert text_names(24)[original] == ours


@given(layers=st.integers(0, 9), blocks=st.integers(1, 5), resnets=st.integers(1, 4), residual=st.booleans())
def test_tables_turn_around(layers: int, blocks: int, resnets: int, residual: bool) -> None:
    vae = {"dim_mult": [1] * blocks, "num_res_blocks": resnets, "is_residual": residual}
    for table in (transformer_names(layers), text_names(layers), autoencoder_names(vae)):
        back = inverse(table)
        assert len(back) == len(table)
        assert inverse(back) == table
