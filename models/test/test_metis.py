"""What the architecture promises: the cache is exact, information flows only where the mask lets it."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from nano import TEXTS, nano_model

from wam_models.flow_matching import euler_step, sigmas
from wam_models.metis.config import Mask
from wam_models.metis.model import Metis, Text
from wam_models.metis.sampling import sample_actions
from wam_models.wan import block as wan


@pytest.fixture(params=list(Mask), ids=lambda mask: mask.value)
def mask(request: pytest.FixtureRequest) -> Mask:
    return request.param


def inputs(network: Metis, batch: int = 2, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    config = network.config
    channels, height, width = config.latent_size
    return {
        "observed": normal(batch, channels, config.context_frames, height, width),
        "future": normal(batch, channels, config.future_latents, height, width),
        "future_time": torch.rand(batch, generator=generator),
        "state": normal(batch, config.action.state),
        "actions": normal(batch, config.action.points, config.action.values),
        "action_time": torch.rand(batch, 1, generator=generator).expand(-1, config.action.points),
    }


def text_of(model, batch: int = 2) -> Text:
    return model.network.read_text(model.text([TEXTS[i % len(TEXTS)] for i in range(batch)]))


@pytest.mark.parametrize("mask", [Mask.ASYMMETRIC, Mask.ISOLATED], ids=lambda mask: mask.value)
def test_planning_from_the_cache_equals_the_joint_forward(mask: Mask) -> None:
    model = nano_model(mask)
    values = inputs(model.network)
    with torch.no_grad():
        text = text_of(model)
        _, joint = model.network(**values, text=text)
        prefix = list(model.network.read_observation(values["observed"], text))
        cached = model.network.step_action(prefix, values["state"], values["actions"], values["action_time"], text)
    assert (cached - joint).abs().max() < 1e-5
    assert joint.abs().max() > 1e-2


def test_a_cached_plan_equals_euler_steps_of_the_joint_forward() -> None:
    model = nano_model()
    values = inputs(model.network, batch=1)
    text = text_of(model, 1)
    noise = torch.randn(3, *values["actions"].shape[1:], generator=torch.Generator().manual_seed(5))
    planned = sample_actions(model.network, values["observed"], values["state"], noise, text, 4, None)
    schedule = sigmas(4).tolist()
    with torch.no_grad():
        for candidate, start in zip(planned, noise):
            actions = start[None]
            for now, after in zip(schedule, schedule[1:]):
                time = torch.full(actions.shape[:2], now)
                _, velocity = model.network(
                    values["observed"], values["future"], values["future_time"], values["state"], actions, time, text
                )
                actions = euler_step(actions, velocity, now, after)
            assert (actions[0] - candidate).abs().max() < 1e-5


def test_the_future_video_changes_actions_only_under_the_joint_mask(mask: Mask) -> None:
    model = nano_model(mask)
    values = inputs(model.network)
    with torch.no_grad():
        text = text_of(model)
        _, before = model.network(**values, text=text)
        other = {**values, "future": values["future"] + 1.0, "future_time": 1.0 - values["future_time"]}
        _, after = model.network(**other, text=text)
    change = float((after - before).abs().max())
    assert change > 1e-4 if mask is Mask.JOINT else change == 0.0


def test_actions_change_the_future_video_unless_isolated(mask: Mask) -> None:
    model = nano_model(mask)
    values = inputs(model.network)
    with torch.no_grad():
        text = text_of(model)
        before, _ = model.network(**values, text=text)
        after, _ = model.network(**{**values, "actions": values["actions"] + 1.0}, text=text)
    change = float((after - before).abs().max())
    assert change == 0.0 if mask is Mask.ISOLATED else change > 1e-4


def test_the_video_loss_reaches_the_action_expert_unless_isolated(mask: Mask) -> None:
    model = nano_model(mask)
    video, _ = model.network(**inputs(model.network), text=text_of(model))
    video.square().mean().backward()
    gradients = [p.grad for p in model.network.action.parameters() if p.grad is not None]
    reached = sum(float(g.abs().sum()) for g in gradients)
    assert reached == 0.0 if mask is Mask.ISOLATED else reached > 1e-6


def test_observation_and_text_reach_actions_and_video(mask: Mask) -> None:
    model = nano_model(mask)
    values = inputs(model.network)
    with torch.no_grad():
        text = text_of(model)
        before = model.network(**values, text=text)
        seen = model.network(**{**values, "observed": values["observed"] + 1.0}, text=text)
        told = model.network(**values, text=model.network.read_text(model.text(TEXTS[::-1])))
    for changed in (seen, told):
        for a, b in zip(before, changed):
            assert (a - b).abs().max() > 1e-5


def test_a_walk_through_the_blocks_is_the_library_forward() -> None:
    """One segment alone, attending to itself, is what WanTransformer3DModel computes with per-token times."""
    model = nano_model()
    network = model.network
    library = WanTransformer3DModel(**model.config.video).eval()
    weights = network.state_dict()
    library.load_state_dict({name.removeprefix("video."): weights[name] for name in weights if "video." in name[:6]})
    latents = inputs(network)["observed"]
    text = model.text(TEXTS)
    tokens = latents.shape[2] * model.config.tokens_per_latent
    with torch.no_grad():
        expected = library(latents, torch.full((2, tokens), 600.0), text, return_dict=False)[0]
        embedding, projection = wan.embed_time(library.condition_embedder, torch.full((2, 1), 0.6), torch.float32)
        projected = library.condition_embedder.text_embedder(text)
        x, rotary = network.embed_video(latents), network.video_rotary(0, latents.shape[2])
        for layer in network.layers:
            mod = wan.modulation(layer.video, projection)
            query, own = wan.queries_keys_values(layer.video, x, mod, rotary)
            read = wan.text_keys_values(layer.video, projected)
            x = wan.finish(layer.video, x, wan.attend(query, own), mod, read)
        found = network.read_out_video(x, embedding, latents.shape)
    assert (found - expected).abs().max() < 1e-5


def test_a_state_dict_has_wan_s_own_names() -> None:
    network = nano_model().network
    names = set(network.state_dict())
    with torch.device("meta"):
        library = {f"video.{name}" for name in WanTransformer3DModel(**network.config.video).state_dict()}
    assert library <= names
    assert all(name.startswith(("video.", "action.")) for name in names)
    assert "action.blocks.2.attn1.to_q.weight" in names


def test_the_real_action_expert_has_the_published_size() -> None:
    """1,020,889,091 parameters beside Wan2.2-TI2V-5B: width 1024, feed-forward 4096, 8 ego values, 3 a point."""
    from wam_models.metis.config import ActionConfig
    from wam_models.metis.experts import ActionExpert

    with torch.device("meta"):
        video = WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=24,
            attention_head_dim=128,
            in_channels=48,
            out_channels=48,
            text_dim=4096,
            freq_dim=256,
            ffn_dim=14336,
            num_layers=30,
        )
        action = ActionExpert(ActionConfig(width=1024, ffn=4096, points=8, dt=0.5), video)
    assert sum(p.numel() for p in video.parameters()) == 4_999_787_712
    assert sum(p.numel() for p in action.parameters()) == 1_020_889_091
