"""A replay as a recording for the Rerun viewer: pictures, plans in space and scores on one clock."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wam_planner.images import ImageError, read_image
from wam_tools.replay.figures import rgb_of
from wam_tools.replay.job import BagReplay, Job, Replayed
from wam_tools.replay.mounts import CameraPlace
from wam_tools.replay.playback import in_odometry, instants, pieces

if TYPE_CHECKING:
    import rerun as rr

_CLOCK = "stamp"  # of the pictures, since 1970
_BASE, _CAMERA, _DRIVEN, _GOAL = "odom/base_link", "odom/base_link/camera", "odom/driven", "odom/goal"
_DRIVEN_COLOUR, _GOAL_COLOUR, _BROKEN_COLOUR = (255, 160, 40), (230, 70, 70), (225, 50, 50)  # RGB
_LIFT = 0.02  # m above the ground, of lines: the viewer draws its grid there
_QUALITY = 90  # of pictures that the bag holds as pixels
_ENDS = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png"}


class RerunMissing(ValueError):
    """The library is not installed; the text says how it is."""


def load_rerun() -> Any:
    """The library. Raises RerunMissing."""
    try:
        import rerun
        import rerun.blueprint
    except ImportError as error:
        raise RerunMissing(f"--rerun needs rerun-sdk: pip install -r requirements/desk.txt ({error})") from error
    return rerun


def write_rerun(path: Path, replay: BagReplay, job: Job, names: Sequence[str], place: CameraPlace | None) -> None:
    """names: of the policies, in the order of the report; place: of the first camera, or None where nobody knows it:
    its pictures then stand beside the ground. Reads the bag's pictures once more; what is logged goes to the file and
    nowhere else. Raises RerunMissing, BagError and OSError."""
    rr = load_rerun()
    present = [name for name in names if name in replay.models]
    seen_from_robot = place is not None and replay.camera is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    recording = rr.RecordingStream("wam_replay")
    recording.set_log_time_enabled(False)  # when it was written here is of no interest
    recording.save(path, default_blueprint=_blueprint(rr, present, _CAMERA if seen_from_robot else "camera"))
    recording.send_recording_name(replay.name)
    _log_ground(rr, recording, replay)
    if seen_from_robot and place is not None:
        _log_camera(rr, recording, replay, place)
    for number, name in enumerate(names):
        if name in replay.models:
            _log_policy(rr, recording, _entity(name), replay.models[name], rgb_of(number))
    _log_pictures(rr, recording, replay, job, _CAMERA if seen_from_robot else "camera")
    recording.flush()
    recording.disconnect()


def _blueprint(rr: Any, names: Sequence[str], camera: str) -> Any:
    """The camera with the plans in it, the ground, scores over time and what was refused."""
    views = rr.blueprint
    lines = ["/odom/plans/**", f"/{_DRIVEN}", f"/{_GOAL}"]
    return views.Blueprint(
        views.Vertical(
            views.Horizontal(
                views.Spatial2DView(origin=f"/{camera}", contents=["$origin/**", *lines], name="camera"),
                views.Spatial3DView(origin="/odom", contents="/odom/**", name="ground"),
            ),
            views.Horizontal(
                views.TimeSeriesView(origin="/ade", name="ADE (m)"),
                views.TimeSeriesView(origin="/speed", name="speed (m/s)"),
                views.TextLogView(origin="/not_driven", name="not driven"),
            ),
            row_shares=[2, 1],
        ),
        views.TimePanel(timeline=_CLOCK, state="collapsed"),
        collapse_panels=True,
    )


def _log_ground(rr: Any, recording: rr.RecordingStream, replay: BagReplay) -> None:
    recording.log("odom", rr.ViewCoordinates.FLU, static=True)
    way = [_raised(piece[:, 1:]) for piece in pieces(replay)]
    recording.log(_DRIVEN, rr.LineStrips3D(way, colors=[_DRIVEN_COLOUR], radii=[0.02]), static=True)
    stamps, poses = replay.track.stamps, replay.track.poses
    if len(stamps) < 2:
        return
    rotations = [_about_up(yaw) for yaw in poses[:, 2]]
    places = rr.Transform3D.columns(translation=_raised(poses, 0.0), quaternion=rotations)
    recording.send_columns(_BASE, [rr.TimeColumn(_CLOCK, timestamp=stamps)], places)
    middles = 0.5 * (stamps[1:] + stamps[:-1])
    known = np.isfinite(replay.track.at(middles)).all(axis=1)
    speeds = np.hypot(*np.diff(poses[:, :2], axis=0).T) / np.diff(stamps)
    when = [rr.TimeColumn(_CLOCK, timestamp=middles[known])]
    recording.send_columns("speed/driven", when, rr.Scalars.columns(scalars=speeds[known]))
    recording.log("speed/driven", rr.SeriesLines(colors=[_DRIVEN_COLOUR], names=["driven"]), static=True)


def _log_camera(rr: Any, recording: rr.RecordingStream, replay: BagReplay, place: CameraPlace) -> None:
    """base_link of the recording stands on the ground here, as the place is measured from there."""
    assert replay.camera is not None
    height, width = replay.camera.size
    sin, cos = math.sin(place.pitch), math.cos(place.pitch)
    # Columns: the optical axes x right, y down, z ahead in base_link, the nose down by the pitch.
    turned = np.array([[0.0, -sin, cos], [-1.0, 0.0, 0.0], [0.0, -cos, -sin]])
    recording.log(_CAMERA, rr.Transform3D(translation=place.position, mat3x3=turned), static=True)
    lens = rr.Pinhole(
        image_from_camera=replay.camera.matrix,
        resolution=[width, height],
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=0.5,
    )
    recording.log(_CAMERA, lens, static=True)


def _log_policy(
    rr: Any, recording: rr.RecordingStream, name: str, ride: Replayed, colour: tuple[int, int, int]
) -> None:
    """Its plans in space, its scores, and what was not driven."""
    recording.log(f"ade/{name}", rr.SeriesLines(colors=[colour], names=[name]), static=True)
    for outcome, errors in zip(ride.outcomes, ride.compared, strict=True):
        recording.set_time(_CLOCK, timestamp=outcome.stamp)
        lines = []
        if outcome.poses is not None:
            lines = [_raised(np.vstack([outcome.pose, in_odometry(outcome.pose, outcome.poses)]))]
        shown = colour if outcome.driven else _BROKEN_COLOUR
        recording.log(f"odom/plans/{name}", rr.LineStrips3D(lines, colors=[shown], radii=[0.03]))
        if errors is not None:
            recording.log(f"ade/{name}", rr.Scalars(float(errors.errors.mean())))
        for reason in (*filter(None, [outcome.refusal]), *outcome.violations):
            recording.log(f"not_driven/{name}", rr.TextLog(reason, level=rr.TextLogLevel.WARN))


def _log_pictures(rr: Any, recording: rr.RecordingStream, replay: BagReplay, job: Job, camera: str) -> None:
    """As the bag holds them, with the goal and the instruction where these change."""
    goal, instruction = None, ""
    for instant in instants(replay, job):
        recording.set_time(_CLOCK, timestamp=instant.picture.stamp)
        if instant.goal is not None and instant.goal != goal:
            goal = instant.goal
            recording.log(_GOAL, rr.Points3D([[*goal, _LIFT]], colors=[_GOAL_COLOUR], radii=[0.1]))
        if instant.instruction != instruction:
            instruction = instant.instruction
            recording.log("instruction", rr.TextLog(instruction, level=rr.TextLogLevel.INFO))
        encoded = _encoded(instant.picture.message)
        if encoded is not None:
            contents, kind = encoded
            recording.log(camera, rr.EncodedImage(contents=contents, media_type=kind))


def _encoded(message: Any) -> tuple[bytes, str] | None:
    """The picture's bytes and their kind; None for one that cannot be read."""
    data = bytes(message.data)
    kind = _ENDS.get(data[:2])
    if kind is not None and not hasattr(message, "encoding"):
        return data, kind
    try:
        image = read_image(message)[..., ::-1]
    except ImageError:
        return None
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes(), "image/jpeg"


def _raised(poses: np.ndarray, height: float = _LIFT) -> np.ndarray:
    """(N, 3) points on the ground, or `height` m above it."""
    return np.column_stack([poses[:, :2], np.full(len(poses), height)])


def _about_up(yaw: float) -> tuple[float, float, float, float]:
    """x, y, z, w."""
    return 0.0, 0.0, math.sin(0.5 * yaw), math.cos(0.5 * yaw)


def _entity(name: str) -> str:
    """A policy's name as a part of an entity's path."""
    return re.sub(r"[^0-9A-Za-z_-]", "_", name)
