"""The encoder of the video autoencoder for one frame: the 2-D network that it then is.

For one frame without history every causal kernel meets only zeros before its last temporal slice, and the temporal
convolution of a `downsample3d` is skipped, as its work starts with the second chunk. What is left is a 2-D network with
a third of the work. It keeps nothing between calls, unlike diffusers' encoder, which writes its temporal cache to the
module: several threads can use it at once, and a CUDA graph or torch.compile(fullgraph=True) can hold all of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AvgDown3D,
    WanAttentionBlock,
    WanCausalConv3d,
    WanEncoder3d,
    WanMidBlock,
    WanResample,
    WanResidualBlock,
    WanResidualDownBlock,
    WanRMS_norm,
)
from torch import Tensor, nn

from wam_models.wan.vae import VideoAutoencoder


class FrameEncoder(nn.Module):
    """Frames in [-1, 1] to the normalised latents that VideoAutoencoder.encode_frames gives for them.

    A copy for inference: later changes of the autoencoder do not reach it, and its weights take no gradient.
    It runs in the precision that the autoencoder has when it is made, with mean and std in float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, patch_size: int, layers: nn.Sequential, mean: Tensor, std: Tensor) -> None:
        """mean, std: (C,), of the latents that layers give."""
        super().__init__()
        self.patch_size, self.layers = patch_size, layers
        self.register_buffer("mean", mean.view(1, -1, 1, 1), False)
        self.register_buffer("std", std.view(1, -1, 1, 1), False)

    @classmethod
    def of(cls, autoencoder: VideoAutoencoder) -> FrameEncoder:
        """Raises ValueError for an encoder with parts that diffusers' AutoencoderKLWan does not have."""
        vae = autoencoder.vae
        if not isinstance(vae, AutoencoderKLWan) or type(vae.encoder) is not WanEncoder3d:
            raise _unknown(getattr(vae, "encoder", vae))
        if vae.use_tiling:
            raise ValueError("a tiled autoencoder blends tiles, and here a frame stays whole: call disable_tiling()")
        encoder, config = vae.encoder, vae.config
        layers = nn.Sequential(
            _conv(encoder.conv_in),
            *map(_layer, encoder.down_blocks),
            _layer(encoder.mid_block),
            *_normed_conv(encoder.norm_out, encoder.nonlinearity, encoder.conv_out),
            _conv(vae.quant_conv, config.z_dim),  # the rest is the logarithm of the posterior's variance
        )
        # The autoencoder's own copy of these loses digits when it is moved to bfloat16.
        device = vae.quant_conv.weight.device
        mean = torch.tensor(config.latents_mean, dtype=torch.float32, device=device)
        std = torch.tensor(config.latents_std, dtype=torch.float32, device=device)
        return cls(config.patch_size or 1, layers, mean, std).eval()

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], in the weights' dtype -> (B, C, h, w) in that dtype.

        Raises ValueError when H or W is no multiple of what the encoder divides it by.
        """
        # Within a patch the library counts down the columns.
        latents = self.layers(_patches(frames, self.patch_size).transpose(2, 3).flatten(1, 3))
        return ((latents.float() - self.mean) / self.std).to(latents.dtype).contiguous()


class RMSNorm(nn.Module):
    """Over the channels of (B, C, H, W), by a sum of squares in float32. gamma: (C,)."""

    def __init__(self, gamma: Tensor) -> None:
        super().__init__()
        self.scale = len(gamma) ** 0.5
        self.gamma = nn.Parameter(gamma.view(-1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32).clamp_min(1e-12)
        return (x * (self.scale / norm)).type_as(x) * self.gamma


class Residual(nn.Module):
    def __init__(self, block: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.block, self.shortcut = block, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + self.shortcut(x)


class Attention(nn.Module):
    """Each pixel of (B, C, H, W) attends to all of its picture, with one head."""

    def __init__(self, qkv: nn.Conv2d, out: nn.Conv2d) -> None:
        super().__init__()
        self.qkv, self.out = qkv, out

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.qkv(x).flatten(2).transpose(1, 2)[:, None]
        attended = F.scaled_dot_product_attention(*tokens.chunk(3, dim=-1))[:, 0]
        return self.out(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


class AverageDown(nn.Module):
    """(B, C, H, W) -> (B, channels, H / factor, W / factor): means over groups of neighbouring pixels and channels.

    With frames > 1 the groups also take in the frames before this one, which are zero.
    """

    def __init__(self, channels: int, factor: int, frames: int) -> None:
        super().__init__()
        self.channels, self.factor, self.frames = channels, factor, frames

    def forward(self, x: Tensor) -> Tensor:
        pixels = _patches(x, self.factor).flatten(2, 3)
        before = (self.frames - 1) * self.factor**2
        members = F.pad(pixels, (0, 0, 0, 0, before, 0)).flatten(1, 2)
        return members.unflatten(1, (self.channels, -1)).mean(dim=2)


def _patches(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size, H / size, W / size): the pixels of each patch, row by row."""
    height, width = x.shape[2:]
    if height % size or width % size:
        raise ValueError(
            f"{height} x {width} pixels do not divide into patches of {size} x {size}: "
            "give frames whose height and width are multiples of the autoencoder's scale_factor_spatial"
        )
    return x.unflatten(3, (-1, size)).unflatten(2, (-1, size)).permute(0, 1, 3, 5, 2, 4)


