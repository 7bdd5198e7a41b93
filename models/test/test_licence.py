"""Trained weights say whose they are: their own licence, and those of the checkpoints that they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from nano import nano_checkpoint
from recipes import recipe_in, write_recipe

from wam_models.checkpoint import CARD, open_checkpoint
from wam_models.licence import NOT_RECORDED, card_line, joined, licence_of
from wam_models.training.card import licence_after
from wam_models.training.recipe import FinishedAutoencoder, RecipeError, read_recipe
from wam_models.training.start import Start
from wam_models.training.train import train_round

CONFIGS = Path(__file__).parents[1] / "configs"


def test_the_card_is_asked_where_the_configuration_says_nothing(tmp_path: Path) -> None:
    directory = nano_checkpoint(tmp_path / "nano")
    assert licence_of(open_checkpoint(directory)) == NOT_RECORDED
    (directory / CARD).write_text(f"# nano\n\n- Seed 1.\n{card_line('Apache-2.0 (Wan-AI/Wan2.2); MIT')}\n- More.\n")
    checkpoint = open_checkpoint(directory, every_hash=True)
    assert licence_of(checkpoint) == "Apache-2.0 (Wan-AI/Wan2.2); MIT"
    assert licence_of(replace(checkpoint, config={"licence": "MIT"})) == "MIT"
    (directory / CARD).unlink()
    assert licence_of(checkpoint) == NOT_RECORDED


def test_training_records_the_licence_of_the_recipe(tmp_path: Path) -> None:
    directory = train_round(recipe_in(tmp_path, licence="Apache-2.0"), 0, lambda *_: None)
    checkpoint = open_checkpoint(directory)
    assert checkpoint.config["licence"] == "Apache-2.0"
    assert card_line("Apache-2.0") in (directory / CARD).read_text().splitlines()


def test_what_weights_come_from_keeps_its_licence(tmp_path: Path) -> None:
    directory = nano_checkpoint(tmp_path / "nano")
    unknown = open_checkpoint(directory)
    (directory / CARD).write_text(card_line("Apache-2.0; not stated by DriveVA"))
    known, recipe = open_checkpoint(directory), recipe_in(tmp_path, licence="Apache-2.0")
    assert licence_after(recipe, None) == "Apache-2.0"
    assert licence_after(replace(recipe, licence=None), None) == NOT_RECORDED
    assert licence_after(recipe, Start(known)) == "Apache-2.0; not stated by DriveVA"
    with_autoencoder = replace(recipe, licence="MIT", autoencoder=FinishedAutoencoder(directory))
    assert licence_after(with_autoencoder, None) == "MIT; Apache-2.0; not stated by DriveVA"
    (directory / CARD).unlink()
    assert licence_after(recipe, Start(unknown)) == f"Apache-2.0; not recorded ({unknown.model_id})"


def test_what_is_not_recorded_is_said_of_the_model_beside_the_rest(tmp_path: Path) -> None:
    directory = nano_checkpoint(tmp_path / "nano")
    (directory / CARD).write_text(card_line(f"{NOT_RECORDED}; MIT"))
    start = open_checkpoint(directory)
    found = licence_after(recipe_in(tmp_path, licence="Apache-2.0"), Start(start))
    assert found == f"Apache-2.0; not recorded ({start.model_id}); MIT"


def test_each_licence_is_named_once() -> None:
    assert joined("MIT", "Apache-2.0; MIT", "Apache-2.0") == "MIT; Apache-2.0"


def test_a_licence_that_is_no_name_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="licence is a name"):
        read_recipe(write_recipe(tmp_path, licence=["Apache-2.0"]))


@pytest.mark.parametrize(
    "name",
    [
        "metis_yard",
        "metis_yard_1.1",
        "metis_yard_1.2",
        "metis_town",
        "metis_town_1.0",
        "metis_town_1.1",
        "metis_town_1.2",
    ],
)
def test_the_bundled_weights_would_be_made_under_the_licence_of_the_project(name: str) -> None:
    assert read_recipe(CONFIGS / f"{name}.yaml").licence == "Apache-2.0"
