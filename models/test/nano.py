"""The smallest Metis that goes through every line the large one goes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from wam_models.checkpoint import save_checkpoint
from wam_models.metis.config import ActionConfig, Mask, MetisConfig
from wam_models.metis.engine import make_engine
from wam_models.metis.planning import MetisModel, MetisPolicy
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.runtime.ladder import Rung
from wam_models.wan.text import word_tokenizer

TEXTS = ["walk to the goal", "walk slowly to the goal"]


def nano_config(mask: Mask = Mask.ASYMMETRIC, **changes: object) -> MetisConfig:
    config = MetisConfig(
        video={
            "patch_size": (1, 2, 2),
            "num_attention_heads": 2,
            "attention_head_dim": 24,
            "in_channels": 4,
            "out_channels": 4,
            "text_dim": 16,
            "freq_dim": 32,
            "ffn_dim": 64,
            "num_layers": 3,
        },
        vae={
            "base_dim": 4,
            "decoder_base_dim": 4,
            "z_dim": 4,
            "num_res_blocks": 1,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
            "latents_mean": [0.1, 0.0, -0.2, 0.3],
            "latents_std": [1.5, 0.5, 1.0, 2.0],
        },
        text={"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 64},
        action=ActionConfig(width=20, ffn=40, points=5, dt=0.4),
        image_size=(64, 96),
        context_frames=2,
        context_dt=0.5,
        future_frames=4,
        future_dt=0.5,
        text_length=8,
        steps=3,
        needs_goal=True,
        mask=mask,
    )
    return replace(config, **changes)


def nano_model(mask: Mask = Mask.ASYMMETRIC, seed: int = 0, **changes: object) -> MetisModel:
    """With every zero-initialised weight shaken, so that nothing is equal only because it is zero."""
    torch.manual_seed(seed)
    model = MetisModel(nano_config(mask, **changes), word_tokenizer(TEXTS)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def nano_normaliser() -> Normaliser:
    import numpy as np

    return Normaliser(np.full((5, 3), 0.2), np.full((5, 3), 0.5))


def nano_checkpoint(directory: Path, **options: int) -> Path:
    """A checkpoint of a nano_model; options: of save_checkpoint."""
    model = nano_model()
    save_checkpoint(
        directory,
        config={"kind": "metis", "name": "nano", "version": "0.1", "network": nano_config().to_dict()},
        preprocessing=Preprocessing(nano_config().image_size).to_dict(),
        statistics=nano_normaliser().to_dict(),
        tokenizer=model.text.tokenizer.to_str(),
        weights={name: tensor.clone() for name, tensor in model.state_dict().items()},
        card="# nano\n",
        **options,
    )
    return directory


def nano_policy(
    mask: Mask = Mask.ASYMMETRIC, *, noise_scale: float = 1.0, rung: str = "cached", **options: object
) -> MetisPolicy:
    model = nano_model(mask, noise_scale=noise_scale)
    parts = model.parts()
    engine = make_engine(parts, Rung(rung))
    preprocessing = Preprocessing(model.config.image_size)
    return MetisPolicy(parts, engine, model.text.tokenizer, preprocessing, nano_normaliser(), "nano@0+0", **options)
