"""The same scene in other light, and in a mirror."""

from __future__ import annotations

import numpy as np
import torch

from wam_models.training.augment import another_sky, jitter_light, mirror_actions, mirror_state


def test_other_light_is_one_light_an_entry_and_stays_a_picture() -> None:
    frames = torch.full((64, 3, 2, 24, 40), 0.2)
    frames[:, :, :, 8:16, 10:30] = -0.6
    lit = jitter_light(frames, torch.Generator().manual_seed(0))
    assert lit.shape == frames.shape
    assert float(lit.min()) >= -1 and float(lit.max()) <= 1
    levels = lit.mean(dim=(1, 2, 3, 4))
    assert float(levels.std()) > 0.1  # entries differ
    assert float((lit[:, :, 0] - lit[:, :, 1]).abs().mean()) < 0.05  # the frames of one do not, but for their noise


def test_colours_stay_where_a_light_must_be_read() -> None:
    red = torch.tensor([0.9, -0.9, -0.9]).view(1, 3, 1, 1).expand(200, 3, 16, 24).clone()
    red[:, :, :, :4] = 0.8

    def colour(least: float) -> torch.Tensor:
        lit = jitter_light(red, torch.Generator().manual_seed(0), least)[:, :, :, 8:].mean(dim=(2, 3))
        return lit[:, 0] - lit[:, 1]

    assert colour(0.6).min() > 0.2 > colour(0.1).min()


def test_light_is_even_in_about_half_of_the_pictures() -> None:
    lit = jitter_light(torch.full((400, 3, 24, 40), 0.0), torch.Generator().manual_seed(0))
    blocks = torch.nn.functional.avg_pool2d(lit.mean(dim=1, keepdim=True), 8).flatten(1)
    even = (blocks.amax(dim=1) - blocks.amin(dim=1)) < 0.05
    assert 0.35 < float(even.float().mean()) < 0.65


def test_a_bright_sky_may_turn_dark_and_nothing_else_does() -> None:
    frame = np.full((96, 160, 3), (90, 140, 230), dtype=np.uint8)  # blue, down to
    frame[48:] = (200, 200, 205)  # a pale floor, and in front of both
    frame[20:80, 60:80] = (150, 40, 40)  # something red that holds
    frame[30:40, 64:74] = (210, 210, 215)  # something white
    seen = [another_sky(frame[None], 0.5, torch.Generator().manual_seed(seed))[0] for seed in range(40)]
    dark = [picture for picture in seen if not np.array_equal(picture, frame)]
    assert 10 < len(dark) < 30
    sky = np.zeros((96, 160), bool)
    sky[:48] = True
    sky[18:48, 58:82] = False  # the rim of a thing is a mixture
    for picture in dark:
        assert (picture[sky] <= 102).all()
        assert np.array_equal(picture[52:], frame[52:])
        assert np.array_equal(picture[22:78, 62:78], frame[22:78, 62:78])


def test_mirroring_twice_is_nothing_and_once_swaps_left_and_right() -> None:
    actions, states = torch.randn(4, 5, 3), torch.randn(4, 8)
    assert torch.equal(mirror_actions(mirror_actions(actions)), actions)
    assert torch.equal(mirror_state(mirror_state(states)), states)
    assert torch.equal(mirror_actions(actions)[..., 0], actions[..., 0])
    assert torch.equal(mirror_actions(actions)[..., 1:], -actions[..., 1:])
    assert torch.equal(mirror_state(states)[:, [1, 2, 4, 7]], -states[:, [1, 2, 4, 7]])
