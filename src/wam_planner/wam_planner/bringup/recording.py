"""The node that records a run, for the tables of every robot."""

from __future__ import annotations

from collections.abc import Mapping

from wam_planner.bringup.rows import Row, Value

RECORD = "record a bag into the folder bags/, as `wam record` does"  # the option's description


def recorder_row(
    robot: str,
    remaps: Mapping[str, str],
    parameters: Mapping[str, Value],
    simulated_time: bool = False,
) -> Row:
    """robot: a key of TABLES; remaps: topic of the recorder -> what this robot calls it; parameters: see
    src/wam_tools/README.md; simulated_time: whether stamps are those of a simulator's clock."""
    given: dict[str, Value] = {"robot": robot, "bridge": f"{robot}_bridge", "use_sim_time": simulated_time}
    return Row("wam_tools", "recorder_node", "recorder", parameters={**given, **parameters}, remaps=remaps)
