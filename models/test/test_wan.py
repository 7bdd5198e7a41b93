"""The autoencoder and the text encoder against the library they stand on."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan
from nano import TEXTS, nano_config

from wam_models.wan.text import InstructionEncoder, unknown_words, word_tokenizer
from wam_models.wan.vae import VideoAutoencoder, to_uint8, to_unit


def autoencoder() -> tuple[VideoAutoencoder, AutoencoderKLWan]:
    torch.manual_seed(0)
    config = nano_config().vae
    ours, library = VideoAutoencoder(config).eval(), AutoencoderKLWan(**config).eval()
    library.load_state_dict(ours.vae.state_dict())
    return ours, library


@torch.no_grad()
def test_latents_are_the_library_s_normalised_and_come_back() -> None:
    ours, library = autoencoder()
    frames = torch.rand(2, 3, 5, 64, 96) * 2 - 1
    latents = ours.encode(frames)
    assert latents.shape == (2, 4, 2, 4, 6)
    mean = torch.tensor(library.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(library.config.latents_std).view(1, -1, 1, 1, 1)
    expected = library.encode(frames).latent_dist.mode()
    assert torch.allclose(latents * std + mean, expected, atol=1e-5)
    assert torch.allclose(ours.decode(latents), library.decode(expected).sample, atol=1e-5)


@torch.no_grad()
def test_single_frames_by_2d_convolutions_equal_the_3d_ones() -> None:
    ours, library = autoencoder()
    frames = torch.rand(2, 3, 3, 64, 96) * 2 - 1
    latents = ours.encode_frames(frames)
    assert latents.shape == (2, 4, 3, 4, 6)
    std = torch.tensor(library.config.latents_std).view(1, -1, 1, 1, 1)
    mean = torch.tensor(library.config.latents_mean).view(1, -1, 1, 1, 1)
    for i in range(3):
        expected = (library.encode(frames[:, :, i : i + 1]).latent_dist.mode() - mean) / std
        assert (latents[:, :, i : i + 1] - expected).abs().max() < 1e-5


@torch.no_grad()
def test_the_first_latent_of_a_clip_is_its_first_frame_alone() -> None:
    ours, _ = autoencoder()
    clip = torch.rand(1, 3, 5, 64, 96) * 2 - 1
    assert torch.allclose(ours.encode(clip)[:, :, :1], ours.encode_frames(clip[:, :, :1]), atol=1e-5)


def test_pixels_survive_the_way_to_unit_range_and_back() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert torch.equal(to_uint8(to_unit(frames)), frames)


def test_embeddings_end_with_the_text_and_depend_on_it() -> None:
    torch.manual_seed(0)
    config = nano_config()
    encoder = InstructionEncoder(config.text, word_tokenizer(TEXTS), config.text_length).eval()
    with torch.no_grad():
        out = encoder(TEXTS)
        alone = encoder(TEXTS[:1])
    assert out.shape == (2, 8, 16)
    assert not out[0, 5:].any() and out[0, 4].any()  # four words and the end mark
    assert torch.allclose(out[:1], alone, atol=1e-6)
    assert not torch.allclose(out[0], out[1], atol=1e-3)


def test_unknown_words_are_named_as_written() -> None:
    tokenizer = word_tokenizer(TEXTS)
    assert unknown_words(tokenizer, "Walk TO the goal") == []
    assert unknown_words(tokenizer, "walk to the Kitchen") == ["Kitchen"]


def test_statistics_written_as_whole_numbers_stay_numbers() -> None:
    """YAML reads [0, 0, ...] as integers; truncated to such a type, a deviation of 0.3 divides by zero."""
    config = {**nano_config().vae, "latents_mean": [0, 0, 0, 0], "latents_std": [1, 1, 1, 1]}
    autoencoder = VideoAutoencoder(config)
    autoencoder.set_statistics([0.5, -0.5, 0.1, 0.2], [0.3, 1.5, 2.5, 0.9])
    assert autoencoder.std.flatten().tolist() == [0.30000001192092896, 1.5, 2.5, 0.8999999761581421]
    with torch.no_grad():
        assert autoencoder.encode(torch.rand(1, 3, 1, 64, 96)).isfinite().all()
