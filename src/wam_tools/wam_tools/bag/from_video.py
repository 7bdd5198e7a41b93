"""`wam bag from-video`: a bag as a robot of this stack records it, from a video and whatever is known beside it."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.progress import Progress

from wam_models.data.bag_writer import whole_bag
from wam_planner.settings import parse_goal
from wam_tools.bag.made_bag import MadeBag
from wam_tools.bag.video_input import Poses, Straightener, frames, read_lens, read_poses
from wam_tools.output import console

app = typer.Typer()


@app.command("from-video")
def make_bag(
    video: Annotated[Path, typer.Argument(help="Whatever OpenCV reads, such as an .mp4.")],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    odometry: Annotated[
        Path | None, typer.Option(help="CSV with t,x,y,yaw and perhaps vx,vy,yaw_rate: s, m, rad, m/s, rad/s.")
    ] = None,
    camera: Annotated[
        Path | None, typer.Option(help="Calibration, as ROS's cameracalibrator writes it or config/go2_camera.yaml.")
    ] = None,
    offset: Annotated[float, typer.Option(help="s that are added to t: 0 is the first frame then.")] = 0.0,
    begin: Annotated[float, typer.Option(help="s since 1970 of the first frame.")] = 1e9,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Hz, pictures at the most; default: all.")] = None,
    width: Annotated[
        int | None, typer.Option(min=16, help="px of the pictures in the bag; default: the video's.")
    ] = None,
    instruction: Annotated[str, typer.Option(help="What the robot was told.")] = "",
    goal: Annotated[str, typer.Option(help="x,y in m in the frame of the poses.")] = "",
) -> None:
    """Make a bag that `wam replay`, `wam train` and `wam bag` take. A calibration with distortion straightens the
    pictures. Without --odometry a replay shows plans and pictures, and no score."""
    try:
        poses = None if odometry is None else read_poses(odometry)
        lens = None if camera is None else read_lens(camera)
        wanted = parse_goal(goal)
        if poses is not None:
            _check_overlap(video, poses, offset)
        with Progress(console=console, transient=True) as progress, whole_bag(out) as writer:
            task = progress.add_task(f"reading {video}", total=_seconds(video))
            bag = MadeBag(writer, begin)
            if instruction:
                bag.tell(instruction)
            if wanted is not None:
                bag.aim(wanted)
            straighten, waiting = None, deque([] if poses is None else _rows(poses, offset))
            for seconds, image in frames(video, rate):
                while waiting and waiting[0][0] <= seconds:
                    bag.move(*waiting.popleft())
                image = _scaled(image, width)
                if lens is not None:
                    straighten = straighten or Straightener(lens, image.shape[:2])
                    image = straighten(image)
                    bag.calibrate(seconds, straighten.lens.size, straighten.lens.matrix)
                bag.see(seconds, image)
                progress.update(task, completed=seconds)
            for row in waiting:
                bag.move(*row)
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    console.print(f"{out}: {bag.pictures} pictures, {bag.moves} poses, {seconds:.1f} s", highlight=False)


def _check_overlap(video: Path, poses: Poses, offset: float) -> None:
    """Raises ValueError when poses and video are of different times."""
    first, last, end = poses.times[0] + offset, poses.times[-1] + offset, _seconds(video)
    if last < 0.0 or (end is not None and first > end):
        length = "" if end is None else f", which is {end:.1f} s long"
        raise ValueError(
            f"the poses are from {first:.1f} s to {last:.1f} s of the video{length}: shift them, such as by "
            f"--offset {-poses.times[0]:g}, which lets them begin with it"
        )


def _seconds(video: Path) -> float | None:
    """About how long it is, where the file says so."""
    found = cv2.VideoCapture(str(video))
    count, rate = found.get(cv2.CAP_PROP_FRAME_COUNT), found.get(cv2.CAP_PROP_FPS)
    found.release()
    return count / rate if count > 0 and rate > 0 else None


def _rows(poses: Poses, offset: float) -> Any:
    return zip((poses.times + offset).tolist(), poses.poses.tolist(), poses.twists.tolist(), strict=True)


def _scaled(image: np.ndarray, width: int | None) -> np.ndarray:
    height, whole = image.shape[:2]
    if width is None or width == whole:
        return image
    return np.asarray(cv2.resize(image, (width, round(height * width / whole)), interpolation=cv2.INTER_AREA))
