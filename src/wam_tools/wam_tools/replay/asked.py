"""From what the user asked for to jobs: which bags, whose, which models, with which parameters of the planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wam_controller.parameter_files import read_parameters
from wam_controller.parameters import Value
from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.topics import robot_in
from wam_planner.bringup import config_file, find_model
from wam_planner.bringup.replay import MODELS
from wam_planner.settings import PLANNER

_BASELINES = {
    "go2": ("stop", "constant_velocity", "straight"),
    "carla": ("stop", "constant_velocity", "lane_blind"),
}


def told_apart(bags: Sequence[Path]) -> list[str]:
    """The shortest ends of their paths that differ; `bag`, as runs of the demo call theirs, says nothing alone. Raises
    ValueError when one is there twice."""
    parts = [bag.resolve().parts for bag in bags]
    for length in range(2 if any(each[-1] == "bag" for each in parts) else 1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError("a bag is named twice: name each of them once")


def robot_of(bags: Sequence[Path]) -> str:
    """Whose bags they are, as far as they can be opened. Raises ValueError when they are of several, and BagError,
    which is one, when none can."""
    found, failed = set(), list[BagError]()
    for path in bags:
        try:
            with BagReader(path) as bag:
                found.add(robot_in(bag.channels))
        except BagError as error:
            failed.append(error)
    if not found:
        raise failed[0]
    if len(found) > 1:
        raise ValueError("bags of a car and of a walking robot: replay those of one robot at a time")
    return found.pop()


def settings_of(robot: str, file: Path | None, options: Mapping[str, Value | None]) -> dict[str, Value]:
    """What the file says, default that of the robot, and above it the options that are given. Raises ValueError with
    the rule."""
    file = file or config_file(f"{robot}.yaml")
    given = {name: value for name, value in options.items() if value is not None}
    said = {**read_parameters(file, "planner"), **given}
    said.pop("use_sim_time", None)  # every node has it; a recording is its own clock
    unknown = sorted(said.keys() - {each.name for each in PLANNER})
    wrong = [f"unknown parameter {name}" for name in unknown]
    wrong += [each.violation(said[each.name]) for each in PLANNER if each.name in said]
    if any(wrong):
        raise ValueError(f"{file}: " + "; ".join(filter(None, wrong)))
    return {each.name: each.default for each in PLANNER} | said


def named_models(robot: str, models: Sequence[str]) -> dict[str, str]:
    """The models by short names that tell them apart; default the robot's own. Raises ValueError for what is none."""
    named: dict[str, str] = {}
    for model in models or (MODELS[robot],):
        short = model.removeprefix("baseline:") if model.startswith("baseline:") else Path(model).name
        number = sum(name.partition("#")[0] == short for name in named)
        named[f"{short}#{number + 1}" if number else short] = find_model(model)
    return named


def baselines_beside(robot: str, asked: Mapping[str, str]) -> dict[str, str]:
    """What every model is held against, by name, without those that were asked for."""
    return {name: f"baseline:{name}" for name in _BASELINES[robot] if name not in asked}
