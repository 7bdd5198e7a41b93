"""Runs in the yard recorded as MCAP bags, with the topics and types a robot records: raw material for training.

Beside what a robot has, a bag holds `expert/trajectory`: what the expert would have done at each frame, whoever drove.
`scan` is what a flat lidar beside the camera would have measured; only training reads it. `expert/what_if/...` is there
when it was asked for: the expert's answers to questions about the same view.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from wam_controller.tracker import make_reference
from wam_models.checkpoint import open_checkpoint
from wam_models.policy import Policy, load_policy
from wam_models.types import Trajectory
from wam_sim.expert import YardExpert
from wam_sim.ranging import BEARINGS, MAX_RANGE, scan, segments_of
from wam_sim.rollout import Driver, ExpertDriver, PolicyDriver, walk
from wam_sim.scene import HORIZONTAL_FOV
from wam_sim.simulation import YardSimulation
from wam_sim.starts import STARTS
from wam_sim.what_ifs import Questioner, WhatIf
from wam_sim.worlds import YardWorld, make_world

# Counts up whenever a world and an episode give another run.
RECORDER = 1
FRAME_PERIOD = 0.25  # s: the spacing of the trajectories
JPEG_QUALITY = 92

# Said in the field's plain words; the pace is what each asks for.
INSTRUCTIONS = {
    "normally": ("walk to the goal", "go to the goal", "head for the goal", "walk to the target", "go to the target"),
    "slowly": ("walk slowly to the goal", "go slowly to the goal", "walk carefully to the target"),
    "briskly": ("walk quickly to the goal", "go quickly to the target", "hurry to the goal"),
}

_TRAJECTORY_TYPES = {
    "wam_msgs/msg/TrajectoryPoint": (
        "builtin_interfaces/Duration time_from_start\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Twist velocity\ngeometry_msgs/Accel acceleration\n"
    ),
    "wam_msgs/msg/Trajectory": (
        "std_msgs/Header header\nwam_msgs/TrajectoryPoint[] points\nbuiltin_interfaces/Duration horizon\n"
        "string model_id\nuint32 epoch\nfloat32 confidence\n"
    ),
}


def bag_types() -> Typestore:
    """Types of ROS 2 Jazzy and this project's trajectory."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in _TRAJECTORY_TYPES.items():
        store.register(get_types_from_msg(text, name))
    return store


