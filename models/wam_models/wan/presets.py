"""Public Wan backbones, and small ones of the same shape for processors: what to build, where the weights come from.

The dictionaries are keyword arguments of diffusers' WanTransformer3DModel and AutoencoderKLWan and of transformers'
UMT5Config, as in the configuration files of the public diffusers folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """video, vae, text: keyword arguments; source: hub id of the diffusers folder, with the subfolder of its
    transformer, empty where no weights are public; original: hub id of the same weights under their first names;
    text_length: tokens that an instruction is padded to; training_shift: time shift of the public training codes, all
    of which take 5, whatever the pipelines sample with."""

    name: str
    video: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]
    source: str = ""
    subfolder: str = "transformer"
    original: str = ""
    licence: str = "Apache-2.0"
    text_length: int = 512
    training_shift: float = 5.0


def _video(
    heads: int, layers: int, ffn: int, channels: int, head_dim: int = 128, text_dim: int = 4096
) -> dict[str, Any]:
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": text_dim,
        "freq_dim": 256,
        "ffn_dim": ffn,
        "num_layers": layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
    }


# Of each latent channel, as the sources round them.
# fmt: off
WAN21_MEAN = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922,
    -0.9497, 0.2503, -0.2921,
]
WAN21_STD = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253,
    2.8251, 1.916,
]
WAN22_MEAN = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570,
    -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322,
    0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520,
    0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
]
WAN22_STD = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165,
    0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917,
    0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600,
    0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
]
# fmt: on

# 8 x 8 x 4: pixels divided by 8, four frames to one latent after the first.
WAN21_VAE: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "is_residual": False,
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": None,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 8,
    "latents_mean": WAN21_MEAN,
    "latents_std": WAN21_STD,
}

# 16 x 16 x 4: pixels are folded 2 x 2 into channels before three strided stages.
WAN22_VAE: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 16,
    "latents_mean": WAN22_MEAN,
    "latents_std": WAN22_STD,
}

UMT5_XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_heads": 64,
    "num_layers": 24,
    "vocab_size": 256384,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
}

SMALL_TEXT: dict[str, Any] = {
    "d_model": 64,
    "d_ff": 128,
    "d_kv": 16,
    "num_heads": 4,
    "num_layers": 2,
    "vocab_size": 1024,
    "feed_forward_proj": "gated-gelu",
}


def _small(name: str, layers: int, heads: int, head_dim: int, ffn: int, vae_dim: int, channels: int) -> Backbone:
    """Of Wan2.2's kind, its autoencoder 16 x 16 x 4 and residual, whose statistics are measured in training."""
    vae = {
        **WAN22_VAE,
        "base_dim": vae_dim,
        "decoder_base_dim": vae_dim,
        "z_dim": channels,
        "num_res_blocks": 1,
        "latents_mean": [0.0] * channels,
        "latents_std": [1.0] * channels,
    }
    video = _video(heads, layers, ffn, channels, head_dim, text_dim=SMALL_TEXT["d_model"])
    return Backbone(name, video, vae, SMALL_TEXT, text_length=16)


WAN22_5B = Backbone(
    "wan22_5b",
    _video(heads=24, layers=30, ffn=14336, channels=48),
    WAN22_VAE,
    UMT5_XXL,
    source="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    original="Wan-AI/Wan2.2-TI2V-5B",
)
# Two transformers share the sampling of A14B by noise level. The one for little noise is the backbone: planning reads
# clean frames.
WAN22_A14B = Backbone(
    "wan22_a14b",
    _video(heads=40, layers=40, ffn=13824, channels=16),
    WAN21_VAE,
    UMT5_XXL,
    source="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    subfolder="transformer_2",
    original="Wan-AI/Wan2.2-T2V-A14B",
)
WAN21_1P3B = Backbone(
    "wan21_1p3b",
    _video(heads=12, layers=30, ffn=8960, channels=16),
    WAN21_VAE,
    UMT5_XXL,
    source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    original="Wan-AI/Wan2.1-T2V-1.3B",
)
WAN_NANO = _small("wan_nano", layers=4, heads=4, head_dim=32, ffn=256, vae_dim=8, channels=8)
WAN_TINY = _small("wan_tiny", layers=6, heads=6, head_dim=32, ffn=512, vae_dim=16, channels=16)
WAN_SMALL = _small("wan_small", layers=8, heads=8, head_dim=48, ffn=1024, vae_dim=16, channels=16)
