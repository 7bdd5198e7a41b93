"""A message says of every field what it means: unit, frame, and what absent looks like."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from architecture.tree import ROOT

from wam_controller.limits import LimitHit
from wam_controller.plan_freshness import Level
from wam_controller.safety_gate import GateState
from wam_sim.run_recorder import bag_types
from wam_tools.message_types import typestore

MESSAGES = sorted((ROOT / "src" / "wam_msgs" / "msg").glob("*.msg"))
LINE = re.compile(
    r"^(?P<type>[\w/]+(?:\[\w*\])?)\s+(?P<name>\w+)(?P<constant>\s*=\s*(?P<value>\S+))?"
    r"\s*(?:#\s*(?P<comment>.+))?$"
)
UNIT = re.compile(
    r"^(?:s|m|rad|m/s|rad/s|m/s\^2|rad/s\^2|m and unit quaternion|"
    r"no unit|unit|count|enum|ratio|bitmask|bit|index|stamp)\b"
)
FLOAT = re.compile(r"^(?:float(?:32|64)(?:\[\])?|geometry_msgs/(?:Twist|Accel))$")


def fields() -> list[tuple[str, re.Match[str]]]:
    found = []
    for path in MESSAGES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                match = LINE.match(line)
                assert match, f"{path.name}:{number} is no field: {line}"
                found.append((path.stem, match))
    return found


IDS = [f"{message}.{match['name']}" for message, match in fields()]


@pytest.mark.parametrize(("message", "field"), fields(), ids=IDS)
def test_every_field_says_what_it_means(message, field):
    assert field["comment"], "no comment"
    if not field["constant"]:
        assert UNIT.match(field["comment"]), f"starts with no unit: {field['comment']}"


@pytest.mark.parametrize(("message", "field"), fields(), ids=IDS)
def test_every_float_says_what_nan_means(message, field):
    if FLOAT.match(field["type"]):
        assert "NaN" in field["comment"]


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_message_opens_with_its_purpose(path):
    assert path.read_text().startswith("# ")


def test_cmake_builds_every_message():
    listed = re.findall(r"msg/(\w+)\.msg", (ROOT / "src" / "wam_msgs" / "CMakeLists.txt").read_text())
    assert listed == [path.stem for path in MESSAGES]


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_built_messages_are_these(path):
    """A workspace built before a message changed would fail in the middle of a run instead."""
    built = getattr(import_module("wam_msgs.msg"), path.stem)
    assert list(built.get_fields_and_field_types()) == [
        field["name"] for message, field in fields() if message == path.stem and not field["constant"]
    ]


def constants(message: str, prefix: str) -> dict[str, int]:
    """Those of a message as it is written, by their names without the prefix."""
    return {
        field["name"].removeprefix(prefix): int(field["value"])
        for found, field in fields()
        if found == message and field["constant"] and field["name"].startswith(prefix)
    }


@pytest.mark.parametrize(
    ("message", "prefix", "members"),
    [
        ("ControllerStatus", "LIMIT_", LimitHit),
        ("SafetyStatus", "LIMIT_", LimitHit),
        ("ControllerStatus", "LEVEL_", Level),
        ("SafetyStatus", "STATE_", GateState),
    ],
)
def test_what_the_code_says_as_a_number_means_the_same_in_its_message(message, prefix, members):
    said = {name: int(value) for name, value in members.__members__.items() if name != "NONE"}
    assert constants(message, prefix) == said
    built = getattr(import_module("wam_msgs.msg"), message)
    assert {name: getattr(built, prefix + name) for name in said} == said


@pytest.mark.parametrize("message", ["Trajectory", "TrajectoryPoint"])
def test_the_simulators_copy_of_a_message_is_the_message(message):
    """It records where no workspace is built; a player that took another make for ours would leave plans out."""
    kind = f"wam_msgs/msg/{message}"
    assert bag_types().hash_rihs01(kind) == typestore().hash_rihs01(kind)
