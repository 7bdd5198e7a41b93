"""What people look at afterwards, made from a run's bag and truth file: a video, a plot, an animation for a page."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import imageio_ffmpeg
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Polygon

from wam_go2.calibration import load_calibration
from wam_planner.bringup import config_file
from wam_sim.simulation import GOAL_RADIUS
from wam_sim.worlds import YardWorld
from wam_tools.demo.bag import Recording
from wam_tools.demo.drawing import Mount, TopView, draw_plan, strip
from wam_tools.demo.truth import Track

HEIGHT, CAMERA_WIDTH, TOP_WIDTH, STRIP_HEIGHT = 360, 640, 320, 40  # px
RATE = 10.0  # frames/s of the video, which runs at the speed of the walk
_PLAN_AGE = 1.0  # s; an older plan is not followed, and not drawn
_AFTER = 1.0  # s shown before the first and after the last motion


def write_video(path: Path, world: YardWorld, recording: Recording, track: Track, window: tuple[float, float]) -> None:
    """Camera with the plan beside the top view, as H.264 that browsers play. window: first and last moment, s."""
    size = (CAMERA_WIDTH + TOP_WIDTH, HEIGHT + STRIP_HEIGHT)
    writer = imageio_ffmpeg.write_frames(
        str(path), size, fps=RATE, codec="libx264", quality=None, pix_fmt_in="bgr24", macro_block_size=2,
        output_params=["-crf", "23", "-preset", "veryfast", "-movflags", "+faststart"],
    )  # fmt: skip
    writer.send(None)
    for frame in _frames(world, recording, track, window):
        writer.send(np.ascontiguousarray(frame))
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


def write_plot(path: Path, world: YardWorld, recording: Recording, track: Track) -> None:
    """The way as walked, coloured by speed, and every fifth plan."""
    with mpl.rc_context({"font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(9.0, 4.8), dpi=120, layout="constrained")
    for thing in world.things:
        shape = thing.footprint() if thing.beat is None else None
        if shape is not None:
            for part in getattr(shape, "geoms", [shape]):
                axes.add_patch(
                    Polygon(np.array(part.exterior.coords), facecolor="0.75", edgecolor="0.45", linewidth=0.5)
                )
    for plan in recording.plans.poses[::5]:
        axes.plot(plan[:, 0], plan[:, 1], color="tab:green", linewidth=0.6, alpha=0.5)
    line = track.poses[:, :2]
    segments = np.stack([line[:-1], line[1:]], axis=1)
    way = LineCollection(list(segments), array=np.hypot(*track.twists[:-1, :2].T), cmap="viridis", linewidth=2.5)
    axes.add_collection(way)
    axes.plot(*world.start[:2], "o", color="black", label="start")
    axes.add_patch(Circle(world.goal, GOAL_RADIUS, facecolor="none", edgecolor="tab:red", linewidth=1.5, label="goal"))
    for walkers in track.walkers[::10]:
        for walker in walkers:
            axes.plot(walker[0], walker[1], ".", color="tab:purple", markersize=4)
    figure.colorbar(way, ax=axes, label="speed (m/s)")
    axes.set(
        title=world.name, xlabel="x (m)", ylabel="y (m)", aspect="equal",
        xlim=(min(line[:, 0].min(), 0.0) - 1.5, max(line[:, 0].max(), world.goal[0]) + 1.5),
        ylim=(min(line[:, 1].min(), world.goal[1]) - 2.0, max(line[:, 1].max(), world.goal[1]) + 2.0),
    )  # fmt: skip
    axes.legend(loc="upper left")
    figure.savefig(path)
    pyplot.close(figure)


def _frames(world: YardWorld, recording: Recording, track: Track, window: tuple[float, float]) -> Iterator[np.ndarray]:
    """The pictures of a video, one for each camera frame, at RATE."""
    calibration = load_calibration(config_file("go2_camera_sim.yaml"))
    height, width = _decode(recording.frames[0][1]).shape[:2]
    # Enlarged before the plan is drawn in, so that its lines are fine whatever the camera's size.
    enlarge = np.diag(np.array([CAMERA_WIDTH / width, HEIGHT / height, 1.0]))
    mount = Mount(enlarge @ recording.camera, calibration.position, calibration.pitch)
    top = TopView(world, (HEIGHT, TOP_WIDTH))
    stamps = np.array([stamp for stamp, _ in recording.frames])
    odometry = recording.odometry
    yaws = np.unwrap(odometry[:, 3])
    for moment in np.arange(window[0] - _AFTER, window[1] + _AFTER, 1.0 / RATE):
        index = int(np.clip(np.searchsorted(stamps, moment, side="right") - 1, 0, len(stamps) - 1))
        stamp, jpeg = recording.frames[index]
        image = np.asarray(cv2.resize(_decode(jpeg), (CAMERA_WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))
        x, y, z, yaw = (
            float(np.interp(stamp, odometry[:, 0], values))
            for values in (odometry[:, 1], odometry[:, 2], recording.heights, yaws)
        )
        plan, age = _plan_at(recording, stamp)
        if plan is not None:
            image = draw_plan(image, plan, np.array([x, y, z, yaw]), mount)
        step = int(np.clip(np.searchsorted(track.times, stamp), 0, len(track.times) - 1))
        walkers = np.array(track.walkers[_nearest(track.frames, stamp)]) if len(track.frames) else np.empty((0, 3))
        above = top.draw(track.poses[:step:5], track.poses[step], plan, walkers)
        speed = float(np.hypot(*track.twists[step, :2]))
        distance = float(np.hypot(*(track.poses[step, :2] - world.goal)))
        texts = [
            world.name,
            f"{max(stamp - window[0], 0.0):5.1f} s",
            f"{speed:.2f} m/s",
            f"goal {distance:.1f} m",
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


def _nearest(values: np.ndarray, value: float) -> int:
    return int(np.abs(values - value).argmin())
