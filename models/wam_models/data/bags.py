"""Recorded runs read from rosbag2 folders (MCAP or sqlite3), without ROS."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.image import message_to_cvimage

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.topics import Topics, guess_topics
from wam_models.messages import motion, planar_pose, planar_twist, seconds

CAMERA = "front"
# What only training reads, and only bags of a simulator or a lidar have.
SCAN, LABELS, STOP_LINE = "/scan", "/expert/trajectory", "/expert/stop_line"
WHAT_IF = tuple(f"/expert/what_if/{name}" for name in ("odom", "trajectory", "goal", "instruction"))
# s: pictures farther outside the odometry are left out.
COVERED = 0.1


@dataclass(frozen=True)
class Scan:
    """Ranges (N, B) m, inf where nothing was met, at each frame, on bearings (B,) rad, ascending, left positive; focal:
    of the camera, in widths of its picture."""

    ranges: np.ndarray
    bearings: np.ndarray
    focal: float

    def by_column(self, columns: int) -> np.ndarray:
        """(N, columns) m straight ahead of each of `columns` equal strips of the rectified picture, from its left; NaN
        where the lidar does not look."""
        middle = (np.arange(columns) + 0.5) / columns
        wanted = np.arctan((0.5 - middle) / self.focal)
        nearest = np.abs(self.bearings[:, None] - wanted).argmin(axis=0)
        outside = (wanted < self.bearings[0] - 0.02) | (wanted > self.bearings[-1] + 0.02)
        return np.where(outside, np.nan, self.ranges[:, nearest])

    def met(self, sectors: int) -> np.ndarray:
        """(N, sectors, 2) m, x forward from the lidar: the nearest thing met in each of `sectors` equal parts of what
        it looks at; NaN where there is none."""
        span = max(float(self.bearings[-1] - self.bearings[0]), 1e-6)
        part = np.minimum((self.bearings - self.bearings[0]) / span * sectors, sectors - 1).astype(int)
        along = np.stack([np.cos(self.bearings), np.sin(self.bearings)], axis=-1)
        out = np.full((len(self.ranges), sectors, 2), np.nan)
        known = np.where(np.isfinite(self.ranges), self.ranges, np.inf)
        rows = np.arange(len(known))
        for sector in np.unique(part):
            beams = np.flatnonzero(part == sector)
            nearest = beams[known[:, beams].argmin(axis=1)]
            met = np.isfinite(known[rows, nearest])
            out[met, sector] = known[rows, nearest][met, None] * along[nearest[met]]
        return out


@dataclass(frozen=True)
class WhatIfs:
    """What the teacher would have done at a frame with another motion, another goal or another instruction. frame: (M,)
    its number; twists: (M, 3) in base_link; labels: (M, H, 3) in base_link, at the run's label_times; goals: (M, 2) m
    in odom, instructions: M texts, or None where the questions have none of their own."""

    frame: np.ndarray
    twists: np.ndarray
    labels: np.ndarray
    goals: np.ndarray | None = None
    instructions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Run:
    """One recorded run on the camera's clock. jpegs: N encoded frames; stamps: (N,) s; poses: (N, 3) in odom and
    twists: (N, 3) in base_link, interpolated at the stamps; labels: (N, H, 3) in base_link at label_times (H,) s after
    the frame, or None when the bag holds no teacher; instructions: N texts, what was told at each frame; goal: (x, y) m
    in odom or None; scan: of a lidar at the camera, or None; what_ifs: more answers of the teacher, or None;
    stop_lines: (N,) m to where a light told the teacher to stop, inf where none did, or None."""

    name: str
    jpegs: list[bytes]
    stamps: np.ndarray
    poses: np.ndarray
    twists: np.ndarray
    instructions: tuple[str, ...]
    goal: tuple[float, float] | None
    labels: np.ndarray | None
    label_times: np.ndarray | None
    scan: Scan | None = None
    what_ifs: WhatIfs | None = None
    stop_lines: np.ndarray | None = None

    def frame(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB. Raises BagError when the JPEG is corrupt."""
        data = np.frombuffer(self.jpegs[index], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            raise BagError(f"{self.name}: frame {index} is not a JPEG; cut the bag before it or record it again")
        return image[..., ::-1]


def relative_poses(poses: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Poses (..., 3) given in the frame of `origin` (..., 3): x, y m and yaw wrapped to [-pi, pi)."""
    delta = poses - origin
    c, s = np.cos(origin[..., 2]), np.sin(origin[..., 2])
    x, y = c * delta[..., 0] + s * delta[..., 1], -s * delta[..., 0] + c * delta[..., 1]
    return np.stack([x, y, (delta[..., 2] + np.pi) % (2 * np.pi) - np.pi], axis=-1)


def read_run(path: Path, topics: Topics | None = None) -> Run:
    """The run in the rosbag2 folder or file `path`, for as long as there is odometry. topics: what its topics are
    called, default guessed. Raises BagError when there is no usable camera or odometry in it."""
    images: list[tuple[float, bytes, int]] = []
    told: list[tuple[int, str]] = []
    stop_lines: dict[float, float] = {}
    odometry: list[np.ndarray] = []
    labels: list[tuple[float, np.ndarray, np.ndarray]] = []
    asked: dict[str, list[tuple[float, Any]]] = {topic: [] for topic in WHAT_IF}
    scans: list[tuple[float, np.ndarray]] = []
    bearings = np.zeros(0)
    goal, focal = None, None
    with BagReader(path) as bag:
        topics = topics or guess_topics(bag.channels, (CAMERA,))
        camera_info = topics.camera_info.get(CAMERA)
        for topic, logged, message in bag.messages({*topics.names, LABELS, SCAN, STOP_LINE, *WHAT_IF}):
            if topic == topics.cameras[CAMERA]:
                images.append((seconds(message.header.stamp), _encoded(message), logged))
            elif topic == topics.odometry:
                stamp, pose, twist = motion(message)
                odometry.append(np.array([stamp, *pose, *twist]))
            elif topic == LABELS:
                times = np.array([seconds(point.time_from_start) for point in message.points])
                labels.append((seconds(message.header.stamp), times, _points(message)))
            elif topic in asked:
                asked[topic].append(_question(message, logged))
            elif topic == SCAN:
                bearings = message.angle_min + message.angle_increment * np.arange(len(message.ranges))
                scans.append((seconds(message.header.stamp), _valid_ranges(message)))
            elif topic == camera_info:
                focal = float(message.k[0]) / message.width if message.width and message.k[0] > 0 else None
            elif topic == topics.instruction:
                told.append((logged, message.data))
            elif topic == STOP_LINE:
                stop_lines[round(seconds(message.header.stamp), 6)] = float(message.range)
            elif topic == topics.goal:
                goal = (message.pose.position.x, message.pose.position.y)
    if not images or len(odometry) < 2:
        raise BagError(f"{path} has {len(images)} images and {len(odometry)} odometry messages; it needs both")
    track = _track(path, odometry)
    # Where odometry has ended, interpolation would have the robot stand still.
    images = [image for image in images if track[0, 0] - COVERED <= image[0] <= track[-1, 0] + COVERED]
    if not images:
        raise BagError(f"{path} has no image while there is odometry: are both stamped by the same clock?")
    stamps = np.array([stamp for stamp, _, _ in images])
    at = np.stack([np.interp(stamps, track[:, 0], track[:, i]) for i in range(1, 7)], axis=1)
    taught, taught_times = _labels_at(stamps, at[:, :3], labels)
    if taught is not None and not np.isfinite(taught).all():
        raise BagError(f"{path} has labels on {LABELS} that are not finite: record it again, or leave the topic out")
    what_ifs = (
        None if taught_times is None else _what_ifs_at(path, stamps, at[:, :3], taught_times, asked, goal is not None)
    )
    return Run(
        name=path.name,
        jpegs=[jpeg for _, jpeg, _ in images],
        stamps=stamps,
        poses=at[:, :3],
        twists=at[:, 3:],
        instructions=_told_at([logged for _, _, logged in images], told or [(0, "")]),
        goal=goal,
        labels=taught,
        label_times=taught_times,
        scan=None if focal is None else _scan_at(stamps, scans, bearings, focal),
        what_ifs=what_ifs,
        stop_lines=_stop_lines_at(stamps, stop_lines),
    )


def _told_at(logged: list[int], told: list[tuple[int, str]]) -> tuple[str, ...]:
    """The instruction in force when each frame was recorded; the first one also before it came."""
    times = [time for time, _ in told]
    return tuple(told[max(bisect_right(times, time) - 1, 0)][1] for time in logged)


def _stop_lines_at(stamps: np.ndarray, metres: dict[float, float]) -> np.ndarray | None:
    """(N,) m, or None unless there is one for each frame."""
    wanted = [round(stamp, 6) for stamp in stamps.tolist()]
    return np.array([metres[stamp] for stamp in wanted]) if all(stamp in metres for stamp in wanted) else None


def _track(path: Path, odometry: list[np.ndarray]) -> np.ndarray:
    """In order of time, yaw unwrapped. One value that is not finite would spoil the normalisation of every bag."""
    track = np.array(sorted(odometry, key=lambda row: row[0]))
    bad = track[~np.isfinite(track).all(axis=1), 0]
    if bad.size:
        raise BagError(f"{path} has odometry that is not finite, first at {bad[0]:.2f} s: cut that part out")
    track[:, 3] = np.unwrap(track[:, 3])
    return track


def _valid_ranges(message: object) -> np.ndarray:
    """As sensor_msgs/LaserScan has it: beyond range_max there is nothing (inf), below range_min is no measurement."""
    ranges = np.array(message.ranges, dtype=np.float64)  # type: ignore[attr-defined]
    ranges[ranges < message.range_min] = np.nan  # type: ignore[attr-defined]
    ranges[ranges > message.range_max] = np.inf  # type: ignore[attr-defined]
    return ranges


def _scan_at(
    stamps: np.ndarray, scans: list[tuple[float, np.ndarray]], bearings: np.ndarray, focal: float
) -> Scan | None:
    """The scan nearest to each frame, on bearings from -pi to pi; None when there is none within 0.1 s of one of them,
    or they change size."""
    if not scans or not len(bearings) or any(len(ranges) != len(bearings) for _, ranges in scans):
        return None
    times = np.array([time for time, _ in scans])
    nearest = np.abs(times - stamps[:, None]).argmin(axis=1)
    if np.abs(times[nearest] - stamps).max() > 0.1:
        return None
    # Some lidars turn the other way, some count from 0 to 2 pi.
    wrapped = (bearings + np.pi) % (2 * np.pi) - np.pi
    order = np.argsort(wrapped, kind="stable")
    return Scan(np.stack([scans[i][1] for i in nearest])[:, order], wrapped[order], focal)


def _labels_at(
    stamps: np.ndarray, poses: np.ndarray, labels: list[tuple[float, np.ndarray, np.ndarray]]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    by_stamp = {round(stamp, 6): points for stamp, _, points in labels}
    if not labels or any(round(stamp, 6) not in by_stamp for stamp in stamps.tolist()):
        return None, None
    if len({len(points) for points in by_stamp.values()}) > 1:
        return None, None
    points = np.stack([by_stamp[round(stamp, 6)] for stamp in stamps.tolist()])
    return relative_poses(points, poses[:, None]), labels[0][1]


def _what_ifs_at(
    path: Path,
    stamps: np.ndarray,
    poses: np.ndarray,
    label_times: np.ndarray,
    asked: dict[str, list[tuple[float, Any]]],
    has_goal: bool,
) -> WhatIfs | None:
    """The first motion, the first trajectory, the first goal where the run has one, and the first instruction where
    there are any, are one answer, and so on. None when there is none."""
    by_topic = [[round(stamp, 6) for stamp, _ in asked[topic]] for topic in WHAT_IF]
    times = by_topic[0]
    wanted = [True, has_goal or bool(by_topic[2]), bool(by_topic[3])]
    if any(found != times for found, needed in zip(by_topic[1:], wanted) if needed):
        raise BagError(f"{path} has answers under /expert/what_if that lack a part: record it again, or leave them out")
    twists, plans, goals, texts = ([value for _, value in asked[topic]] for topic in WHAT_IF)
    if any(len(plan) != len(label_times) or not np.allclose(plan[:, 0], label_times) for plan in plans):
        raise BagError(f"{path} has answers under /expert/what_if at other times than {LABELS}: record it again")
    number = {round(stamp, 6): i for i, stamp in enumerate(stamps.tolist())}
    kept = [i for i, time in enumerate(times) if time in number]
    if not kept:
        return None
    frame = np.array([number[times[i]] for i in kept])
    labels = relative_poses(np.stack([plans[i][:, 1:] for i in kept]), poses[frame][:, None])
    found = WhatIfs(
        frame,
        np.array([twists[i] for i in kept]),
        labels,
        np.array([goals[i] for i in kept]) if goals else None,
        tuple(texts[i] for i in kept) if texts else None,
    )
    numbers = [found.twists, found.labels, *([] if found.goals is None else [found.goals])]
    if not all(np.isfinite(part).all() for part in numbers):
        raise BagError(f"{path} has answers under /expert/what_if that are not finite: record it again")
    return found


def _question(message: Any, logged: int) -> tuple[float, Any]:
    """The stamp, and what one of the messages of an answer says: a twist (3,), a goal (2,), a plan (H, 4), time and
    pose, or an instruction, which has no stamp but that of the recording."""
    if hasattr(message, "data"):
        return 1e-9 * logged, message.data
    stamp = seconds(message.header.stamp)
    if hasattr(message, "twist"):
        return stamp, np.array(planar_twist(message.twist.twist))
    if hasattr(message, "points"):
        times = [seconds(point.time_from_start) for point in message.points]
        return stamp, np.column_stack([times, _points(message)])
    x, y, _ = planar_pose(message.pose)
    return stamp, np.array([x, y])


def _points(message: Any) -> np.ndarray:
    return np.array([planar_pose(point.pose) for point in message.points])


def _encoded(message: Any) -> bytes:
    """Of a compressed image as it is; of pixels losslessly."""
    if hasattr(message, "format"):
        return bytes(message.data)
    return cv2.imencode(".png", message_to_cvimage(message, "bgr8"))[1].tobytes()
