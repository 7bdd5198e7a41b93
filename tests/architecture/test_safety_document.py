"""docs/safety.md keeps its word, and the tables of the READMEs are those of the code."""

from __future__ import annotations

import re

import pytest
from architecture.tree import ROOT

from wam_carla.settings import BRIDGE as CARLA_BRIDGE
from wam_controller.parameters import Parameter
from wam_controller.settings import CONTROLLER, GATE
from wam_go2.settings import BRIDGE as GO2_BRIDGE
from wam_planner.bringup import TABLES, option_rows
from wam_planner.settings import PLANNER
from wam_sim.bag_player.settings import PLAYER
from wam_tools.recorder.settings import RECORDER

SAFETY = ROOT / "docs" / "safety.md"
LINK = re.compile(r"\[`(\w+)`\]\(([^)]+)\)")


def promises() -> list[str]:
    """The items of the lists, each with the tests it names."""
    text = SAFETY.read_text()
    return re.findall(r"^- .*?(?=^- |^\n|\Z)", text, flags=re.MULTILINE | re.DOTALL)


def test_the_document_opens_with_the_two_promises():
    opening = SAFETY.read_text().split("\n\n")[1]
    assert opening == "A human can stop the robot at any moment. No single failure keeps it moving."


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise[2:40])
def test_every_promise_names_tests_that_exist(promise: str):
    links = LINK.findall(promise)
    assert links, "a promise without a test"
    for name, path in links:
        file = (SAFETY.parent / path).resolve()
        assert re.search(rf"^(def {name}\(|{name} = )", file.read_text(), flags=re.MULTILINE), f"no {name} in {path}"


def test_there_are_promises_to_check():
    assert len(promises()) > 15


def value(default: object) -> str:
    return f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else "empty"


def parameter_table(table: tuple[Parameter, ...]) -> str:
    rows = ["| parameter | default | range | |", "|---|---|---|---|"]
    for each in table:
        between = "; " if any("," in choice for choice in each.choices) else ", "
        bounds = between.join(each.choices) or ("" if each.minimum is None else f"{each.minimum:g} to {each.maximum:g}")
        rows.append(f"| `{each.name}` | {value(each.default)} | {bounds} | {each.description} |")
    return "\n".join(rows)


def option_table(kind: type[object]) -> str:
    rows = ["| option | default | |", "|---|---|---|"]
    rows += [f"| `{name}` | {value(default)} | {text} |" for name, default, text in option_rows(kind)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("package", "marker", "table"),
    [
        ("wam_controller", "parameters: controller", parameter_table(CONTROLLER)),
        ("wam_controller", "parameters: gate", parameter_table(GATE)),
        ("wam_planner", "parameters: planner", parameter_table(PLANNER)),
        ("wam_go2", "parameters: bridge", parameter_table(GO2_BRIDGE)),
        ("wam_carla", "parameters: bridge", parameter_table(CARLA_BRIDGE)),
        ("wam_sim", "parameters: player", parameter_table(PLAYER)),
        ("wam_tools", "parameters: recorder", parameter_table(RECORDER)),
        *(("wam_planner", f"options: {name}", option_table(kind)) for name, (kind, _) in TABLES.items()),
    ],
)
def test_a_readme_shows_the_parameters_of_the_code(package: str, marker: str, table: str):
    """To renew a table, paste what this prints behind its marker."""
    readme = ROOT / "src" / package / "README.md"
    assert f"<!-- {marker} -->\n\n{table}\n" in readme.read_text(), table
