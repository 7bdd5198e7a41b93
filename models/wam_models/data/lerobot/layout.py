"""What is where in a LeRobotDataset v3.0 folder of ours, and what its features are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wam_models.data.bags import CAMERA

VERSION = "v3.0"
INFO, STATS, TASKS = Path("meta/info.json"), Path("meta/stats.json"), Path("meta/tasks.parquet")
EPISODES = Path("meta/episodes")  # tables of one row an episode
BAGS = Path("meta/bags.json")  # ours: which bag an episode was, which LeRobot does not ask
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"{EPISODES}/{FILE}.parquet"
DATA_PATH = f"data/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"
FILES_A_CHUNK = 1000
DATA_MB, VIDEO_MB = 100, 200  # LeRobot's own sizes, at which it begins another file

PICTURE = f"observation.images.{CAMERA}"
STATE = "observation.state"
STATE_NAMES = ["x", "y", "yaw", "vx", "vy", "yaw_rate"]
# Type, and what the numbers of a row are; None where it is one. LeRobot hands all of `observation.` to a policy, in
# float32: what is for the way back is called otherwise.
NUMBERS: dict[str, tuple[str, list[str] | None]] = {
    STATE: ("float32", STATE_NAMES),
    "observation.goal": ("float32", ["x", "y", "known"]),
    "action": ("float32", ["dx", "dy", "dyaw"]),
    "pose": ("float64", ["x", "y", "yaw"]),
    "stamp": ("float64", None),
    "timestamp": ("float32", None),
    "frame_index": ("int64", None),
    "episode_index": ("int64", None),
    "index": ("int64", None),
    "task_index": ("int64", None),
}


def features(size: tuple[int, int], fps: int) -> dict[str, dict[str, Any]]:
    """As meta/info.json lists them. size: (height, width) px."""
    height, width = size
    video = {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.fps": fps,
        "video.channels": 3,
        "is_depth_map": False,
        "has_audio": False,
    }
    pictures = {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": video}
    numbers = {
        name: {"dtype": kind, "shape": [len(parts) if parts else 1], "names": parts}
        for name, (kind, parts) in NUMBERS.items()
    }
    return {PICTURE: pictures, **numbers}
