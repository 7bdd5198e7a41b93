"""What people look at afterwards, made from a run's bag and truth file: a video, a plot, an animation for a page."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import imageio_ffmpeg
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.collections import LineCollection

from wam_tools.demo.bag import Recording
from wam_tools.demo.drawing import Mount, caption, draw_plan, strip

HEIGHT, WIDTH, STRIP_HEIGHT = 360, 960, 40  # px, camera and top view side by side
RATE = 10.0  # frames/s of the video, which runs at the speed of the walk
_PLAN_AGE = 1.0  # s; an older plan is not followed, and not drawn
_AFTER = 1.0  # s shown before the first and after the last motion


class Scene(Protocol):
    """What robots show differently. name: of the world; position: (3,) m of
    the camera in base_link; pitch: rad, nose down; width: m of the robot; way: (N, 3) poses, speeds: (N,) m/s, as it
    really moved."""

    name: str
    position: np.ndarray
    pitch: float
    width: float
    way: np.ndarray
    speeds: np.ndarray

    def above(self, size: tuple[int, int], moment: float, plan: np.ndarray | None) -> np.ndarray:
        """The world from above. size: (height, width) px; moment: s, a stamp; plan: (H, 3) or None."""

    def texts(self, moment: float) -> list[str]:
        """Below the picture: how it stands."""

    def said(self, moment: float) -> str:
        """Into the picture: what the robot is told, if that is worth a line."""

    def plot(self, axes: Any) -> None:
        """Everything but the way and the plans, and the limits of the axes."""


def write_video(path: Path, scene: Scene, recording: Recording, window: tuple[float, float]) -> None:
    """Camera with the plan beside the top view. window: first and last moment, s."""
    write_frames(path, (WIDTH, HEIGHT + STRIP_HEIGHT), RATE, _frames(scene, recording, window))


def write_frames(path: Path, size: tuple[int, int], rate: float, frames: Iterable[np.ndarray]) -> None:
    """An MP4 of H.264 that browsers play from its first bytes on. size: (width, height) px, both even; rate: frames/s;
    frames: uint8 (height, width, 3) BGR, of which no more than one is held at a time. Raises OSError when the encoder
    cannot write there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        str(path), size, fps=rate, codec="libx264", quality=None, pix_fmt_in="bgr24", macro_block_size=2,
        output_params=["-crf", "23", "-preset", "veryfast", "-movflags", "+faststart"],
    )  # fmt: skip
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def write_gif(path: Path, videos: list[Path], seconds: float, rate: float = 6.0, width: int = 720) -> None:
    """The first `seconds` of each video after the other, with a palette of their own: small enough for a page."""
    inputs = [word for video in videos for word in ("-t", str(seconds), "-i", str(video))]
    parts = "".join(f"[{i}:v]" for i in range(len(videos)))
    palette = "split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"
    chain = f"{parts}concat=n={len(videos)}:v=1[v];[v]fps={rate},scale={width}:-1:flags=lanczos,{palette}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *inputs, "-filter_complex", chain, str(path)]
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)


def write_plot(path: Path, scene: Scene, recording: Recording) -> None:
    """The way as it was made, coloured by speed, and every fifth plan."""
    with mpl.rc_context({"font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(9.0, 4.8), dpi=120, layout="constrained")
    for plan in recording.plans.poses[::5]:
        axes.plot(plan[:, 0], plan[:, 1], color="tab:green", linewidth=0.6, alpha=0.5)
    line = scene.way[:, :2]
    segments = np.stack([line[:-1], line[1:]], axis=1)
    way = LineCollection(list(segments), array=scene.speeds[:-1], cmap="viridis", linewidth=2.5)
    axes.add_collection(way)
    figure.colorbar(way, ax=axes, label="speed (m/s)")
    scene.plot(axes)
    axes.set(title=scene.name, xlabel="x (m)", ylabel="y (m)", aspect="equal")
    axes.legend(loc="upper left")
    figure.savefig(path)
    pyplot.close(figure)


def _frames(scene: Scene, recording: Recording, window: tuple[float, float]) -> Iterator[np.ndarray]:
    """The pictures of a video, one for each camera frame, at RATE."""
    height, width = _decode(recording.frames[0][1]).shape[:2]
    shown = 2 * round(0.5 * HEIGHT * width / height)
    # Enlarged before the plan is drawn in, so that its lines are fine whatever the camera's size.
    enlarge = np.diag(np.array([shown / width, HEIGHT / height, 1.0]))
    mount = Mount(enlarge @ recording.camera, scene.position, scene.pitch)
    stamps = np.array([stamp for stamp, _ in recording.frames])
    odometry = recording.odometry
    yaws = np.unwrap(odometry[:, 3])
    for moment in np.arange(window[0] - _AFTER, window[1] + _AFTER, 1.0 / RATE):
        index = int(np.clip(np.searchsorted(stamps, moment, side="right") - 1, 0, len(stamps) - 1))
        stamp, jpeg = recording.frames[index]
        image = np.asarray(cv2.resize(_decode(jpeg), (shown, HEIGHT), interpolation=cv2.INTER_LINEAR))
        x, y, z, yaw = (
            float(np.interp(stamp, odometry[:, 0], values))
            for values in (odometry[:, 1], odometry[:, 2], recording.heights, yaws)
        )
        plan, age = _plan_at(recording, stamp)
        if plan is not None:
            image = draw_plan(image, plan, np.array([x, y, z, yaw]), mount, scene.width)
        caption(image, scene.said(stamp))
        above = scene.above((HEIGHT, WIDTH - shown), stamp, plan)
        texts = [
            scene.name,
            f"{max(stamp - window[0], 0.0):5.1f} s",
            *scene.texts(stamp),
            f"plan age {1e3 * age:.0f} ms" if plan is not None else "no plan",
        ]
        picture = np.hstack([image, above])
        yield np.vstack([picture, strip(picture.shape[1], STRIP_HEIGHT, texts)])


def _decode(jpeg: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def _plan_at(recording: Recording, moment: float) -> tuple[np.ndarray | None, float]:
    """The newest plan that had arrived by `moment`, and the age of its image in s."""
    plans = recording.plans
    index = int(np.searchsorted(plans.arrivals, moment, side="right")) - 1
    if index < 0 or moment - plans.stamps[index] > _PLAN_AGE:
        return None, float("nan")
    return plans.poses[index], moment - float(plans.stamps[index])
