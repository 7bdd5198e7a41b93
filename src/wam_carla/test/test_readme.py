"""The README's table of parameters is that of the code."""

from __future__ import annotations

from pathlib import Path

from wam_carla.settings import BRIDGE
from wam_controller.parameters import Parameter

README = Path(__file__).parents[1] / "README.md"


def row(parameter: Parameter) -> str:
    default = parameter.default
    shown = f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else "empty"
    low, high = parameter.minimum, parameter.maximum
    bounds = "; ".join(parameter.choices) or ("" if low is None or high is None else f"{low:g} to {high:g}")
    return f"| `{parameter.name}` | {shown} | {bounds} | {parameter.description} |"


def test_the_table_of_parameters_is_that_of_the_code():
    """To renew it, paste what this prints."""
    table = "\n".join(map(row, BRIDGE))
    assert f"|---|---|---|---|\n{table}\n\n" in README.read_text(), table
