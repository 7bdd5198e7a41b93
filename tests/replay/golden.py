"""What the bundled models make of the bags beside this file, and what is accepted of it.

    scripts/run python tests/replay/golden.py              # replays, and says how far it is from what is accepted
    scripts/run python tests/replay/golden.py --accept     # this is intended: write it down

The numbers hold for any processor: plans differ by less than TOLERANCE between them, see docs/decisions.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wam_controller.parameter_files import read_parameters
from wam_planner.bringup import config_file, find_model
from wam_planner.settings import PLANNER
from wam_tools.replay.job import Job, replay
from wam_tools.replay.metrics import metrics

HERE = Path(__file__).parent
TOLERANCE = 1e-4  # m and rad
# Folder of the bag -> the model and the robot whose parameters it is planned with.
CASES = {"yard": ("metis-yard", "go2"), "town": ("metis-town", "carla")}


def outcome_of(name: str) -> dict[str, Any]:
    """Of one case: every plan in base_link, and the numbers by which people judge it."""
    model, robot = CASES[name]
    settings = {each.name: each.default for each in PLANNER}
    settings |= read_parameters(config_file(f"{robot}.yaml"), "planner") | {"torch_threads": 1}
    found = replay(Job(HERE / name, name, {"model": find_model(model)}, settings))
    ride = found.models["model"]
    scores = metrics([found], {})["policies"]["model"]
    return {
        "model_id": ride.model_id,
        "behaviour": {
            **{key: scores[key] for key in ("plans", "scored", "not_planned", "refusals", "violations")},
            **{key: _rounded(scores[key]) for key in ("ade", "fde", "maoe", "heading")},
            "jump": {key: _rounded(value) for key, value in (scores["jump"] or {}).items()},
            "longest_without_plan": _longest_without_plan([outcome.stamp for outcome in ride.outcomes]),
        },
        "plans": [
            {
                "stamp": round(outcome.stamp, 6),
                "said": outcome.refusal or ",".join(outcome.violations),
                "poses": [] if outcome.poses is None else np.round(outcome.poses, 6).tolist(),
            }
            for outcome in ride.outcomes
        ],
    }


def differences(found: Mapping[str, Any], accepted: Mapping[str, Any]) -> list[str]:
    """What is not as it was accepted, a sentence each."""
    said = []
    if found["model_id"] != accepted["model_id"]:
        said.append(f"the model is {found['model_id']}, accepted is {accepted['model_id']}")
    stamps = [[plan["stamp"] for plan in each["plans"]] for each in (found, accepted)]
    if stamps[0] != stamps[1]:
        said.append(f"it plans from {len(stamps[0])} pictures, accepted are {len(stamps[1])}, or from others")
    for plan, before in zip(found["plans"], accepted["plans"]):
        if plan["said"] != before["said"] or len(plan["poses"]) != len(before["poses"]):
            said.append(f"at {plan['stamp']:.2f} s it says {plan['said']!r}, accepted is {before['said']!r}")
        elif not (off := _off(plan, before)) <= TOLERANCE:  # NaN is a difference
            said.append(f"at {plan['stamp']:.2f} s the plan is {off:.2g} m or rad off")
    now, then = _flat(found["behaviour"]), _flat(accepted["behaviour"])
    for key in sorted({*now, *then}):
        value, before = now.get(key), then.get(key)
        alike = (
            isinstance(value, float) and isinstance(before, float) and np.isclose(value, before, rtol=1e-3, atol=1e-3)
        )
        if value != before and not alike:
            said.append(f"{key} is {value}, accepted is {before}")
    return said


def accepted_of(name: str) -> dict[str, Any]:
    """As it was written down."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def main() -> None:
    """Exit status 1 when something differs and was not accepted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write down what is found")
    accept = parser.parse_args().accept
    changed = False
    for name in CASES:
        found = outcome_of(name)
        said = (
            differences(found, accepted_of(name)) if (HERE / f"{name}.json").exists() else ["nothing is accepted yet"]
        )
        for line in said or ["as accepted"]:
            print(f"{name}: {line}")
        changed = changed or bool(said)
        if accept:
            text = json.dumps({**found, "plans": []}, indent=1).replace('"plans": []', f'"plans": {_lines(found)}')
            (HERE / f"{name}.json").write_text(text + "\n")
    sys.exit(1 if changed and not accept else 0)


def _lines(found: Mapping[str, Any]) -> str:
    """A plan a line, so that a change can be read."""
    return "[\n  " + ",\n  ".join(json.dumps(plan) for plan in found["plans"]) + "\n ]"


def _off(plan: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    """Largest difference of two plans, m or rad."""
    if not plan["poses"]:
        return 0.0
    apart = np.array(plan["poses"]) - np.array(before["poses"])
    apart[:, 2] = (apart[:, 2] + np.pi) % (2 * np.pi) - np.pi
    return float(np.abs(apart).max())


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _longest_without_plan(stamps: list[float]) -> float:
    return round(float(np.diff(stamps).max()), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


if __name__ == "__main__":
    main()
