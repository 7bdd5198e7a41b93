"""A LeRobotDataset v3.0 folder of ours as runs, from which training makes the same windows as from the bags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import Run
from wam_models.data.lerobot import layout
from wam_models.data.lerobot.tables import read_columns, read_tasks
from wam_models.data.lerobot.video import read_video
from wam_models.se2 import compose

_COLUMNS = (layout.STATE, "pose", "stamp", "observation.goal", "task_index", "episode_index")
# Of the JPEGs that a Run holds, which are made of the video's frames.
_QUALITY = 95


def lerobot_folders(folder: Path) -> list[Path]:
    """All LeRobot datasets in or below a folder, sorted; those that are still being written are not among them."""
    return sorted(path.parents[1] for path in folder.rglob(str(layout.INFO)))


def read_lerobot(folder: Path) -> list[Run]:
    """Its episodes, see `runs_of`."""
    return list(runs_of(folder))


def runs_of(folder: Path) -> Iterator[Run]:
    """One episode after the other, without the frames that only fill the grid with the picture before: stamps are those
    of the pictures, in s since the episode began, and rise.

    Raises BagError when the folder is of another version, lacks a file, or lacks what `wam bag to-lerobot` writes and a
    run is made of.
    """
    info = _info(folder)
    texts = read_tasks(folder / layout.TASKS)
    video, opened = _Frames(), None
    for place in _places(folder, info):
        if opened != place.table:
            opened, table = place.table, read_columns(place.table, _COLUMNS)
        own = table["episode_index"] == place.number
        columns = {name: values[own] for name, values in table.items()}
        unknown = set(columns["task_index"].tolist()) - texts.keys()
        if int(own.sum()) != place.length or not place.length or unknown:
            raise BagError(f"{place.table} does not fit the tables in {folder / 'meta'}: copy the dataset again, whole")
        fresh = np.concatenate([[True], np.diff(columns["stamp"]) != 0.0])
        frames = video.span(place.video, place.first, place.length)
        jpegs = [_jpeg(frame) for frame, keep in zip(frames, fresh.tolist(), strict=True) if keep]
        told = tuple(texts[index] for index in columns["task_index"][fresh].tolist())
        yield _run(f"{folder.name} episode {place.number}", jpegs, columns, fresh, told)


@dataclass(frozen=True)
class _Place:
    """Where an episode is. first: the number of its first frame in the video."""

    number: int
    length: int
    table: Path
    video: Path
    first: int


def _places(folder: Path, info: dict[str, Any]) -> Iterator[_Place]:
    files = sorted((folder / layout.EPISODES).glob("*/*.parquet"))
    if not files:
        raise BagError(f"{folder / layout.EPISODES} holds no table: copy the dataset again, whole")
    video = f"videos/{layout.PICTURE}/"
    indices = [f"{of}{name}" for of in ("data/", video) for name in ("chunk_index", "file_index")]
    for file in files:
        rows = read_columns(file, ["episode_index", "length", f"{video}from_timestamp", *indices])
        for number, length, begin, *where in zip(*(rows[name].tolist() for name in rows), strict=True):
            table = info["data_path"].format(chunk_index=where[0], file_index=where[1])
            path = info["video_path"].format(video_key=layout.PICTURE, chunk_index=where[2], file_index=where[3])
            yield _Place(number, length, folder / table, folder / path, round(begin * info["fps"]))


class _Frames:
    """Stretches of videos, which come in order where nobody has edited the dataset: a video is opened once for all."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._frames: Iterator[np.ndarray] = iter(())
        self._next = 0

    def span(self, path: Path, first: int, count: int) -> Iterator[np.ndarray]:
        """`count` frames from number `first` on. Raises BagError when the video ends before."""
        if path != self._path or first < self._next:
            if not path.is_file():
                raise BagError(f"{path} is missing: copy the dataset again, with its videos")
            self._path, self._frames, self._next = path, read_video(path), 0
        skipped = sum(1 for _ in islice(self._frames, first - self._next))
        got = 0
        for frame in islice(self._frames, count):
            got += 1
            yield frame
        self._next += skipped + got
        if got < count:
            raise BagError(f"{path} ends {count - got} frames too early: copy the dataset again, with its videos")


def _info(folder: Path) -> dict[str, Any]:
    path = folder / layout.INFO
    try:
        said = json.loads(path.read_text())
        info = {name: said[name] for name in ("codebase_version", "features", "fps", "data_path", "video_path")}
    except OSError as error:
        raise BagError(f"{folder} is no LeRobot dataset: it has no {layout.INFO}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BagError(f"{path} is damaged ({error}): copy the dataset again, whole") from error
    version, found = info["codebase_version"], info["features"]
    if version != layout.VERSION:
        raise BagError(f"{folder} is a LeRobotDataset {version}, {layout.VERSION} is needed: lerobot converts old ones")
    lacking = [name for name in _COLUMNS if name not in found]
    if found.get(layout.PICTURE, {}).get("dtype") != "video":
        lacking.append(f"{layout.PICTURE} as video")
    if layout.STATE in found and found[layout.STATE].get("names") != layout.STATE_NAMES:
        lacking.append(f"{layout.STATE} of {', '.join(layout.STATE_NAMES)}")
    if lacking:
        raise BagError(f"{folder} lacks {'; '.join(lacking)}: name its features as `wam bag to-lerobot` does")
    return info


def _run(
    name: str, jpegs: list[bytes], columns: dict[str, np.ndarray], fresh: np.ndarray, told: tuple[str, ...]
) -> Run:
    """fresh: (K,) whether a frame shows another picture than the frame before."""
    poses = columns["pose"][fresh]
    x, y, known = columns["observation.goal"][-1].tolist()
    end_x, end_y, end_yaw = poses[-1].tolist()
    return Run(
        name=name,
        jpegs=jpegs,
        stamps=columns["stamp"][fresh],
        poses=poses,
        twists=columns[layout.STATE][fresh, 3:].astype(np.float64),
        instructions=told,
        goal=compose((end_x, end_y, end_yaw), (x, y, 0.0))[:2] if known else None,
        labels=None,
        label_times=None,
    )


def _jpeg(frame: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
