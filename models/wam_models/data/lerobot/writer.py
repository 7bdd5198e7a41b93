"""Runs into one LeRobotDataset v3.0 folder, an episode each."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import Run
from wam_models.data.lerobot import layout
from wam_models.data.lerobot.grid import Episode, on_grid
from wam_models.data.lerobot.stats import PictureStats, column_stats
from wam_models.data.lerobot.tables import TableWriter, write_rows, write_tasks
from wam_models.data.lerobot.video import VideoWriter


@dataclass(frozen=True)
class Exported:
    """What became of a bag. episode: its index; frames: of the episode; pictures: of the bag; dropped: pictures that no
    frame shows; repeated: frames that show the picture before once more; start: s, stamp of the first picture;
    left_out: what the bag has of a teacher or a lidar, for which the dataset has no place."""

    bag: str
    episode: int
    frames: int
    pictures: int
    dropped: int
    repeated: int
    start: float
    instructions: tuple[str, ...]
    left_out: tuple[str, ...]


class LeRobotWriter:
    """Opened with `with`. `folder` appears when all is written; until then it is called `folder`.partial.

    A file of pictures and the table beside it are closed after the episode with which the pictures reach `megabytes`.
    Raises BagError when the folder exists, or holds no episode in the end.
    """

    def __init__(self, folder: Path, fps: int, megabytes: float = layout.VIDEO_MB) -> None:
        self.fps = fps
        self.exported: list[Exported] = []
        self._size = (0, 0)  # (height, width) px, of the first episode's pictures
        self._megabytes = megabytes
        self._folder, self._partial = folder, folder.with_name(f"{folder.name}.partial")
        self._file = 0
        self._video: VideoWriter | None = None
        self._table: TableWriter | None = None
        self._tasks: dict[str, int] = {}
        self._rows: list[dict[str, Any]] = []
        self._columns: list[dict[str, np.ndarray]] = []
        self._pictures = PictureStats()
        self._frames = 0

    def __enter__(self) -> LeRobotWriter:
        if self._folder.exists():
            raise BagError(f"{self._folder} exists: remove it, or export to another folder")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_files()
        if kind is None and self._rows:
            self._write_meta()
            self._partial.rename(self._folder)
            return
        shutil.rmtree(self._partial)
        if kind is None:
            raise BagError(f"there is nothing to export: {self._folder} is not made")

    def add(self, run: Run, name: str) -> Exported:
        """One more episode. name: of its bag, for people. Raises BagError when a picture cannot be decoded or is not as
        large as the others: then no table knows of the run, and no episode shows the frames that the video has of it.
        """
        episode = on_grid(run, self.fps)
        if self._video is None or not self._rows or self._video.megabytes >= self._megabytes:
            self._next_file(run)
        assert self._video is not None and self._table is not None
        first = self._video.frames
        seen = self._encode(run, name, episode, self._video)
        columns = self._indexed(episode)
        self._table.add(columns)
        self._columns.append(columns)
        self._pictures.merge(seen)
        self._rows.append(self._row(columns, episode, seen, first))
        self._frames += len(episode.pictures)
        done = Exported(
            bag=name,
            episode=len(self.exported),
            frames=len(episode.pictures),
            pictures=len(run.stamps),
            dropped=len(run.stamps) - len(episode.pictures) + episode.repeated,
            repeated=episode.repeated,
            start=float(run.stamps.min()),
            instructions=tuple(dict.fromkeys(episode.told)),
            left_out=tuple(
                name for name in ("labels", "scan", "what_ifs", "stop_lines") if getattr(run, name) is not None
            ),
        )
        self.exported.append(done)
        return done

    def _next_file(self, run: Run) -> None:
        """The first one is begun anew until it holds an episode, whose pictures are as large as all shall be."""
        self._close_files()
        if self._rows:
            self._file += 1
        else:
            height, width = _even(run.frame(0)).shape[:2]
            self._size = height, width
        chunk, file = divmod(self._file, layout.FILES_A_CHUNK)
        where = {"video_key": layout.PICTURE, "chunk_index": chunk, "file_index": file}
        self._video = VideoWriter(self._partial / layout.VIDEO_PATH.format(**where), self._size, self.fps)
        self._table = TableWriter(self._partial / layout.DATA_PATH.format(**where))

    def _encode(self, run: Run, name: str, episode: Episode, video: VideoWriter) -> PictureStats:
        seen = PictureStats()
        shown = None
        for picture in episode.pictures.tolist():
            if picture != shown:
                shown, frame = picture, _even(run.frame(picture))
                if frame.shape[:2] != self._size:
                    raise BagError(
                        f"{name}: pictures of {frame.shape[1]}x{frame.shape[0]}, the dataset's are "
                        f"{self._size[1]}x{self._size[0]}: export bags of another camera to a dataset of their own"
                    )
                seen.add(frame)
            video.add(frame)
        return seen

    def _indexed(self, episode: Episode) -> dict[str, np.ndarray]:
        """The episode's columns with its place in the dataset, in the types that the layout says."""
        count = len(episode.pictures)
        columns = {
            **episode.columns,
            "episode_index": np.full(count, len(self._rows)),
            "index": self._frames + np.arange(count),
            "task_index": np.array([self._tasks.setdefault(text, len(self._tasks)) for text in episode.told]),
        }
        return {name: columns[name].astype(kind) for name, (kind, _) in layout.NUMBERS.items()}

    def _row(self, columns: dict[str, np.ndarray], episode: Episode, seen: PictureStats, first: int) -> dict[str, Any]:
        """Of meta/episodes. first: frames before it in its video."""
        count = len(episode.pictures)
        chunk, file = divmod(self._file, layout.FILES_A_CHUNK)
        place = {"chunk_index": chunk, "file_index": file}
        times = {"from_timestamp": first / self.fps, "to_timestamp": (first + count) / self.fps}
        stats = {name: column_stats(values) for name, values in columns.items()} | {layout.PICTURE: seen.stats()}
        return {
            "episode_index": len(self._rows),
            "tasks": list(dict.fromkeys(episode.told)),
            "length": count,
            **{f"data/{name}": value for name, value in place.items()},
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + count,
            **{f"videos/{layout.PICTURE}/{name}": value for name, value in {**place, **times}.items()},
            **{f"stats/{name}/{key}": numbers for name, each in stats.items() for key, numbers in each.items()},
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }

    def _close_files(self) -> None:
        if self._video is not None:
            self._video.close()
        if self._table is not None:
            self._table.close()
        self._video = self._table = None

    def _write_meta(self) -> None:
        write_rows(self._partial / layout.EPISODES_PATH.format(chunk_index=0, file_index=0), self._rows)
        write_tasks(self._partial / layout.TASKS, list(self._tasks))
        joined = {name: np.concatenate([columns[name] for columns in self._columns]) for name in layout.NUMBERS}
        stats = {name: column_stats(values) for name, values in joined.items()}
        _write(self._partial / layout.STATS, stats | {layout.PICTURE: self._pictures.stats()})
        _write(self._partial / layout.BAGS, [asdict(each) for each in self.exported])
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": None,
            "total_episodes": len(self._rows),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_A_CHUNK,
            "data_files_size_in_mb": layout.DATA_MB,
            "video_files_size_in_mb": layout.VIDEO_MB,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH,
            "features": layout.features(self._size, self.fps),
        }
        _write(self._partial / layout.INFO, info)


def _even(frame: np.ndarray) -> np.ndarray:
    """Without the last row and column where there is an odd number, which the video cannot hold: the rest keeps its
    place, so the camera's matrix stays true."""
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n")
