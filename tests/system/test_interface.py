"""The topics and services that the READMEs promise are the ones that the running nodes have, with that quality."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from system.graph import Graph, graph

ROOT = Path(__file__).parents[2]
TABLES = {
    "controller": ("wam_controller", "## controller_node"),
    "safety_gate": ("wam_controller", "## safety_gate_node"),
    "planner": ("wam_planner", "## planner_node"),
}


def rows() -> list[tuple[str, str, str, str, str]]:
    """Node, name, type, quality and use of every row."""
    found = []
    for node, (package, heading) in TABLES.items():
        section = (ROOT / "src" / package / "README.md").read_text().split(heading + "\n")[1].split("\n## ")[0]
        for name, kind, quality, use in re.findall(
            r"^\| `([\w/]+)` \| (\w+/\w+) \| (.*?) ?\| (.*?) \|$", section, re.M
        ):
            found.append((node, name.replace("NAME", "front"), kind, quality, use))
    return found


@pytest.fixture(scope="module")
def standing() -> Iterator[Graph]:
    with graph() as it:
        it.robot.wait_for(lambda: it.robot.controller is not None and it.robot.controller.plan_age < 0.5, "the graph")
        yield it


def test_there_are_rows_to_check():
    assert len(rows()) > 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]}")
def test_a_row_of_a_readme_is_true(standing: Graph, row: tuple[str, str, str, str, str]):
    node, name, kind, quality, use = row
    package, kind = kind.split("/")
    me = standing.robot.node
    if not quality:
        services = dict(me.get_service_names_and_types_by_node(node, "/"))
        assert services[f"/{name}"] == [f"{package}/srv/{kind}"]
        return
    ends = me.get_subscriptions_info_by_topic if use.startswith("in") else me.get_publishers_info_by_topic
    topic = f"/{name.lstrip('/')}"
    standing.robot.wait_for(lambda: any(end.node_name == node for end in ends(topic)), f"{node} on {topic}")
    (end,) = [end for end in ends(topic) if end.node_name == node]
    assert end.topic_type == f"{package}/msg/{kind}"
    reliable = end.qos_profile.reliability is QoSReliabilityPolicy.RELIABLE
    assert reliable == quality.startswith("reliable")
    latched = end.qos_profile.durability is QoSDurabilityPolicy.TRANSIENT_LOCAL
    assert latched == ("latched" in quality)
