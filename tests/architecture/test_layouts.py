"""The layouts for Foxglove and RViz show topics that exist, in ways that their messages can be shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from architecture.tree import ROOT
from rosbags.interfaces import Nodetype

from wam_tools.message_types import typestore

FOXGLOVE = json.loads((ROOT / "config" / "layouts" / "foxglove.json").read_text())
RVIZ = yaml.safe_load((ROOT / "config" / "layouts" / "wam.rviz").read_text())
# What each kind of RViz display takes.
DISPLAYS = {
    "rviz_default_plugins/Image": {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"},
    "rviz_default_plugins/Odometry": {"nav_msgs/msg/Odometry"},
    "rviz_default_plugins/Path": {"nav_msgs/msg/Path"},
}
# What Foxglove's 3D panel can draw of what this stack says.
DRAWN = {"nav_msgs/msg/Path", "nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped"}


def published() -> dict[str, tuple[str, str]]:
    """Topic -> type and quality of service, by the tables of the READMEs and by what `wam replay` writes."""
    found = {}
    for package in ("wam_controller", "wam_go2", "wam_planner", "wam_sim"):
        text = (ROOT / "src" / package / "README.md").read_text()
        for name, of, kind, quality in re.findall(r"^\| `([\w/]+)` \| (\w+_msgs)/(\w+) \| (.*?) \|", text, re.M):
            found[f"/{name.replace('NAME', 'front').lstrip('/')}"] = f"{of}/msg/{kind}", quality
    models = [path.name.replace("-", "_") for path in (ROOT / "models" / "bundled").iterdir() if path.is_dir()]
    for topic in ("driven_path", *(f"{model}/planned_path" for model in models)):
        found[f"/replay/{topic}"] = "nav_msgs/msg/Path", "reliable"
    return found


TOPICS = published()


def panels(kind: str) -> Iterator[dict[str, Any]]:
    """The configurations of Foxglove's panels of one kind."""
    found = [config for name, config in FOXGLOVE["configById"].items() if name.startswith(f"{kind}!")]
    assert found, f"no panel of kind {kind}"
    yield from found


def displays() -> list[dict[str, Any]]:
    return [each for each in RVIZ["Visualization Manager"]["Displays"] if "Topic" in each]


def leaves(node: Any) -> list[str]:
    """Names of the panels in a part of Foxglove's layout."""
    return [node] if isinstance(node, str) else leaves(node["first"]) + leaves(node["second"])


def test_there_is_something_to_compare_with():
    assert {"/planned_path", "/recorded/planned_path", "/replay/metis_yard/planned_path", "/odom"} <= TOPICS.keys()


def test_every_panel_of_foxglove_is_shown_once():
    assert sorted(leaves(FOXGLOVE["layout"])) == sorted(FOXGLOVE["configById"])


def test_foxglove_shows_the_pictures_with_their_calibration():
    for panel in panels("Image"):
        image = panel["imageMode"]
        assert TOPICS[image["imageTopic"]][0] == "sensor_msgs/msg/CompressedImage"
        assert TOPICS[image["calibrationTopic"]][0] == "sensor_msgs/msg/CameraInfo"


def test_foxglove_draws_what_can_be_drawn():
    for panel in panels("3D"):
        for topic in panel["topics"]:
            assert TOPICS[topic][0] in DRAWN, topic


def test_foxglove_lists_the_health_of_the_nodes():
    for panel in panels("DiagnosticSummary"):
        assert TOPICS[panel["topicToRender"]][0] == "diagnostic_msgs/msg/DiagnosticArray"


@pytest.mark.parametrize("value", [path["value"] for panel in panels("Plot") for path in panel["paths"]])
def test_foxglove_plots_numbers_that_a_message_has(value):
    topic, *names = value.split(".")
    types = typestore()
    kind = TOPICS[topic][0]
    assert "header" in dict(types.fielddefs[kind][1]), "it is plotted by its stamp"
    for name in names:
        of, what = dict(types.fielddefs[kind][1])[name]
        kind = str(what if of is Nodetype.NAME else what[0])
    assert kind in ("float32", "float64")


@pytest.mark.parametrize("display", displays(), ids=lambda display: display["Name"])
def test_rviz_shows_topics_of_the_right_type_and_quality(display):
    kind, quality = TOPICS[display["Topic"]["Value"]]
    assert kind in DISPLAYS[display["Class"]]
    wanted = "Best Effort" if quality.startswith("best effort") else "Reliable"
    assert display["Topic"]["Reliability Policy"] == wanted, "a reliable subscriber never hears a best-effort publisher"


def test_rviz_sets_the_goal_that_the_planner_hears():
    (tool,) = [each for each in RVIZ["Visualization Manager"]["Tools"] if "Topic" in each]
    assert TOPICS[tool["Topic"]["Value"]] == ("geometry_msgs/msg/PoseStamped", "reliable, latched, depth 1")
    assert tool["Topic"]["Durability Policy"] == "Transient Local"


def test_both_stand_in_the_frame_of_odometry():
    assert RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"] == "odom"
    assert all(panel["followTf"] == "odom" for panel in panels("3D"))
