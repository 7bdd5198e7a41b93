"""docs/safety.md keeps its word, and the tables of the READMEs are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from architecture.tree import ROOT

from wam_controller.parameters import Parameter
from wam_controller.settings import CONTROLLER, GATE
from wam_planner.bringup import Go2Options, option_rows
from wam_planner.settings import PLANNER
from wam_tools.recorder.settings import RECORDER

SAFETY = ROOT / "docs" / "safety.md"
CONTROLLER_README = ROOT / "src" / "wam_controller" / "README.md"
PLANNER_README = ROOT / "src" / "wam_planner" / "README.md"
TOOLS_README = ROOT / "src" / "wam_tools" / "README.md"
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
        bounds = ", ".join(each.choices) or ("" if each.minimum is None else f"{each.minimum:g} to {each.maximum:g}")
        rows.append(f"| `{each.name}` | {value(each.default)} | {bounds} | {each.description} |")
    return "\n".join(rows)


def option_table() -> str:
    rows = ["| option | default | |", "|---|---|---|"]
    rows += [f"| `{name}` | {value(default)} | {text} |" for name, default, text in option_rows(Go2Options)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("readme", "marker", "table"),
    [
        (CONTROLLER_README, "parameters: controller", parameter_table(CONTROLLER)),
        (CONTROLLER_README, "parameters: gate", parameter_table(GATE)),
        (PLANNER_README, "parameters: planner", parameter_table(PLANNER)),
        (PLANNER_README, "options: go2", option_table()),
        (TOOLS_README, "parameters: recorder", parameter_table(RECORDER)),
    ],
    ids=["controller", "gate", "planner", "options", "recorder"],
)
def test_a_readme_shows_the_parameters_of_the_code(readme: Path, marker: str, table: str):
    """To renew a table, paste what this prints behind its marker."""
    assert f"<!-- {marker} -->\n\n{table}\n" in readme.read_text(), table
