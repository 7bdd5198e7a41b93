"""Training on plans that go on from what is being driven."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from nano import nano_model
from recipes import recipe_in

from wam_models.training.losses import Batch, action_loss, joint_losses
from wam_models.training.recipe import Committed, RecipeError, read_recipe

TIMES = {"sampler": "uniform"}


def batch(count: int = 24) -> Batch:
    config = nano_model().config
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn((count, *shape), generator=generator)

    channels, height, width = config.latent_size
    return Batch(
        normal(channels, config.context_frames, height, width),
        normal(channels, config.future_latents, height, width),
        normal(config.action.state),
        normal(config.action.points, config.action.values),
        torch.zeros(count, dtype=torch.long),
    )


def texts(model, count: int):
    return model.network.read_text(model.text(["walk to the goal"] * count))


def seen_times(monkeypatch: pytest.MonkeyPatch, model) -> list[torch.Tensor]:
    """The times at which the network is asked."""
    times: list[torch.Tensor] = []
    segment = model.network.action_segment

    def spy(state: torch.Tensor, actions: torch.Tensor, time: torch.Tensor):
        times.append(time)
        return segment(state, actions, time)

    monkeypatch.setattr(model.network, "action_segment", spy)
    return times


def test_known_points_come_first_and_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = nano_model(), batch(200)
    times = seen_times(monkeypatch, model)
    generator = torch.Generator().manual_seed(0)
    action_loss(model.network, data, texts(model, 200), TIMES, 1, generator, Committed(share=0.5, most=2))
    known = times[0] == 0
    assert not known[:, 2:].any() and not (known[:, 1] & ~known[:, 0]).any()
    counts = known.sum(dim=1)
    assert counts.max() == 2 and (counts == 1).any()
    assert 70 < int((counts > 0).sum()) < 130


def test_without_it_every_point_has_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nano_model()
    times = seen_times(monkeypatch, model)
    for committed in (None, Committed(share=0.0, most=2)):
        action_loss(model.network, batch(), texts(model, 24), TIMES, 1, torch.Generator().manual_seed(0), committed)
    for time in times:
        assert (time == time[:, :1]).all() and (time > 0).all()
    assert torch.equal(*times)


def test_what_is_known_is_shown_as_it_is_and_not_learned() -> None:
    """With all but the last point known, an error of a known point's velocity costs nothing."""
    model, data = nano_model(), batch()
    committed = Committed(share=1.0, most=4)

    def loss(wrong: slice) -> float:
        network = model.network
        read_out = network.action.read_out

        def spoiled(tokens: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
            velocity = read_out(tokens, embedding).clone()
            velocity[:, wrong] += 100.0
            return velocity

        network.action.read_out = spoiled
        try:
            with torch.no_grad():
                generator = torch.Generator().manual_seed(1)
                return float(action_loss(network, data, texts(model, 24), TIMES, 1, generator, committed)[0])
        finally:
            del network.action.read_out

    assert loss(slice(0, 0)) == pytest.approx(loss(slice(0, 1)))  # the first point is always among the known
    assert loss(slice(4, 5)) > 100 * loss(slice(0, 0))
    _, planned = action_loss(
        model.network, data, texts(model, 24), TIMES, 1, torch.Generator().manual_seed(1), committed
    )
    assert torch.allclose(planned[:, 0], data.actions[:, 0])


def test_the_joint_flow_knows_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nano_model()
    times = seen_times(monkeypatch, model)
    generator = torch.Generator().manual_seed(0)
    joint_losses(model.network, batch(), texts(model, 24), TIMES, TIMES, generator, Committed(share=1.0, most=1))
    assert (times[0][:, 0] == 0).all() and (times[0][:, 1:] > 0).all()


@pytest.mark.parametrize(
    ("committed", "message"),
    [
        ({"share": 1.5, "most": 1}, "share of 0 to 1"),
        ({"share": 0.5, "most": 0}, "at least 1 point"),
        ({"share": 0.5, "most": 5}, "must be less than the points"),
        ({"share": 0.5}, "most"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path: Path, committed: dict, message: str) -> None:
    recipe_in(tmp_path)
    path = tmp_path / "recipe.yaml"
    values = yaml.safe_load(path.read_text())
    values["rounds"][0]["committed"] = committed
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)
