"""All windows of many bags in one place on disk, frames decoded and resized once. Made from bags, never edited."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import Run, read_run
from wam_models.data.lerobot.layout import INFO
from wam_models.data.lerobot.reader import lerobot_folders, runs_of
from wam_models.data.windows import Windows, make_windows
from wam_models.metis.config import MetisConfig
from wam_models.preprocessing import resize_frame

# Counts up whenever the same bags would give other windows.
_FORMAT = 4
COLUMN = 4  # px of the resized picture that share one range
SECTORS = 96  # of a lidar's field, of each of which the nearest point is kept

_FIELDS = ("context", "future", "states", "actions", "instructions", "imitated")
_PER_FRAME = ("frame_run", "ranges", "poses", "met", "stop_lines")


@dataclass(frozen=True)
class WindowStore:
    """frames: uint8 (M, H, W, 3), memory-mapped; windows: of all runs, frame numbers counted over all; frame_run: (M,)
    number of the run a frame is from; ranges: float32 (M, W / COLUMN) m by column of the picture, NaN where the bag has
    no scan; poses: (M, 3) in odom; met: float16 (M, SECTORS, 2) m where the lidar met something, in its own frame, NaN
    where it did not; stop_lines: (M,) m to where a light tells to stop, inf where none does, NaN where the bag does not
    say; skipped: what was wrong with the bags left out; folder: where all this is kept."""

    frames: np.ndarray
    windows: Windows
    frame_run: np.ndarray
    ranges: np.ndarray
    poses: np.ndarray
    met: np.ndarray
    stop_lines: np.ndarray
    skipped: list[str]
    folder: Path

    def __len__(self) -> int:
        return len(self.windows.imitated)

    def held_out(self, share: float) -> np.ndarray:
        """(N,) the windows of the last runs, for validation: a share of the runs, so none is seen from both sides."""
        runs = np.unique(self.frame_run)
        last = runs[len(runs) - round(len(runs) * share) :]
        return np.isin(self.frame_run[self.windows.context[:, -1]], last)


def find_bags(paths: Iterable[Path]) -> list[Path]:
    """Recordings among and below these: rosbag2 folders, and .mcap and .db3 files that lie in none, as a crash leaves
    them; sorted. Raises BagError where there is none."""
    found = []
    for path in paths:
        if not path.exists():
            raise BagError(f"{path} is missing: give bags, or a folder that holds some")
        bags = [path] if path.is_file() else _bags_below(path)
        if not bags:
            raise BagError(f"no bag (a folder with metadata.yaml, an .mcap or .db3 file) in {path}")
        found += bags
    return found


def _bags_below(folder: Path) -> list[Path]:
    whole = {path.parent for path in folder.rglob("metadata.yaml")}
    files = (path for pattern in ("*.mcap", "*.db3") for path in folder.rglob(pattern) if path.parent not in whole)
    # What is being made lies in a hidden folder.
    return sorted(
        path for path in (*whole, *files) if not any(part[0] == "." for part in path.relative_to(folder).parts)
    )


def run_folders(folder: Path) -> list[Path]:
    """What training reads: all bags and LeRobot datasets in or below `folder`. Raises BagError when it holds none."""
    found = sorted([*_bags_below(folder), *lerobot_folders(folder)])
    if not found:
        raise BagError(
            f"no bag (a folder with metadata.yaml, an .mcap or .db3 file) and no LeRobot dataset in {folder}"
        )
    return found


def open_store(
    bags: Sequence[Path],
    cache: Path,
    config: MetisConfig,
    use_acceleration: bool,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> WindowStore:
    """The store of these bags and LeRobot datasets, read from `cache` when it was made of the same ones and the same
    configuration, else made anew.

    A bag that cannot be read is left out and named in `skipped`. Raises BagError when none is left.
    """
    names = [_fingerprint(bag) for bag in bags]
    shape = (config.image_size, config.context_frames, config.context_dt, config.future_frames, config.future_dt)
    action = (config.action.points, config.action.dt, config.action.values)
    made_of = json.dumps([_FORMAT, names, shape, action, use_acceleration, COLUMN])
    folder = cache / f"windows-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not (folder / "windows.npz").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _build(bags, folder, config, use_acceleration, progress)
    with np.load(folder / "windows.npz") as saved:
        windows = Windows(**{name: saved[name] for name in _FIELDS})
        rest = {name: saved[name] for name in _PER_FRAME}
    skipped = json.loads((folder / "skipped.json").read_text())
    frames = np.memmap(folder / "frames.u8", np.uint8, "r").reshape(-1, *config.image_size, 3)
    return WindowStore(frames, windows, **rest, skipped=skipped, folder=folder)


def _fingerprint(bag: Path) -> tuple[str, int, int]:
    """Of a bag that may be recorded again under the same name, or a dataset that may be exported again."""
    inside = bag / (INFO if _is_dataset(bag) else "metadata.yaml")
    status = (inside if bag.is_dir() else bag).stat()
    return str(bag), status.st_size, status.st_mtime_ns


def _is_dataset(folder: Path) -> bool:
    return (folder / INFO).is_file()


def _runs(folders: Iterable[Path], skipped: list[str]) -> Iterator[Run]:
    """Of bags and datasets. skipped: takes what was wrong with those that cannot be read, from there on."""
    for folder in folders:
        try:
            yield from runs_of(folder) if _is_dataset(folder) else [read_run(folder)]
        except BagError as error:
            skipped.append(str(error))


def _build(
    bags: Sequence[Path],
    folder: Path,
    config: MetisConfig,
    use_acceleration: bool,
    progress: Callable[[Sequence[Path]], Iterable[Path]],
) -> None:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*_FIELDS, *_PER_FRAME)}
    skipped: list[str] = []
    frames, columns = 0, config.image_size[1] // COLUMN
    with (folder / "frames.u8").open("wb") as file:
        for number, run in enumerate(_runs(progress(bags), skipped)):
            try:
                images = [resize_frame(run.frame(i), config.image_size) for i in range(len(run.jpegs))]
                windows = make_windows(run, config, use_acceleration)
            except BagError as error:
                skipped.append(str(error))
                continue
            for image in images:
                file.write(np.ascontiguousarray(image).tobytes())
            for name in _FIELDS:
                values = getattr(windows, name)
                parts[name].append(values + frames if name in ("context", "future") else values)
            parts["frame_run"].append(np.full(len(images), number))
            blind = np.full((len(images), columns), np.nan), np.full((len(images), SECTORS, 2), np.nan)
            ranges, met = blind if run.scan is None else (run.scan.by_column(columns), run.scan.met(SECTORS))
            parts["ranges"].append(ranges.astype(np.float32))
            parts["met"].append(met.astype(np.float16))
            parts["poses"].append(run.poses)
            parts["stop_lines"].append(np.full(len(images), np.nan) if run.stop_lines is None else run.stop_lines)
            frames += len(images)
    if not frames:
        raise BagError("no bag could be used: " + "; ".join(skipped[:3]))
    (folder / "skipped.json").write_text(json.dumps(skipped))
    # Written last: a store without it is half made and is made again.
    joined: dict[str, Any] = {name: np.concatenate(values) for name, values in parts.items()}
    np.savez(folder / "windows.npz", **joined)
