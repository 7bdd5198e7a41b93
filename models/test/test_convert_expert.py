"""An action expert is taken over where it fits, and else begins as its recipe says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from public_weights import (
    Public,
    made,
    part,
    public_model,
    save_diffusers,
    save_fastwam,
    save_wan,
)

from wam_models.checkpoint import Checkpoint, load_weights
from wam_models.convert.action import fresh_expert, is_resized, resize
from wam_models.metis.model import Metis


@pytest.fixture
def public() -> Public:
    return public_model()


def network_of(checkpoint: Checkpoint, model: Public) -> Metis:
    with init_empty_weights(include_buffers=False):
        network = Metis(model.config)
    load_weights(checkpoint, network, "network.")
    return network.eval()


def test_an_expert_of_other_actions_keeps_its_blocks(tmp_path: Path, public: Public) -> None:
    action = replace(public.config.action, values=2)
    other = replace(public, config=replace(public.config, action=action))
    source = save_fastwam(public, tmp_path / "step.pt")
    conversion = made(source, tmp_path / "out", other, base=save_diffusers(public, tmp_path / "base"))
    assert conversion.expert == "source"
    assert {"action_in.weight"} == {name for name in conversion.fresh if name.startswith("action_in")}
    assert part(conversion.checkpoint, "network.action.")["action_in.weight"].shape == (20, 2)
    assert any("mixtures.action.action_encoder.weight" in names for names in conversion.left_out.values())


@pytest.mark.parametrize("start", ["random", "resized"])
def test_an_expert_of_another_size_is_named_and_not_taken(tmp_path: Path, public: Public, start: str) -> None:
    wider = replace(public, config=replace(public.config, action=replace(public.config.action, width=24)))
    source = save_fastwam(public, tmp_path / "step.pt")
    base = save_diffusers(public, tmp_path / "base")
    conversion = made(source, tmp_path / "out", wider, base=base, action=start)
    assert conversion.expert == start
    (why,) = (why for why in conversion.left_out if "another size" in why)
    assert "action_in.weight (20, 3), wanted (24, 3)" in why
    assert network_of(conversion.checkpoint, wider).action.action_in.weight.shape == (24, 3)


def test_a_random_expert_is_the_same_for_a_seed_and_writes_nothing_yet(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    one, same, other = (
        part(made(source, tmp_path / f"out{i}", public, seed=seed).checkpoint, "network.action.")
        for i, seed in enumerate((4, 4, 5))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.1.attn1.to_q.weight"], other["blocks.1.attn1.to_q.weight"])
    assert not torch.equal(one["blocks.1.attn1.to_q.weight"], one["blocks.2.attn1.to_q.weight"])
    assert not one["head.weight"].any() and not one["head.bias"].any()


def test_randomness_elsewhere_is_not_disturbed(public: Public) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    names = public.action.state_dict()
    tensors = fresh_expert(public.config, 0, set(names))
    next(tensors)
    assert {name for name, _ in tensors} < set(names)
    assert torch.equal(torch.rand(3), expected)


def test_a_resized_expert_is_the_video_expert_made_smaller(tmp_path: Path, public: Public) -> None:
    conversion = made(save_wan(public, tmp_path / "public"), tmp_path / "out", public, action="resized")
    action, video = part(conversion.checkpoint, "network.action."), public.video.state_dict()
    for name, tensor in action.items():
        if is_resized(name):
            assert torch.equal(tensor, resize(video[name], tuple(tensor.shape)))
    assert set(conversion.fresh) == {name for name in action if not is_resized(name)}
    assert not action["head.weight"].any()


def test_resizing_is_linear_from_end_to_end_and_keeps_the_size_of_products() -> None:
    ramp = torch.linspace(0.0, 3.0, 7)
    assert torch.allclose(resize(ramp, (4,)), torch.tensor([0.0, 1.0, 2.0, 3.0]))
    rows = ramp[:, None].expand(7, 5)
    assert torch.allclose(resize(rows, (4, 5)), torch.arange(4.0)[:, None].expand(4, 5))
    assert torch.allclose(resize(torch.ones(6, 16), (3, 4)), torch.full((3, 4), 2.0))
    assert torch.equal(resize(rows, (7, 5)), rows)
    with pytest.raises(ValueError, match="cannot become"):
        resize(ramp, (4, 1))
