"""The nodes that plan and steer, with a bag in the place of the robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wam_models.data.bag_reader import BagReader, Channel
from wam_models.data.topics import Topics, guess_topics, read_topics, robot_in
from wam_planner.bringup.carla import CarlaOptions
from wam_planner.bringup.go2 import Go2Options
from wam_planner.bringup.rows import Row, Value, find_model, option

MODELS = {"go2": Go2Options.model, "carla": CarlaOptions.model}


@dataclass(frozen=True)
class ReplayOptions:
    """What a user may choose about a replay; the launch arguments and the flags of `wam up replay` are made from it."""

    bag: str = option("", "rosbag2 folder, or an .mcap or .db3 file; there is no default")
    robot: str = option("auto", "whose parameters: go2 or carla; auto: as the bag's topics are called")
    model: str = option("", "a bundled model, a checkpoint directory, or a baseline; empty: the one of that robot")
    instruction: str = option("", "what the robot is told, whatever the bag says; empty: what it was told then")
    goal: str = option("", "x,y in m from where the robot is at the start; empty: the goal of then")
    topics: str = option("", "YAML that names the bag's topics; empty: guessed by type and name")
    cameras: str = option("front", "front, or front,left,right for a model of three cameras")
    rate: float = option(1.0, "seconds of the recording in a second, from 0.1 to 5")
    start: float = option(0.0, "s after the bag's first message")
    loop: bool = option(False, "begin again at the end, instead of ending")


def replay_table(options: ReplayOptions) -> tuple[Row, ...]:
    """The rows for these options, in the order they start: the bag, then what stops a robot, then what moves it.

    No bridge is among them, and nobody says replay/robot_ready: the gate can never be engaged, and no robot is driven.
    Raises ValueError when the bag cannot be read, lacks what is played, or with the rule that the options break."""
    channels, topics = _look_into(options)
    if options.robot not in ("auto", *MODELS):
        raise ValueError(f"robot is {options.robot!r}: choose one of auto, {', '.join(MODELS)}")
    robot = robot_in(channels) if options.robot == "auto" else options.robot
    said = [name for name in ("instruction", "goal") if getattr(options, name)]
    simulated: dict[str, Value] = {"use_sim_time": True}
    played: dict[str, Value] = {
        **simulated,
        "bag": str(Path(options.bag).absolute()),
        "topics": str(Path(options.topics).absolute()) if options.topics else "",
        "cameras": options.cameras,
        "rate": options.rate,
        "start": options.start,
        "loop": options.loop,
        "without": "both" if len(said) > 1 else (said or ["none"])[0],
    }
    planned: dict[str, Value] = {
        **simulated,
        "model": find_model(options.model or MODELS[robot]),
        "instruction": options.instruction,
        "goal": options.goal,
        "image_transport": _transport(options.bag, topics, {each.topic: each.kind for each in channels}),
    }
    files = (f"{robot}.yaml",)
    # Should a robot be on the same network after all: its word is not heard here, and nothing of this reaches it.
    apart = {name: f"replay/{name}" for name in ("robot_ready", "cmd_vel", "safety_gate/engage")}
    return (
        Row("wam_sim", "bag_player_node", "bag_player", parameters=played, respawn=False),
        Row(
            "wam_controller",
            "safety_gate_node",
            "safety_gate",
            parameter_files=files,
            parameters=simulated,
            remaps=apart,
        ),
        Row("wam_controller", "controller_node", "controller", parameter_files=files, parameters=simulated),
        Row("wam_planner", "planner_node", "planner", parameter_files=files, parameters=planned),
    )


def _look_into(options: ReplayOptions) -> tuple[Sequence[Channel], Topics]:
    """What the bag has, and what is played of it."""
    if not options.bag:
        raise ValueError("bag is empty: name a recording, bag:=PATH for launch or --bag PATH for wam up replay")
    with BagReader(Path(options.bag)) as bag:
        channels = bag.channels
    if options.topics:
        return channels, read_topics(Path(options.topics), channels)
    return channels, guess_topics(channels, options.cameras.split(","))


def _transport(bag: str, topics: Topics, kinds: Mapping[str, str]) -> str:
    """compressed or raw: the planner takes one kind of picture."""
    found = {kinds[topic].endswith("CompressedImage") for topic in topics.cameras.values()}
    if len(found) > 1:
        pictures = ", ".join(topics.cameras.values())
        raise ValueError(
            f"{bag} has raw and compressed pictures ({pictures}): name topics of one kind in a YAML, see topics"
        )
    return "compressed" if found.pop() else "raw"
