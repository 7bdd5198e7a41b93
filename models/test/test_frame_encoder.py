"""The 2-D encoder of one frame against the library's causal 3-D one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import AvgDown3D, WanCausalConv3d, WanResample
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wam_models.wan.frame_encoder import AverageDown, FrameEncoder
from wam_models.wan.vae import VideoAutoencoder

STATISTICS = {"latents_mean": [0.1, 0.0, -0.2, 0.3], "latents_std": [1.5, 0.5, 1.0, 2.0]}
WAN21 = {"base_dim": 4, "z_dim": 4, **STATISTICS}
WAN22 = {
    **WAN21,
    "decoder_base_dim": 4,
    "num_res_blocks": 1,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
}
LARGE_WAN22 = {
    **WAN22,
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "num_res_blocks": 2,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}
PATTERNS = [[False, True, True], [True, True, False], [True, False, True], [False, False, False]]


def autoencoder(config: dict[str, Any]) -> VideoAutoencoder:
    """With every weight shaken, so that no norm or bias is equal only because it is one or zero."""
    torch.manual_seed(0)
    made = VideoAutoencoder(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def pictures(*size: int) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def library(ours: VideoAutoencoder) -> AutoencoderKLWan:
    made = AutoencoderKLWan.from_config(ours.vae.config).eval()
    made.load_state_dict(ours.vae.state_dict())
    return made


def normalised(mode: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in STATISTICS.values())
    return (mode - mean) / std


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize(
    ("config", "size", "latent"),
    [(WAN22, (64, 96), (4, 6)), (WAN21, (32, 48), (4, 6)), (WAN21, (36, 52), (4, 6))],
    ids=["wan22", "wan21", "wan21-odd"],
)
@torch.no_grad()
def test_latents_are_the_library_s_of_one_frame(
    config: dict[str, Any], size: tuple[int, int], latent: tuple[int, int], pattern: list[bool]
) -> None:
    ours = autoencoder({**config, "temperal_downsample": pattern})
    frames = pictures(3, 3, *size)
    expected = normalised(library(ours).encode(frames[:, :, None]).latent_dist.mode()[:, :, 0])
    latents = FrameEncoder.of(ours)(frames)
    assert latents.shape == (3, 4, *latent)
    assert latents.is_contiguous()
    assert (latents - expected).abs().max() < 1e-5
    assert (latents - ours.encode_frames(frames[:, :, None])[:, :, 0]).abs().max() < 1e-5
    assert expected.std(dim=0).min() > 1e-4  # three pictures, three answers


@torch.no_grad()
def test_attention_between_the_resolutions() -> None:
    """AutoencoderKLWan.encode fails with attn_scales, its encoder without the temporal cache does not."""
    ours = autoencoder({**WAN21, "attn_scales": [0.5]})
    frames = pictures(2, 3, 32, 48)
    theirs = library(ours)
    moments = theirs.quant_conv(theirs.encoder(frames[:, :, None]))[:, :, 0]
    assert (FrameEncoder.of(ours)(frames) - normalised(moments[:, :4])).abs().max() < 1e-5


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_means_take_in_the_frames_before_as_zeros(data: st.DataObject) -> None:
    channels, frames, factor = (data.draw(st.integers(1, high)) for high in (6, 3, 3))
    members = channels * frames * factor**2
    out = data.draw(st.sampled_from([n for n in range(1, members + 1) if members % n == 0]))
    x = pictures(2, channels, 2 * factor, 3 * factor)
    expected = AvgDown3D(channels, out, frames, factor)(x[:, :, None])
    assert torch.allclose(AverageDown(out, factor, frames)(x), expected[:, :, 0], atol=1e-6)


@torch.no_grad()
def test_in_bfloat16_it_is_as_near_to_float32_as_the_autoencoder() -> None:
    ours = autoencoder(WAN22)
    frames = pictures(4, 3, 64, 96)
    exact = FrameEncoder.of(ours)(frames)
    ours, frames = ours.to(torch.bfloat16), frames.to(torch.bfloat16)
    encoder = FrameEncoder.of(ours)
    latents = encoder(frames)
    assert latents.dtype == torch.bfloat16
    assert encoder.mean.dtype == encoder.std.dtype == torch.float32
    theirs = (ours.encode_frames(frames[:, :, None])[:, :, 0] - exact).square().mean()
    assert (latents - exact).square().mean() < 2 * theirs


@torch.no_grad()
def test_calls_leave_nothing_behind_and_threads_do_not_meet() -> None:
    encoder = FrameEncoder.of(autoencoder(WAN22))
    batches = [pictures(2, 3, 64, 96) * scale for scale in (1.0, 0.5)]
    alone = [encoder(batch) for batch in batches]

    def encode(batch: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return [encoder(batch) for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        for once, often in zip(alone, pool.map(encode, batches)):
            assert all(torch.equal(once, again) for again in often)


@torch.no_grad()
def test_it_is_a_copy_that_a_later_change_of_the_autoencoder_does_not_reach() -> None:
    ours = autoencoder(WAN22)
    encoder, frames = FrameEncoder.of(ours), pictures(1, 3, 64, 96)
    before = encoder(frames)
    for parameter in ours.parameters():
        parameter.zero_()
    ours.set_statistics([0.0] * 4, [1.0] * 4)
    assert torch.equal(encoder(frames), before)
    assert not torch.equal(FrameEncoder.of(ours)(frames), before)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("config", [WAN22, WAN21], ids=["wan22", "wan21"])
@torch.no_grad()
def test_one_graph_holds_all_of_it(config: dict[str, Any]) -> None:
    encoder, frames = FrameEncoder.of(autoencoder(config)), pictures(1, 3, 32, 48)
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    assert torch.equal(compiled(frames), encoder(frames))


@torch.no_grad()
def test_the_large_encoder_has_one_temporal_slice_of_each_kernel() -> None:
    with torch.device("meta"):
        large = VideoAutoencoder(LARGE_WAN22)
        latents = FrameEncoder.of(large)(torch.empty(1, 3, 640, 768))
    vae = large.vae
    assert sum(p.numel() for part in (vae.encoder, vae.quant_conv) for p in part.parameters()) == 149_637_088
    flat = sum(
        p.numel() // (p.shape[2] if p.dim() == 5 else 1)
        for name, p in vae.encoder.named_parameters()
        if "time_conv" not in name
    )
    flat += sum(p.numel() // 2 for p in vae.quant_conv.parameters())  # the mean's half of its channels
    assert sum(p.numel() for p in FrameEncoder.of(large).parameters()) == flat
    assert latents.shape == (1, 48, 40, 48)


def test_what_it_does_not_know_is_refused() -> None:
    for name, replaced in (
        ("encoder.conv_in", nn.Conv3d(12, 4, 3, padding=1)),
        ("encoder.norm_out", nn.GroupNorm(2, 16)),
        ("encoder.nonlinearity", nn.GELU()),
        ("encoder.mid_block.attentions.0", nn.Identity()),
        ("encoder.down_blocks.1.avg_shortcut", nn.AvgPool3d(2)),
        ("encoder", nn.Sequential()),
    ):
        ours = autoencoder(WAN22)
        ours.vae.set_submodule(name, replaced)
        with pytest.raises(ValueError, match=f"a {type(replaced).__name__} here"):
            FrameEncoder.of(ours)


def test_parts_that_look_ahead_or_enlarge_are_refused() -> None:
    for name, replaced, why in (
        ("encoder.conv_in", WanCausalConv3d(12, 4, 3), "not causal"),
        ("encoder.down_blocks.0.downsampler", WanResample(4, "upsample2d"), "upsample2d"),
    ):
        ours = autoencoder(WAN22)
        ours.vae.set_submodule(name, replaced)
        with pytest.raises(ValueError, match=why):
            FrameEncoder.of(ours)


def test_a_tiled_autoencoder_is_refused() -> None:
    ours = autoencoder(WAN22)
    ours.vae.enable_tiling()
    with pytest.raises(ValueError, match="disable_tiling"):
        FrameEncoder.of(ours)


@pytest.mark.parametrize("size", [(64, 97), (72, 96)])
def test_frames_that_do_not_divide_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of the autoencoder's scale_factor_spatial"):
        FrameEncoder.of(autoencoder(WAN22))(pictures(1, 3, *size))