class RunRecorder:
    """Writes one run. Raises FileExistsError when the bag is there already; a run that dies leaves no half bag."""

    def __init__(self, path: Path, world: YardWorld, instruction: str, note: dict[str, object]) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists: give another folder or remove it")
        self._final = path
        self._partial = path.parent / ".partial" / path.name
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        self._types = bag_types()
        self._writer = Writer(self._partial, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_custom_data("run", json.dumps({"world": world.name, **note}))
        self._instruction, self._goal = instruction, world.goal
        self._first = True
        self._connections: dict[str, object] = {}

    def __enter__(self) -> RunRecorder:
        self._writer.open()
        for topic, kind in (
            ("camera/front/image/compressed", "sensor_msgs/msg/CompressedImage"),
            ("camera/front/camera_info", "sensor_msgs/msg/CameraInfo"),
            ("odom", "nav_msgs/msg/Odometry"),
            ("instruction", "std_msgs/msg/String"),
            ("goal", "geometry_msgs/msg/PoseStamped"),
            ("expert/trajectory", "wam_msgs/msg/Trajectory"),
            ("scan", "sensor_msgs/msg/LaserScan"),
            ("expert/what_if/odom", "nav_msgs/msg/Odometry"),
            ("expert/what_if/goal", "geometry_msgs/msg/PoseStamped"),
            ("expert/what_if/trajectory", "wam_msgs/msg/Trajectory"),
        ):
            self._connections[topic] = self._writer.add_connection(f"/{topic}", kind, typestore=self._types)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._writer.close()
        if kind is None:
            self._partial.rename(self._final)
        else:
            shutil.rmtree(self._partial, ignore_errors=True)

    def frame(
        self,
        time: float,
        image: np.ndarray,
        pose: np.ndarray,
        twist: np.ndarray,
        plan: Trajectory,
        ranges: np.ndarray,
    ) -> None:
        """One camera frame (uint8 (H, W, 3) RGB) with pose, twist, the expert's plan and the lidar's ranges (m, on
        ranging.BEARINGS) of the same instant."""
        t = self._types.types
        stamp = _stamp(t, time)
        header = t["std_msgs/msg/Header"](stamp, "camera_front_optical_frame")
        ok, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not ok:
            raise ValueError(f"an image of shape {image.shape} could not be encoded as JPEG")
        compressed = t["sensor_msgs/msg/CompressedImage"](header, "jpeg", jpeg.ravel())
        self._write("camera/front/image/compressed", time, compressed)
        self._write("camera/front/camera_info", time, self._camera_info(header, image.shape[:2]))
        self._write("odom", time, self._odometry(stamp, pose, twist))
        if self._first:
            self._write("instruction", time, t["std_msgs/msg/String"](self._instruction))
            self._write("goal", time, self._goal_message(stamp, self._goal))
            self._first = False
        self._write("expert/trajectory", time, self._trajectory(stamp, plan, pose))
        self._write("scan", time, self._scan(stamp, ranges))

    def what_if(self, time: float, pose: np.ndarray, answer: WhatIf) -> None:
        """One answer about the frame of this instant: three messages with its stamp, the motion and the goal that it
        was asked about and the plan."""
        stamp = _stamp(self._types.types, time)
        self._write("expert/what_if/odom", time, self._odometry(stamp, pose, answer.twist))
        self._write("expert/what_if/goal", time, self._goal_message(stamp, answer.goal))
        self._write("expert/what_if/trajectory", time, self._trajectory(stamp, answer.plan, pose))

    def _write(self, topic: str, time: float, message: object) -> None:
        kind = self._connections[topic].msgtype  # type: ignore[attr-defined]
        data = self._types.serialize_cdr(message, kind)
        self._writer.write(self._connections[topic], int(round(time * 1e9)), data)  # type: ignore[arg-type]

    def _camera_info(self, header: object, size: tuple[int, int]) -> object:
        height, width = size
        focal = width / 2 / np.tan(HORIZONTAL_FOV / 2)
        k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1.0])
        p = np.insert(k, [3, 6, 9], 0.0)
        t = self._types.types
        region = t["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        return t["sensor_msgs/msg/CameraInfo"](
            header, height, width, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), p, 0, 0, region
        )

    def _scan(self, stamp: object, ranges: np.ndarray) -> object:
        t = self._types.types
        header = t["std_msgs/msg/Header"](stamp, "camera_front_link")
        first, last, step = float(BEARINGS[0]), float(BEARINGS[-1]), float(BEARINGS[1] - BEARINGS[0])
        nothing = np.zeros(0, np.float32)
        return t["sensor_msgs/msg/LaserScan"](
            header, first, last, step, 0.0, FRAME_PERIOD, 0.0, MAX_RANGE, ranges.astype(np.float32), nothing
        )

    def _pose(self, pose: np.ndarray | tuple[float, float, float]) -> object:
        t = self._types.types
        half = float(pose[2]) / 2
        return t["geometry_msgs/msg/Pose"](
            t["geometry_msgs/msg/Point"](float(pose[0]), float(pose[1]), 0.0),
            t["geometry_msgs/msg/Quaternion"](0.0, 0.0, float(np.sin(half)), float(np.cos(half))),
        )

    def _goal_message(self, stamp: object, goal: tuple[float, float]) -> object:
        t = self._types.types
        header = t["std_msgs/msg/Header"](stamp, "odom")
        return t["geometry_msgs/msg/PoseStamped"](header, self._pose((*goal, 0.0)))

    def _twist(self, twist: np.ndarray) -> object:
        t = self._types.types
        vector = t["geometry_msgs/msg/Vector3"]
        return t["geometry_msgs/msg/Twist"](
            vector(float(twist[0]), float(twist[1]), 0.0), vector(0.0, 0.0, float(twist[2]))
        )

    def _odometry(self, stamp: object, pose: np.ndarray, twist: np.ndarray) -> object:
        t = self._types.types
        return t["nav_msgs/msg/Odometry"](
            t["std_msgs/msg/Header"](stamp, "odom"),
            "base_link",
            t["geometry_msgs/msg/PoseWithCovariance"](self._pose(pose), np.zeros(36)),
            t["geometry_msgs/msg/TwistWithCovariance"](self._twist(twist), np.zeros(36)),
        )

    def _trajectory(self, stamp: object, plan: Trajectory, pose: np.ndarray) -> object:
        t = self._types.types
        reference = make_reference(plan, pose)
        nan = t["geometry_msgs/msg/Vector3"](*(float("nan"),) * 3)
        absent = t["geometry_msgs/msg/Accel"](nan, nan)
        points = [
            t["wam_msgs/msg/TrajectoryPoint"](_duration(t, time), self._pose(point), self._twist(velocity), absent)
            for time, point, velocity in zip(reference.times, reference.poses, reference.velocities, strict=True)
        ]
        header = t["std_msgs/msg/Header"](stamp, "odom")
        return t["wam_msgs/msg/Trajectory"](header, points, _duration(t, plan.horizon), "expert", 0, float("nan"))


