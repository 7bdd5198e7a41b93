"""Runs to a LeRobotDataset v3.0 folder and back: nothing is lost but what a video loses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from bags import write_bag
from nano import nano_config

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import Run, read_run
from wam_models.data.lerobot import layout
from wam_models.data.lerobot.grid import on_grid, rate
from wam_models.data.lerobot.reader import read_lerobot
from wam_models.data.lerobot.stats import PictureStats, column_stats
from wam_models.data.lerobot.writer import Exported, LeRobotWriter
from wam_models.data.store import open_store, run_folders
from wam_models.data.windows import make_windows
from wam_models.se2 import compose

FPS = 4  # write_bag's own


def recorded(tmp_path: Path, name: str = "bag", **bag: object) -> Run:
    write_bag(tmp_path / name, **bag)  # type: ignore[arg-type]
    return read_run(tmp_path / name)


def export(folder: Path, *runs: Run, fps: int = FPS, **options: float) -> list[Exported]:
    with LeRobotWriter(folder, fps, **options) as writer:
        for run in runs:
            writer.add(run, run.name)
    return writer.exported


def only(run: Run, pictures: list[int]) -> Run:
    """The run as if no other picture had been recorded."""
    return replace(
        run,
        jpegs=[run.jpegs[i] for i in pictures],
        stamps=run.stamps[pictures],
        poses=run.poses[pictures],
        twists=run.twists[pictures],
        instructions=tuple(run.instructions[i] for i in pictures),
    )


def painted(run: Run, height: int = 72, width: int = 108) -> Run:
    """With pictures as cameras make them, smooth, each with a disc at another place."""
    jpegs = []
    for i in range(len(run.jpegs)):
        down, across = np.mgrid[0:height, 0:width] / max(height, width)
        picture = np.stack([60 + 120 * down, 180 - 90 * across, 90 + 70 * down * across], axis=-1).astype(np.uint8)
        cv2.circle(picture, (10 + 3 * i, height // 2), 9, (20, 40, 220), -1)
        jpegs.append(cv2.imencode(".jpg", picture)[1].tobytes())
    return replace(run, jpegs=jpegs)


def table(folder: Path) -> dict[str, np.ndarray]:
    found = pq.read_table(folder / layout.DATA_PATH.format(chunk_index=0, file_index=0))
    return {name: np.array(found.column(name).to_pylist()) for name in found.column_names}


def assert_same(back: Run, run: Run) -> None:
    assert back.stamps == pytest.approx(run.stamps - run.stamps[0], abs=1e-9)
    assert back.poses == pytest.approx(run.poses, abs=1e-12)
    assert back.twists == pytest.approx(run.twists, abs=1e-6)
    assert back.instructions == run.instructions
    assert back.goal == (None if run.goal is None else pytest.approx(run.goal, abs=1e-5))


def test_a_bag_comes_back_and_gives_the_same_windows(tmp_path: Path) -> None:
    run = recorded(tmp_path, told={0: "walk to the goal", 10: "turn left", 15: "walk to the goal"}, stamp_offset=1e9)
    (done,) = export(tmp_path / "set", run)
    assert (done.frames, done.pictures, done.dropped, done.repeated, done.start) == (24, 24, 0, 0, 1e9)
    assert done.instructions == ("walk to the goal", "turn left")
    (back,) = read_lerobot(tmp_path / "set")
    assert_same(back, run)
    ours, theirs = (make_windows(each, nano_config(), use_acceleration=True) for each in (run, back))
    for each in fields(ours):
        one, other = getattr(ours, each.name), getattr(theirs, each.name)
        if one.dtype.kind == "f":
            assert other == pytest.approx(one, abs=1e-5), each.name
        else:
            assert np.array_equal(one, other), each.name


def test_pictures_come_back_within_a_grey_level_or_two(tmp_path: Path) -> None:
    run = painted(recorded(tmp_path))
    export(tmp_path / "set", run)
    (back,) = read_lerobot(tmp_path / "set")
    for i in range(24):
        gap = np.abs(back.frame(i).astype(float) - run.frame(i))
        assert gap.mean() < 1.5
        assert np.abs(back.frame(i).astype(float) - run.frame((i + 1) % 24)).mean() > gap.mean()  # not its neighbour


def test_actions_lead_from_pose_to_pose_and_the_last_goes_on(tmp_path: Path) -> None:
    run = recorded(tmp_path, frames=100, yaw_rate=1.0)  # turns by more than a full circle
    export(tmp_path / "set", run)
    columns = table(tmp_path / "set")
    pose = tuple(run.poses[0].tolist())
    for i, action in enumerate(columns["action"].tolist()):
        assert pose[:2] == pytest.approx(run.poses[i, :2], abs=1e-5)
        assert np.cos(pose[2] - run.poses[i, 2]) == pytest.approx(1.0, abs=1e-9)
        assert columns["observation.state"][i, 2] == pytest.approx(pose[2], abs=1e-5)
        pose = compose(pose, tuple(action))
    assert columns["action"][-1, 2] == pytest.approx(1.0 / FPS)
    assert np.abs(columns["observation.state"][:, 2]).max() <= np.pi and columns["pose"][-1, 2] > 2 * np.pi


def test_goals_are_seen_from_the_robot_and_none_is_zeros(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    export(tmp_path / "set", run, replace(run, goal=None))
    first, second = np.split(table(tmp_path / "set")["observation.goal"], 2)
    assert first[0] == pytest.approx([6.0, 0.0, 1.0])
    assert compose(tuple(run.poses[-1].tolist()), (first[-1, 0], first[-1, 1], 0.0))[:2] == pytest.approx(
        (6.0, 0.0), abs=1e-6
    )
    assert not second.any()
    assert read_lerobot(tmp_path / "set")[1].goal is None


@pytest.mark.parametrize("megabytes", [0.0, 200.0], ids=["a file each", "one file"])
def test_several_bags_are_episodes_of_one_dataset(tmp_path: Path, megabytes: float) -> None:
    runs = [
        recorded(tmp_path, "a", frames=12, seed=1),
        recorded(tmp_path, "b", frames=20, seed=2, told={0: "turn right"}),
        recorded(tmp_path, "c", frames=8, seed=3, speed=0.2),
    ]
    runs = [painted(run) for run in runs]
    export(tmp_path / "set", *runs, megabytes=megabytes)
    assert len(list((tmp_path / "set").rglob("*.mp4"))) == (1 if megabytes else 3)
    info = json.loads((tmp_path / "set" / layout.INFO).read_text())
    assert [info[f"total_{what}"] for what in ("episodes", "frames", "tasks")] == [3, 40, 2]
    for back, run in zip(read_lerobot(tmp_path / "set"), runs, strict=True):
        assert_same(back, run)
        for i in (0, len(run.jpegs) - 1):
            assert np.abs(back.frame(i).astype(float) - run.frame(i)).mean() < 1.5


def test_pictures_that_come_too_late_or_too_often_are_repeated_and_dropped(tmp_path: Path) -> None:
    every = painted(recorded(tmp_path))
    shown = [0, 1, 2, 6, 7, 12, 13, 20]  # of frames 0 to 20
    (done,) = export(tmp_path / "slow", only(every, shown))
    assert (done.frames, done.pictures, done.dropped, done.repeated) == (21, 8, 0, 13)
    assert table(tmp_path / "slow")["stamp"].tolist() == [0.25 * max(i for i in shown if i <= k) for k in range(21)]
    (back,) = read_lerobot(tmp_path / "slow")
    assert_same(back, only(every, shown))
    assert np.abs(back.frame(3).astype(float) - every.frame(6)).mean() < 1.5

    (done,) = export(tmp_path / "fast", every, fps=2)
    assert (done.frames, done.pictures, done.dropped, done.repeated) == (13, 24, 11, 0)
    assert_same(read_lerobot(tmp_path / "fast")[0], only(every, [*range(0, 24, 2), 23]))


def test_jitter_of_less_than_half_a_frame_drops_and_repeats_nothing(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    shaken = replace(
        run, stamps=run.stamps + np.random.default_rng(0).uniform(0.0, 0.12, 24) * np.arange(24).clip(0, 1)
    )
    episode = on_grid(shaken, FPS)
    assert episode.pictures.tolist() == list(range(24))
    assert episode.columns["stamp"] == pytest.approx(shaken.stamps)


def test_a_long_gap_is_not_filled_with_one_picture(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    later = np.arange(24) > 7
    assert len(on_grid(replace(run, stamps=run.stamps + 9.0 * later), FPS).pictures) == 24 + 36
    with pytest.raises(BagError, match=r"no picture for 10 s from 1\.8 s on: `wam bag cut` it there"):
        on_grid(replace(run, stamps=run.stamps + 9.9 * later), FPS)


def test_the_rate_is_that_of_most_intervals(tmp_path: Path) -> None:
    assert rate(np.array([0.033, 0.034, 0.033, 5.0, 0.0, 0.033])) == 30
    assert rate(np.array([4.0])) == 1 and rate(np.zeros(0)) == 1


def test_an_odd_row_and_column_are_cut_off(tmp_path: Path) -> None:
    run = painted(recorded(tmp_path), height=73, width=109)
    export(tmp_path / "set", run)
    info = json.loads((tmp_path / "set" / layout.INFO).read_text())
    assert info["features"][layout.PICTURE]["shape"] == [72, 108, 3]
    (back,) = read_lerobot(tmp_path / "set")
    assert np.abs(back.frame(20).astype(float) - run.frame(20)[:72, :108]).mean() < 1.5


def test_a_bag_that_cannot_be_exported_costs_only_itself(tmp_path: Path) -> None:
    broken = recorded(tmp_path, "broken", broken_at=5)
    good, larger = painted(recorded(tmp_path, "good", frames=9)), painted(recorded(tmp_path, "larger"), 144, 216)
    with LeRobotWriter(tmp_path / "set", FPS) as writer:
        with pytest.raises(BagError, match="broken: frame 5"):
            writer.add(broken, "broken")  # its size binds nobody
        writer.add(larger, "larger")
        with pytest.raises(BagError, match="good: pictures of 108x72, the dataset's are 216x144"):
            writer.add(good, "good")
        with pytest.raises(BagError, match="frame 3"):
            writer.add(replace(larger, jpegs=[*larger.jpegs[:3], b"", *larger.jpegs[4:]]), "cut")
        writer.add(only(larger, list(range(5, 24))), "after")
    assert [each.bag for each in writer.exported] == ["larger", "after"]
    first, second = read_lerobot(tmp_path / "set")
    assert (len(first.jpegs), len(second.jpegs)) == (24, 19)
    assert np.abs(second.frame(0).astype(float) - larger.frame(5)).mean() < 1.5


def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    run = recorded(tmp_path, frames=4)
    with pytest.raises(KeyboardInterrupt), LeRobotWriter(tmp_path / "set", FPS) as writer:
        writer.add(run, "bag")
        raise KeyboardInterrupt
    with pytest.raises(BagError, match="nothing to export"):
        export(tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]
    export(tmp_path / "set", run)
    with pytest.raises(BagError, match="exists: remove it"):
        export(tmp_path / "set", run)
    assert len(read_lerobot(tmp_path / "set")) == 1


def test_the_tables_are_what_lerobot_looks_for(tmp_path: Path) -> None:
    run = recorded(tmp_path, told={0: "walk", 12: "turn left"})
    export(tmp_path / "set", run, only(run, list(range(8))))
    info = json.loads((tmp_path / "set" / layout.INFO).read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == FPS and info["splits"] == {"train": "0:2"}
    data = pq.read_schema(tmp_path / "set" / "data/chunk-000/file-000.parquet")
    assert set(data.names) == info["features"].keys() - {layout.PICTURE}
    for name in data.names:
        feature, kind = info["features"][name], data.field(name).type
        (size,) = feature["shape"]
        parts = kind.list_size if size > 1 else 1
        kinds = {"float": "float32", "double": "float64", "int64": "int64"}
        assert (parts, kinds[str(kind.value_type if size > 1 else kind)]) == (size, feature["dtype"]), name
    tasks = pq.read_table(tmp_path / "set" / "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1], "task": ["walk", "turn left"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    rows = pq.read_table(tmp_path / "set" / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"], row["length"]) for row in rows] == [
        (0, 24, 24),
        (24, 32, 8),
    ]
    assert [row["tasks"] for row in rows] == [["walk", "turn left"], ["walk"]]
    video = f"videos/{layout.PICTURE}/"
    assert [(row[f"{video}from_timestamp"], row[f"{video}to_timestamp"]) for row in rows] == [(0.0, 6.0), (6.0, 8.0)]
    stats = json.loads((tmp_path / "set" / layout.STATS).read_text())
    assert stats.keys() == info["features"].keys()
    columns = table(tmp_path / "set")
    assert columns["index"].tolist() == list(range(32)) and columns["task_index"].tolist() == 12 * [0] + 12 * [
        1
    ] + 8 * [0]
    assert columns["timestamp"] == pytest.approx(columns["frame_index"] / FPS)
    for name, each in stats.items():
        assert np.shape(each["mean"]) == (
            (3, 1, 1) if name == layout.PICTURE else tuple(info["features"][name]["shape"])
        )
        assert each["count"] == [32] and rows[1][f"stats/{name}/count"] == [8]
    assert rows[1]["stats/action/q90"] == pytest.approx(np.quantile(columns["action"][24:], 0.9, axis=0))


def test_statistics_are_those_of_the_numbers_and_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    found = column_stats(rows)
    assert found["std"] == pytest.approx(rows.std(axis=0)) and found["q10"] == pytest.approx(
        np.quantile(rows, 0.1, axis=0)
    )
    pictures = rng.integers(7, 200, (6, 40, 60, 3), dtype=np.uint8)
    counter = PictureStats()
    for picture in pictures:
        counter.add(picture)
    seen = pictures[:, ::4, ::4].reshape(-1, 3) / 255.0
    for name, wanted in (
        ("mean", seen.mean(axis=0)),
        ("std", seen.std(axis=0)),
        ("min", seen.min(axis=0)),
        ("max", seen.max(axis=0)),
        ("q50", np.median(seen, axis=0)),
    ):
        assert np.ravel(counter.stats()[name]) == pytest.approx(wanted, abs=1 / 255), name


def test_training_takes_a_dataset_where_it_takes_bags(tmp_path: Path) -> None:
    runs = [painted(recorded(tmp_path / "bags", name, told={0: name})) for name in ("a", "b")]
    export(tmp_path / "sets" / "set", *runs)
    (tmp_path / "sets" / "cut.partial").mkdir()
    stores = [
        open_store(run_folders(tmp_path / name), tmp_path / "cache", nano_config(), False) for name in ("bags", "sets")
    ]
    bags, sets = stores
    assert sets.windows.states == pytest.approx(bags.windows.states, abs=1e-5)
    assert sets.windows.actions == pytest.approx(bags.windows.actions, abs=1e-5)
    assert np.array_equal(sets.windows.context, bags.windows.context)
    assert sets.windows.instructions.tolist() == bags.windows.instructions.tolist()
    assert np.unique(sets.frame_run).tolist() == [0, 1]
    assert sets.held_out(0.5).sum() == len(sets) // 2
    (tmp_path / "sets" / "set" / layout.TASKS).unlink()
    with pytest.raises(BagError, match=r"no bag could be used: .*tasks\.parquet is missing"):
        open_store(run_folders(tmp_path / "sets"), tmp_path / "other", nano_config(), False)
    both = run_folders(tmp_path)
    assert [path.name for path in both] == ["a", "b", "set"]
    with pytest.raises(BagError, match="no bag"):
        run_folders(tmp_path / "cache")


def _without(feature: str) -> Callable[[dict], object]:
    return lambda info: info["features"].pop(feature)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda info: info.update(codebase_version="v2.1"), "LeRobotDataset v2.1, v3.0 is needed"),
        (_without("pose"), "lacks pose: name its features"),
        (_without(layout.PICTURE), "lacks observation.images.front as video"),
        (lambda info: info["features"][layout.PICTURE].update(dtype="image"), "observation.images.front as video"),
        (lambda info: info["features"][layout.STATE].update(names=["shoulder"]), "observation.state of x, y, yaw"),
        (lambda info: info.pop("fps"), "info.json is damaged"),
    ],
    ids=["version", "feature", "camera", "no video", "names", "damaged"],
)
def test_a_foreign_dataset_is_refused_with_what_it_lacks(
    tmp_path: Path, change: Callable[[dict], object], says: str
) -> None:
    export(tmp_path / "set", recorded(tmp_path, frames=4))
    path = tmp_path / "set" / layout.INFO
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
    with pytest.raises(BagError, match=says):
        read_lerobot(tmp_path / "set")


@pytest.mark.parametrize("pattern", ["info.json", "tasks.parquet", "meta/episodes/*/*", "data/*/*", "videos/*/*/*"])
@pytest.mark.parametrize("cut", [False, True], ids=["missing", "cut off"])
def test_a_broken_dataset_is_refused_with_the_file(tmp_path: Path, pattern: str, cut: bool) -> None:
    export(tmp_path / "set", recorded(tmp_path, frames=8))
    (path,) = [each for each in (tmp_path / "set").rglob(pattern) if each.is_file()]
    if cut:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    with pytest.raises(BagError, match=f"{path.stem}|{layout.INFO}|{layout.EPISODES} holds no table"):
        read_lerobot(tmp_path / "set")


def test_a_table_of_another_export_does_not_fit(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    export(tmp_path / "set", run)
    export(tmp_path / "short", only(run, list(range(8))))
    data = layout.DATA_PATH.format(chunk_index=0, file_index=0)
    (tmp_path / "short" / data).replace(tmp_path / "set" / data)
    with pytest.raises(BagError, match="does not fit the tables in"):
        read_lerobot(tmp_path / "set")


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded(tmp_path, frames=4)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BagError, match=r"pip install -r requirements/desk\.txt"):
        export(tmp_path / "set", run)
