"""ROS messages to what the planner's pure modules take, and what they give back to messages."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import Path
from sensor_msgs.msg import CompressedImage, Image

from wam_controller.conversions import pose_message, time_message, twist_message
from wam_controller.tracker import make_reference
from wam_models.se2 import Vector
from wam_models.types import Plan
from wam_models.types import Trajectory as PolicyTrajectory
from wam_msgs.msg import Trajectory, TrajectoryCandidates, TrajectoryPoint
from wam_planner.images import decode, read_image

try:
    from cv_bridge import CvBridge

    _BRIDGE = CvBridge()

    def _decode(message: Image | CompressedImage) -> np.ndarray:
        if isinstance(message, CompressedImage):
            return _BRIDGE.compressed_imgmsg_to_cv2(message, "rgb8")
        return _BRIDGE.imgmsg_to_cv2(message, "rgb8")
except ImportError:  # this ROS came without cv_bridge
    _decode = decode


def image_from(message: Image | CompressedImage) -> np.ndarray:
    """See wam_planner.images.read_image, with the decoder of this ROS where it has one."""
    return read_image(message, _decode)


def trajectory_message(trajectory: PolicyTrajectory, pose: Vector, frame: str, model_id: str, epoch: int) -> Trajectory:
    """pose: base_link in `frame` at the trajectory's stamp."""
    reference = make_reference(trajectory, np.array(pose))
    message = Trajectory(model_id=model_id, epoch=epoch, confidence=math.nan)
    message.header.stamp = time_message(trajectory.stamp)
    message.header.frame_id = frame
    for time, point, velocity in zip(reference.times.tolist(), reference.poses.tolist(), reference.velocities):
        message.points.append(_point(time, (point[0], point[1], point[2]), velocity))
    message.horizon = message.points[-1].time_from_start
    return message


def candidates_message(plan: Plan, pose: Vector, frame: str, epoch: int) -> TrajectoryCandidates:
    """All finite candidates of a plan with their scores."""
    kept = [i for i in range(len(plan.candidates)) if np.isfinite(plan.candidates[i]).all()]
    distances = [float(np.abs(plan.candidates[i] - plan.trajectory.poses).max()) for i in kept]
    message = TrajectoryCandidates(
        candidates=[
            trajectory_message(
                PolicyTrajectory(plan.trajectory.stamp, plan.trajectory.dt, plan.candidates[i]),
                pose,
                frame,
                plan.model_id,
                epoch,
            )
            for i in kept
        ],
        scores=[float(plan.scores[i]) for i in kept],
        selected=int(np.argmin(distances)) if kept else 0,
    )
    message.header.stamp = time_message(plan.trajectory.stamp)
    message.header.frame_id = frame
    return message


def path_message(trajectory: Trajectory) -> Path:
    """The same for viewers that know only paths."""
    message = Path(header=trajectory.header)
    for point in trajectory.points:
        message.poses.append(PoseStamped(header=trajectory.header, pose=point.pose))
    return message


def stage_seconds(timings: dict[str, float]) -> tuple[list[str], list[float]]:
    """Names and seconds of a plan's stages from milliseconds by name."""
    return list(timings), [milliseconds / 1000.0 for milliseconds in timings.values()]


def _point(time: float, pose: Vector, velocity: Iterable[float]) -> TrajectoryPoint:
    point = TrajectoryPoint(pose=pose_message(pose), velocity=twist_message(np.array(velocity)))
    stamp = time_message(time)
    point.time_from_start.sec, point.time_from_start.nanosec = stamp.sec, stamp.nanosec
    point.acceleration.linear = _absent().linear
    point.acceleration.angular = _absent().angular
    return point


def _absent() -> Twist:
    message = Twist()
    for vector in (message.linear, message.angular):
        vector.x = vector.y = vector.z = math.nan
    return message
