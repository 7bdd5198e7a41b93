"""Two processes train to what one does: the same losses, the same weights; each goes on from what the other saved."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from one_of_several import Followed, follow
from recipes import recipe_in
from safetensors.torch import load_file

from wam_models.training.recipe import read_recipe
from wam_models.training.scale import Processes

LORA = {"lora": {"rank": 2, "alpha": 4}, "checkpointing": True}
# A sum over processes adds in another order than a sum over threads.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def launch(jobs: Path, folder: Path) -> None:
    """Two processes that work on the same jobs, each with one thread."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("one_of_several.py")
    path = os.pathsep.join([str(script.parent), str(script.parents[1]), os.environ.get("PYTHONPATH", "")])
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = []
    for rank in range(2):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment = {**os.environ, **common, **own, "PYTHONPATH": path}
        with (folder / f"{rank}.log").open("w") as log:
            command = [sys.executable, str(script), str(jobs)]
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
    try:
        codes = [process.wait(timeout=400) for process in started]
    finally:
        for process in started:
            process.kill()
    assert codes == [0, 0], "".join((folder / f"{rank}.log").read_text() for rank in range(2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have trained: in `plain`, where they were stopped after two of four steps, which is in
    `halved`, and went on; and in `lora`."""
    folder = tmp_path_factory.mktemp("scale")
    jobs = []
    for name, steps, entries, stops in (("plain", 4, {}, (2, None)), ("lora", 2, LORA, (None,))):
        recipe_in(folder / name, steps, **entries)
        for stop in stops:
            jobs.append(
                {
                    "recipe": str(folder / name / "recipe.yaml"),
                    "figures": str(folder / f"{name}-{stop}.json"),
                    "stop_after": stop,
                    "keep": None if stop is None else str(folder / "halved"),
                }
            )
    (folder / "jobs.json").write_text(json.dumps(jobs))
    launch(folder / "jobs.json", folder)
    return folder


@pytest.fixture(scope="module")
def alone(trained: Path) -> tuple[Followed, dict[str, torch.Tensor]]:
    """One process that is never stopped, and its final weights."""
    recipe = replace(read_recipe(trained / "plain" / "recipe.yaml"), output=trained / "alone")
    return follow(recipe), load_file(trained / "alone" / "round0.safetensors")


def read(file: Path) -> Followed:
    return json.loads(file.read_text())


def same_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=RELATIVE, atol=ABSOLUTE, msg=lambda m, n=name: f"{n}: {m}")


def test_two_processes_have_the_losses_of_one(trained: Path, alone: tuple) -> None:
    stopped, whole = read(trained / "plain-2.json")["steps"], alone[0]["steps"]
    assert len(stopped) == 2 and len(whole) == 4
    for found, expected in zip(stopped, whole[:2], strict=True):
        assert found == pytest.approx(expected, rel=RELATIVE)


def test_each_of_two_processes_holds_about_half(trained: Path, alone: tuple) -> None:
    assert set(alone[0]["held"].values()) == {1.0}
    for name in ("plain-2", "lora-None"):
        held = read(trained / f"{name}.json")["held"]
        assert held.keys() == {"weights", "moments", "average"}
        assert all(0.45 < share < 0.6 for share in held.values()), held


def test_two_processes_go_on_where_they_were_stopped_to_the_weights_of_one(trained: Path, alone: tuple) -> None:
    assert len(read(trained / "plain-None.json")["steps"]) == 2  # steps 3 and 4
    same_weights(load_file(trained / "plain" / "train" / "round0.safetensors"), alone[1])


def test_one_process_goes_on_from_what_two_have_saved(trained: Path, alone: tuple) -> None:
    output = shutil.copytree(trained / "halved", trained / "one-more")
    recipe = replace(read_recipe(trained / "plain" / "recipe.yaml"), output=output)
    assert len(follow(recipe)["steps"]) == 2
    same_weights(load_file(output / "round0.safetensors"), alone[1])


def test_a_saved_state_holds_every_weight_and_moment_whole(trained: Path, alone: tuple) -> None:
    state = torch.load(trained / "halved" / "round0_state.pt", weights_only=True)
    assert state["model"].keys() == state["average"].keys() == alone[1].keys()
    shapes = [tensor.shape for tensor in alone[1].values()]
    for held in (state["model"], state["average"]):
        assert [held[name].shape for name in alone[1]] == shapes
    assert len(state["generators"]) == 2 and state["step"] == 2


def test_adapters_train_in_two_processes_as_in_one_without_checkpointing(trained: Path) -> None:
    recipe = read_recipe(trained / "lora" / "recipe.yaml")
    assert recipe.checkpointing
    expected = follow(replace(recipe, output=trained / "lora-alone", checkpointing=False))["steps"]
    for found, wanted in zip(read(trained / "lora-None.json")["steps"], expected, strict=True):
        assert found == pytest.approx(wanted, rel=RELATIVE)
    same_weights(*(load_file(trained / name / "round0.safetensors") for name in ("lora/train", "lora-alone")))


def test_shards_that_do_not_part_among_the_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes()
    assert list(processes.share(3)) == [0, 1, 2]
    processes.count = 2
    with pytest.raises(ValueError, match="3 shards do not part among 2 processes"):
        processes.share(3)