def _stamp(types: dict[str, type], time: float) -> object:
    nanoseconds = int(round(time * 1e9))
    return types["builtin_interfaces/msg/Time"](nanoseconds // 10**9, nanoseconds % 10**9)


def _duration(types: dict[str, type], time: float) -> object:
    nanoseconds = int(round(time * 1e9))
    return types["builtin_interfaces/msg/Duration"](nanoseconds // 10**9, nanoseconds % 10**9)


@dataclass(frozen=True)
class RecordedRun:
    """What record_run made: the bag, its number of frames, and how the run ended."""

    path: Path
    frames: int
    reached: bool
    contact: bool


def record_run(
    path: Path,
    split: str,
    seed: int,
    *,
    episode: int = 0,
    starts: str = "lane",
    what_ifs: int = 0,
    driver: Callable[[YardSimulation, str], Driver] | None = None,
    time_limit: float | None = None,
) -> RecordedRun:
    """One run in the world (split, seed), kept as a bag at `path`.

    episode varies start, instruction, disturbances and noise within a world; starts: a key of STARTS; what_ifs: how
    many questions the expert is asked at each frame; time_limit: s, other than that of the starts. driver: (simulation,
    instruction) -> Driver, default the expert, pushed off its way now and then, so that the bag shows how to get back.
    """
    rng = np.random.default_rng([seed, episode, 79])
    pace = str(rng.choice(list(INSTRUCTIONS), p=(0.7, 0.15, 0.15)))
    instruction = str(rng.choice(INSTRUCTIONS[pace]))
    begin = STARTS[starts].draw(_world(split, seed), episode, rng)
    world, twist = begin.world, (begin.speed, 0.0, 0.0)
    simulation = YardSimulation(world, seed=1000 * seed + episode, pose=begin.pose, twist=twist)
    expert = YardExpert(world, pace)
    teacher = ExpertDriver(expert)
    driving = teacher if driver is None else driver(simulation, instruction)
    questioner = None
    if what_ifs:
        questioner = Questioner(world, begin.pose[:2], pace, what_ifs, np.random.default_rng([seed, episode, 80]))
    segments = segments_of(world.static_footprints)
    frames = 0
    with RunRecorder(path, world, instruction, {"pace": pace, "episode": episode}) as recorder:

        def keep(now: YardSimulation, plan: Trajectory | None) -> None:
            nonlocal frames
            label = plan if driving is teacher and plan is not None else teacher.plan(now)
            ranges = scan(segments, now.pose, now.walkers)
            recorder.frame(now.time, now.render(), now.pose, now.twist, label, ranges)
            for answer in questioner.ask(now) if questioner else ():
                recorder.what_if(now.time, now.pose, answer)
            frames += 1

        result = walk(
            simulation,
            driving,
            plan_period=FRAME_PERIOD,
            latency=float(rng.uniform(0.06, 0.16)),
            time_limit=STARTS[starts].time_limit if time_limit is None else time_limit,
            disturb=_Pushes(rng) if driver is None else None,
            on_plan=keep,
        )
    simulation.close()
    return RecordedRun(path, frames, result.reached, result.contact)


def _record_one(job: tuple[Path, str, int, int, str, int, Path | None]) -> RecordedRun:
    path, split, seed, episode, starts, what_ifs, checkpoint = job
    driver = None
    if checkpoint is not None:

        def driver(_: YardSimulation, instruction: str) -> Driver:
            return PolicyDriver(_student(checkpoint), instruction)

    return record_run(path, split, seed, episode=episode, starts=starts, what_ifs=what_ifs, driver=driver)


_world = lru_cache(maxsize=1)(make_world)  # a worker makes the runs of a world one after the other


@lru_cache(maxsize=1)
def _student(checkpoint: Path) -> Policy:
    return load_policy(checkpoint, threads=1)  # the workers share the cores


def record_runs(
    folder: Path,
    split: str,
    runs: int,
    *,
    workers: int = 1,
    first_seed: int = 0,
    starts: str = "lane",
    what_ifs: int = 0,
    policy: Path | None = None,
) -> Iterator[RecordedRun]:
    """Runs as bags in `folder`; those that are there already are kept and skipped.

    The expert drives; or the policy of a checkpoint does, and the expert says at each frame what it would have done.
    starts: a key of STARTS; what_ifs: as in record_run. Raises FileExistsError when the folder holds runs of another
    policy, with other starts or questions, or of another version of this recorder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    driver = "expert" if policy is None else open_checkpoint(policy).model_id
    _claim(folder, {"recorder": RECORDER, "driver": driver, "starts": starts, "what_ifs": what_ifs})
    missing = missing_runs(folder, split, runs, first_seed, starts)
    jobs = [(path, split, seed, episode, starts, what_ifs, policy) for path, seed, episode in missing]
    # spawn: a forked child would share its parent's GL context
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_record_one, jobs)  # in order, and so mostly the same world again


def missing_runs(folder: Path, split: str, runs: int, first_seed: int, starts: str) -> list[tuple[Path, int, int]]:
    """Of the runs that `record_runs` makes, those that are not there: path, seed of the world, and which in it."""
    each = STARTS[starts].each
    wanted = [(first_seed + number // each, number % each) for number in range(runs)]
    paths = [(folder / f"{split}-{seed:05d}-{episode}", seed, episode) for seed, episode in wanted]
    return [(path, seed, episode) for path, seed, episode in paths if not path.exists()]


def _claim(folder: Path, ours: dict[str, object]) -> None:
    """Runs are known by their names alone, so a folder says whose they are."""
    note = folder / "made_by.json"
    if not note.exists():
        note.write_text(json.dumps(ours) + "\n")
        return
    theirs = json.loads(note.read_text())
    theirs.setdefault("what_ifs", 0)  # older notes do not mention what there was not
    if theirs != ours:
        raise FileExistsError(
            f"{folder} holds runs made by {_said(theirs)}; wanted are runs by {_said(ours)}: "
            "delete the folder, or record into another one"
        )


def _said(claim: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in claim.items())


class _Pushes:
    """Adds to the command for about three quarters of a second in every three: a slip, a shove, a wrong turn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._until = self._next = float(rng.uniform(0.5, 3.0))
        self._push = np.zeros(3)

    def __call__(self, time: float, command: np.ndarray) -> np.ndarray:
        if time >= self._next:
            self._until = time + float(self._rng.uniform(0.4, 1.1))
            self._next = self._until + float(self._rng.exponential(2.0)) + 0.6
            self._push = self._rng.normal(0, [0.15, 0.15, 0.7])
        return command + self._push if time < self._until else command
