"""The benchmark's arithmetic for drives: the leaderboard's worked examples, and what can be told by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.evaluation.town import (
    DriveOutcome,
    Ended,
    Infraction,
    InfractionKind,
    Verdict,
    bootstrap,
    driving_score,
    infraction_score,
    score,
    score_by_scenario,
)

PEDESTRIAN = Infraction(InfractionKind.COLLISION_PEDESTRIAN, 1.0, "walker-1")
VEHICLE = Infraction(InfractionKind.COLLISION_VEHICLE, 2.0, "car-3")
STATIC = Infraction(InfractionKind.COLLISION_STATIC, 3.0, "cone")
RED = Infraction(InfractionKind.RED_LIGHT, 4.0, "junction 100")


def outside(share: float) -> Infraction:
    return Infraction(InfractionKind.OUTSIDE_LANES, 5.0, share=share)


def outcome(completion: float = 1.0, *infractions: Infraction, **more: object) -> DriveOutcome:
    made: dict[str, object] = {
        "world": "town",
        "scenario": "empty",
        "split": "val",
        "route_length": 500.0,
        "completion": completion,
        "ended": Ended.COMPLETED if completion == 1.0 else Ended.TIMEOUT,
        "infractions": infractions,
        "seconds": 100.0,
        "wall_seconds": 50.0,
    }
    return DriveOutcome(**(made | more))  # type: ignore[arg-type]


# As leaderboard 1.0 scores them; 20 % outside the lanes costs what its stop sign does, of which the town has none.
EXAMPLES = [
    (outcome(1.0, VEHICLE, VEHICLE, RED), 25.2, 0.252),
    (outcome(0.4, outside(0.25), PEDESTRIAN), 15.0, 0.375),
    (outcome(0.8, STATIC, outside(0.2)), 41.6, 0.52),
    (outcome(0.0, ended=Ended.BLOCKED), 0.0, 1.0),
]


@pytest.mark.parametrize(("drive", "driving", "left"), EXAMPLES)
def test_drives_score_as_on_the_leaderboard(drive: DriveOutcome, driving: float, left: float) -> None:
    assert driving_score(drive) == pytest.approx(driving)
    assert infraction_score(drive) == pytest.approx(left)


def test_the_score_of_many_is_the_mean_of_theirs() -> None:
    scores = score([drive for drive, _, _ in EXAMPLES])
    assert scores.driving_score == pytest.approx(20.45)
    assert scores.route_completion == pytest.approx(55.0)
    assert scores.infraction_score == pytest.approx(0.53675)


@given(
    completion=st.floats(0.0, 1.0),
    infractions=st.lists(
        st.sampled_from([PEDESTRIAN, VEHICLE, STATIC, RED]) | st.floats(0.0, 1.0).map(outside), max_size=5
    ),
)
def test_an_infraction_never_helps(completion: float, infractions: list[Infraction]) -> None:
    scores = [driving_score(outcome(completion, *infractions[:count])) for count in range(len(infractions) + 1)]
    assert scores[0] == pytest.approx(100.0 * completion)
    assert all(0.0 <= after <= before for before, after in zip(scores, scores[1:]))


def test_scores_of_four_drives() -> None:
    drives = [
        outcome(plan_seconds=(0.02, 0.04), time_to_contact=2.5, lateral_acceleration=1.0, jerk=4.0),
        outcome(1.0, RED, seconds=140.0, comfort=0.5, ttc=0.9, time_to_contact=0.4),
        outcome(0.5, VEHICLE, VEHICLE, drivable_area=0.6),
        outcome(0.0, ended=Ended.BLOCKED, refusals=("ego_not_finite",), lateral_acceleration=3.0),
    ]
    scores = score(drives)
    assert scores.drives == 4 and scores.success == 0.25  # completed with a red light is none
    assert scores.success_ci == pytest.approx((0.0456, 0.6994), abs=1e-3)
    assert scores.ended == {"completed": 2, "timeout": 1, "blocked": 1, "off_route": 0}
    assert scores.infractions["collision_vehicle"] == {"count": 2, "per_km": pytest.approx(2 / 1.25)}
    assert scores.infractions["red_light"] == {"count": 1, "per_km": pytest.approx(1 / 1.25)}
    assert scores.infractions["collision_static"] == {"count": 0, "per_km": 0.0}
    assert scores.no_collision == 0.75
    assert (scores.drivable_area, scores.ttc, scores.comfort) == pytest.approx((0.9, 0.975, 0.875))
    assert scores.ttc_min_s == 0.4 and scores.progress is None
    assert (scores.lateral_acceleration, scores.jerk) == (1.0, 1.0)
    assert scores.seconds_mean == 120.0 and scores.realtime == pytest.approx(2.2)
    assert scores.plan_ms == pytest.approx({"p50": 30.0, "p99": 39.8}) and scores.refusals == 1


def test_what_is_written_is_json_whatever_happened() -> None:
    """Nobody arrived, nothing came near, nothing was driven: JSON knows neither inf nor nan."""
    written = score([outcome(0.0, RED, ended=Ended.OFF_ROUTE, time_to_contact=math.inf)]).to_dict()
    assert {"route_completion", "driving_score", "infractions"} <= written.keys()
    read = json.loads(json.dumps(written, allow_nan=False))
    assert read["infractions"]["red_light"] == {"count": 1, "per_km": None}
    assert read["ttc_min_s"] is None and read["seconds_mean"] is None and read["plan_ms"] is None


def test_scenarios_are_scored_apart() -> None:
    drives = [
        outcome(scenario="jaywalker"),
        outcome(0.5, PEDESTRIAN, scenario="empty"),
        outcome(0.5, scenario="jaywalker"),
    ]
    apart = score_by_scenario(drives)
    assert list(apart) == ["jaywalker", "empty"]
    assert apart["jaywalker"].driving_score == 75.0 and apart["empty"].driving_score == 25.0
    assert apart["jaywalker"] == score([drives[0], drives[2]])


@pytest.mark.parametrize(
    ("completion", "seconds", "progress"),
    [(1.0, 80.0, 1.0), (1.0, 60.0, 1.0), (1.0, 160.0, 0.5), (0.3, 10.0, 0.3), (0.6, 240.0, 0.2)],
)
def test_progress_is_beside_the_expert_s(completion: float, seconds: float, progress: float) -> None:
    expert = [outcome(world="other", seconds=1.0), outcome(seconds=80.0)]
    assert score([outcome(completion, seconds=seconds)], expert).progress == pytest.approx(progress)


def test_progress_without_the_expert_s_drive_is_refused() -> None:
    with pytest.raises(ValueError, match="did not drive town empty"):
        score([outcome()], [outcome(scenario="jaywalker")])


def test_an_interval_holds_the_mean_and_narrows_with_drives() -> None:
    rng = np.random.default_rng(1)
    few, many = rng.uniform(0.0, 100.0, 20), rng.uniform(0.0, 100.0, 500)
    assert bootstrap(few) == bootstrap(few)
    assert bootstrap(few)[0] < few.mean() < bootstrap(few)[1]
    # Of the mean of n values, 1.96 standard deviations / sqrt(n) to either side.
    half = 1.96 * many.std() / math.sqrt(500)
    assert bootstrap(many) == pytest.approx((many.mean() - half, many.mean() + half), abs=0.3)
    assert bootstrap(np.array([42.0])) == (42.0, 42.0)


def test_no_drive_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score([])


def test_shares_are_shares() -> None:
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 25"):
        outside(25.0)
    with pytest.raises(ValueError, match="completion must be"):
        Verdict(100.0, 40.0, Ended.TIMEOUT, (), 10.0)