def _layer(block: nn.Module) -> nn.Module:
    """What stands in the encoder for a block of the library's."""
    if type(block) not in _LAYERS:
        raise _unknown(block)
    return _LAYERS[type(block)](block)


def _residual_block(block: WanResidualBlock) -> nn.Module:
    first = _normed_conv(block.norm1, block.nonlinearity, block.conv1)
    second = _normed_conv(block.norm2, block.nonlinearity, block.conv2)
    straight = isinstance(block.conv_shortcut, nn.Identity)
    return Residual(nn.Sequential(*first, *second), nn.Identity() if straight else _conv(block.conv_shortcut))


def _attention_block(block: WanAttentionBlock) -> nn.Module:
    attention = Attention(_conv(block.to_qkv), _conv(block.proj))
    return Residual(nn.Sequential(_norm(block.norm), attention), nn.Identity())


def _mid_block(block: WanMidBlock) -> nn.Module:
    rest = (part for pair in zip(block.attentions, block.resnets[1:]) for part in pair)
    return nn.Sequential(_layer(block.resnets[0]), *map(_layer, rest))


def _resample(block: WanResample) -> nn.Module:
    if block.mode not in ("downsample2d", "downsample3d"):
        raise ValueError(f"an encoder that resamples by {block.mode!r} is none of AutoencoderKLWan's")
    return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), _conv(block.resample[1]))


def _down_block(block: WanResidualDownBlock) -> nn.Module:
    average = block.avg_shortcut
    if type(average) is not AvgDown3D:
        raise _unknown(average)
    parts = [*block.resnets] if block.downsampler is None else [*block.resnets, block.downsampler]
    shortcut = AverageDown(average.out_channels, average.factor_s, average.factor_t)
    return Residual(nn.Sequential(*map(_layer, parts)), shortcut)


# Wan2.1 lists residual, attention and resampling blocks flat; Wan2.2 has one down block for each resolution.
_LAYERS: dict[type, Callable[..., nn.Module]] = {
    WanResidualBlock: _residual_block,
    WanAttentionBlock: _attention_block,
    WanMidBlock: _mid_block,
    WanResample: _resample,
    WanResidualDownBlock: _down_block,
}


def _normed_conv(norm: nn.Module, activation: nn.Module, conv: nn.Module) -> tuple[nn.Module, ...]:
    if type(activation) is not nn.SiLU:
        raise _unknown(activation)
    return _norm(norm), nn.SiLU(), _conv(conv)


def _norm(norm: nn.Module) -> RMSNorm:
    if not isinstance(norm, WanRMS_norm) or not norm.channel_first or isinstance(norm.bias, Tensor):
        raise _unknown(norm)
    return RMSNorm(norm.gamma.detach().flatten().clone())


def _conv(conv: nn.Module, channels: int | None = None) -> nn.Conv2d:
    """The last temporal slice of a causal convolution, or a 2-D convolution as it is; its first channels if so many."""
    padding: str | tuple[int, ...]
    if isinstance(conv, WanCausalConv3d):
        left, right, top, bottom, before, _ = conv._padding
        if (left, top, before) != (right, bottom, conv.kernel_size[0] - 1):
            raise ValueError(f"a convolution of {conv.kernel_size} padded by {conv._padding} is not causal")
        weight, stride, padding = conv.weight[:, :, -1], conv.stride[1:], (top, left)
    elif isinstance(conv, nn.Conv2d):
        weight, stride, padding = conv.weight, conv.stride, conv.padding
    else:
        raise _unknown(conv)
    weight, bias = weight[:channels].detach(), conv.bias[:channels].detach()
    out = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2:], stride, padding, device="meta")
    # Channels last: on a CPU the pixels' norms and convolutions take less time so.
    out.weight = nn.Parameter(weight.clone(memory_format=torch.channels_last), requires_grad=False)
    out.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return out


def _unknown(module: object) -> ValueError:
    return ValueError(
        f"a {type(module).__name__} here is nothing that FrameEncoder can convert: give it an autoencoder as diffusers "
        "makes it, without adapters or replaced modules"
    )
