"""The moments at which a plan was farthest from what the robot then did, with the picture that it was made from."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wam_models.data.bag_reader import BagReader
from wam_models.data.events import Picture, read_events
from wam_models.data.topics import Topics
from wam_models.data.track import Track
from wam_models.evaluation.replay import PlanErrors, PlanOutcome
from wam_planner.images import ImageError, read_image
from wam_tools.demo.drawing import DRIVEN, PLAN, draw_plan
from wam_tools.message_types import typestore
from wam_tools.replay.job import BagReplay
from wam_tools.replay.mounts import CameraPlace

_APART = 1.0  # s between two of them: neighbours show the same
_AWAY = 0.05  # m from where the recording began, and from where it ended
_WIDTH = 480  # px of a picture in the page
_SAME = 5e-4  # s


@dataclass(frozen=True)
class Moment:
    """seconds: since the first odometry or plan; image: of the camera, as a data URI, or empty; ade, fde: m."""

    bag: str
    seconds: float
    motion: str
    ade: float
    fde: float
    image: str


def worst_moments(
    replays: Sequence[BagReplay], name: str, places: Mapping[Path, CameraPlace | None], count: int = 10
) -> list[Moment]:
    """Of one policy over all bags, the worst first, between the first and the last motion: who is not engaged stands,
    whatever it plans. places: of the cameras, by bag; nothing is drawn into pictures that were taken from nobody knows
    where. Reads the bags once more, for the pictures."""
    ranked = sorted(
        (
            (-float(errors.errors.mean()), number, outcome, errors)
            for number, replay in enumerate(replays)
            if name in replay.models
            for outcome, errors in zip(replay.models[name].outcomes, replay.models[name].compared, strict=True)
            if errors is not None and _under_way(replay.track, outcome.stamp)
        ),
        key=lambda row: row[:2],
    )
    chosen: list[tuple[int, PlanOutcome, PlanErrors]] = []
    for _, number, outcome, errors in ranked:
        near = any(number == other and abs(outcome.stamp - it.stamp) < _APART for other, it, _ in chosen)
        if not near:
            chosen.append((number, outcome, errors))
        if len(chosen) == count:
            break
    pictures = {
        number: _pictures(replay, [outcome.stamp for other, outcome, _ in chosen if other == number])
        for number, replay in enumerate(replays)
    }
    return [
        Moment(
            replays[number].name,
            outcome.stamp - replays[number].first_stamp,
            errors.motion,
            float(errors.errors.mean()),
            float(errors.errors[-1]),
            _drawn(pictures[number].get(outcome.stamp), outcome, errors, replays[number], places[replays[number].bag]),
        )
        for number, outcome, errors in chosen
    ]


def _under_way(track: Track, stamp: float) -> bool:
    places = track.at(np.array([track.stamps[0], stamp, track.stamps[-1]]))[:, :2]
    return all(float(np.hypot(*(places[1] - end))) > _AWAY for end in (places[0], places[2]))


def _pictures(replay: BagReplay, stamps: Sequence[float]) -> dict[float, np.ndarray]:
    """stamp -> BGR, of the first camera."""
    found: dict[float, np.ndarray] = {}
    if not stamps:
        return found
    camera, topic = next(iter(replay.topics.cameras.items()))
    with BagReader(replay.bag, typestore) as bag:
        for event in read_events(bag, Topics({camera: topic}), replay.start, replay.start + replay.seconds):
            if not isinstance(event, Picture):
                continue
            for stamp in stamps:
                if abs(event.stamp - stamp) < _SAME and stamp not in found:
                    try:
                        found[stamp] = read_image(event.message)[..., ::-1]
                    except ImageError:
                        continue
    return found


def _drawn(
    image: np.ndarray | None, outcome: PlanOutcome, errors: PlanErrors, replay: BagReplay, place: CameraPlace | None
) -> str:
    """With the plan in green and what was driven in orange, where the bag says what lens it was seen through."""
    if image is None or outcome.poses is None:
        return ""
    height, width = image.shape[:2]
    scale = _WIDTH / width
    picture = np.asarray(cv2.resize(image, (_WIDTH, round(height * scale)), interpolation=cv2.INTER_AREA))
    lens = place.lens(replay, (height, width), scale) if place is not None else None
    if lens is not None and place is not None:
        here = np.zeros(4)  # both lines are given in base_link
        picture = draw_plan(picture, errors.truth, here, lens, 0.5 * place.width, DRIVEN)
        picture = draw_plan(picture, outcome.poses, here, lens, place.width, PLAN)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
