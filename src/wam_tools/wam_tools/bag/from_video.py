"""`wam bag from-video`: a bag as a robot of this stack records it, from a video and whatever is known beside it."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.progress import Progress

from wam_models.data.bag_writer import BagWriter, whole_bag
from wam_planner.settings import parse_goal
from wam_tools.bag.video_input import Lens, Poses, Straightener, frames, read_lens, read_poses
from wam_tools.output import console

app = typer.Typer()

_BASE, _FRAME = "/camera/front", "camera_front_optical_frame"
_QUALITY = 90  # of 100


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
        with Progress(console=console, transient=True) as progress, whole_bag(out) as writer:
            task = progress.add_task(f"reading {video}", total=_seconds(video))
            bag = _Bag(writer, begin)
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
                    bag.calibrate(seconds, straighten.lens)
                bag.see(seconds, image)
                progress.update(task, completed=seconds)
            for row in waiting:
                bag.move(*row)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    console.print(f"{out}: {bag.pictures} pictures, {bag.moves} poses, {seconds:.1f} s", highlight=False)


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


class _Bag:
    """Writes messages with the names of this stack. Times are s since the first frame."""

    def __init__(self, writer: BagWriter, begin: float) -> None:
        """begin: s since 1970 of the first frame."""
        self.pictures = self.moves = 0
        self._writer, self._begin = writer, round(begin * 1e9)
        self._types = writer.types.types

    def tell(self, text: str) -> None:
        self._write("/instruction", "std_msgs/msg/String", 0.0, text)

    def aim(self, goal: tuple[float, float]) -> None:
        header, pose = self._header(0.0, "odom"), self._pose([*goal, 0.0])
        self._write("/goal", "geometry_msgs/msg/PoseStamped", 0.0, header, pose)

    def see(self, seconds: float, image: np.ndarray) -> None:
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].ravel()
        header = self._header(seconds, _FRAME)
        self._write(f"{_BASE}/image/compressed", "sensor_msgs/msg/CompressedImage", seconds, header, "jpeg", jpeg)
        self.pictures += 1

    def calibrate(self, seconds: float, lens: Lens) -> None:
        k = lens.matrix
        projection = np.column_stack([k, np.zeros(3)]).ravel()
        whole = self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        header = self._header(seconds, _FRAME)
        values = (*lens.size, "plumb_bob", lens.distortion, k.ravel(), np.eye(3).ravel(), projection, 0, 0, whole)
        self._write(f"{_BASE}/camera_info", "sensor_msgs/msg/CameraInfo", seconds, header, *values)

    def move(self, seconds: float, pose: list[float], twist: list[float]) -> None:
        t = self._types
        vector = t["geometry_msgs/msg/Vector3"]
        moved = t["geometry_msgs/msg/Twist"](vector(twist[0], twist[1], 0.0), vector(0.0, 0.0, twist[2]))
        self._write(
            "/odom",
            "nav_msgs/msg/Odometry",
            seconds,
            self._header(seconds, "odom"),
            "base_link",
            t["geometry_msgs/msg/PoseWithCovariance"](self._pose(pose), np.zeros(36)),
            t["geometry_msgs/msg/TwistWithCovariance"](moved, np.zeros(36)),
        )
        self.moves += 1

    def _write(self, topic: str, kind: str, seconds: float, *values: Any) -> None:
        connection = self._writer.add(topic, kind)
        self._writer.write_message(connection, self._nanoseconds(seconds), self._types[kind](*values))

    def _nanoseconds(self, seconds: float) -> int:
        since_1970 = self._begin + round(seconds * 1e9)
        if since_1970 < 0:
            raise ValueError(f"{seconds:g} s from the first frame is before 1970: give a later --begin")
        return since_1970

    def _header(self, seconds: float, frame: str) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](*divmod(self._nanoseconds(seconds), 10**9))
        return self._types["std_msgs/msg/Header"](stamp, frame)

    def _pose(self, pose: list[float]) -> Any:
        half, t = 0.5 * pose[2], self._types
        turned = t["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sin(half), math.cos(half))
        return t["geometry_msgs/msg/Pose"](t["geometry_msgs/msg/Point"](pose[0], pose[1], 0.0), turned)
