"""A replay as a video: the camera with the plan and what was driven in it, beside the way from above."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from wam_models.evaluation.replay import PlanErrors, PlanOutcome, placed
from wam_planner.images import ImageError, read_image
from wam_tools.demo.drawing import BROKEN, DRIVEN, GOAL, INK, PLAN, WALL, Canvas, Colour, caption, draw_plan, strip
from wam_tools.demo.media import write_frames
from wam_tools.replay.figures import rgb_of
from wam_tools.replay.job import BagReplay, Job
from wam_tools.replay.mounts import CameraPlace
from wam_tools.replay.playback import Instant, Timeline, ahead, driven, in_odometry, instants, pieces

RATE = 10.0  # frames/s of the video, which runs at the speed of the recording
SIZE = (960, 416)  # px, of a frame; both sides are multiples of 16, which H.264 codes in blocks of
_HEIGHT, _WIDEST = 360, 640  # px, of the camera's picture
_STRIPS = (30, 26)  # px: what came of the picture; the instruction
_PAUSE = 2.0  # s that a picture stands at the most, however long the recording has none
_NEAREST = 2.0  # m that the page reaches ahead at the least
_ROBOT_AT = 0.74  # of the page's height, from its top: plans lead ahead
_AROUND = 30.0  # s of the path that is shown, before and after: who goes in circles covers the page with it
_ROBOT_MARK = np.array([[9.0, 0.0], [-6.0, 6.0], [-6.0, -6.0]])  # px, ahead and to the left
_BARS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # m, lengths for the scale


def write_overlay(
    path: Path,
    replay: BagReplay,
    job: Job,
    names: Sequence[str],
    place: CameraPlace | None,
    progress: Callable[[float, float], None] = lambda done, seconds: None,
) -> None:
    """names: of the policies, in the order of the report; the first is the one whose plans are drawn into the picture,
    where `place` says from where that was taken. Reads the bag's pictures once more, and holds one at a time.
    progress: called with the seconds of the recording that are done, and all of them. Raises BagError and OSError."""
    write_frames(path, SIZE, RATE, _Film(replay, names, place).frames(instants(replay, job), progress))


class _Film:
    """Draws the frames of one replay."""

    def __init__(self, replay: BagReplay, names: Sequence[str], place: CameraPlace | None) -> None:
        self._replay, self._place, self._main = replay, place, names[0]
        self._began = replay.first_stamp
        self._plans = {name: Timeline(replay.models[name]) for name in names if name in replay.models}
        rgb = {name: rgb_of(number) for number, name in enumerate(names)}
        self._colours: dict[str, Colour] = {name: (blue, green, red) for name, (red, green, blue) in rgb.items()}
        self._reach = max(_reach(replay), _NEAREST)
        self._way = pieces(replay)

    def frames(self, seen: Iterator[Instant], progress: Callable[[float, float], None]) -> Iterator[np.ndarray]:
        """(height, width, 3) BGR, each picture for as many frames as it stands; none for one that is over before the
        next frame is due."""
        before: Instant | None = None
        owed = 0.0
        for instant in seen:
            if before is not None:
                owed += RATE * float(np.clip(instant.picture.stamp - before.picture.stamp, 0.0, _PAUSE))
                count = round(owed)
                owed -= count
                yield from [self._frame(before)] * count if count else ()
                progress(before.picture.logged - self._replay.start, self._replay.seconds)
            before = instant
        if before is not None:
            yield self._frame(before)

    def _frame(self, instant: Instant) -> np.ndarray:
        stamp = instant.picture.stamp
        newest = {name: found for name, plans in self._plans.items() if (found := plans.newest(stamp))}
        main = newest.get(self._main)
        camera = self._camera(instant, main[0] if main else None)
        above = self._above(instant, (_HEIGHT, SIZE[0] - camera.shape[1]), {n: found[0] for n, found in newest.items()})
        texts = [self._replay.name, f"{stamp - self._began:.1f} s", f"{self._main}: {_verdict(main)}"]
        strips = [strip(SIZE[0], _STRIPS[0], texts), strip(SIZE[0], _STRIPS[1], [_quoted(instant.instruction)])]
        return np.vstack([np.hstack([camera, above]), *strips])

    def _camera(self, instant: Instant, outcome: PlanOutcome | None) -> np.ndarray:
        """As high as the page, unless it is very wide."""
        try:
            image = read_image(instant.picture.message)[..., ::-1]
        except ImageError as error:
            blank = np.full((_HEIGHT, 4 * _HEIGHT // 3, 3), INK, np.uint8)
            caption(blank, str(error))
            return blank
        height, width = image.shape[:2]
        scale = min(_HEIGHT / height, _WIDEST / width)
        shown = (max(2 * round(0.5 * scale * width), 2), max(round(scale * height), 1))
        interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR  # the former is slow
        picture = np.asarray(cv2.resize(image, shown, interpolation=interpolation))
        lens = self._place.lens(self._replay, (height, width), scale) if self._place is not None else None
        if lens is not None and self._place is not None and outcome is not None and outcome.poses is not None:
            here, stamp, wide = np.zeros(4), instant.picture.stamp, self._place.width  # lines are given in base_link
            truth = driven(self._replay, outcome, stamp, instant.pose)
            plan = ahead(outcome, stamp, instant.pose)
            picture = draw_plan(picture, truth, here, lens, 0.4 * wide, DRIVEN) if len(truth) else picture
            colour = PLAN if outcome.driven else BROKEN
            picture = draw_plan(picture, plan, here, lens, wide, colour) if len(plan) else picture
        above = (_HEIGHT - shown[1]) // 2
        below = _HEIGHT - shown[1] - above
        return np.asarray(cv2.copyMakeBorder(picture, above, below, 0, 0, cv2.BORDER_CONSTANT))

    def _above(self, instant: Instant, size: tuple[int, int], newest: dict[str, PlanOutcome]) -> np.ndarray:
        """Seen from above, with what is ahead of the robot up the page. newest: of each policy."""
        scale = (_ROBOT_AT * size[0] - 10.0) / self._reach
        pose, stamp = instant.pose, instant.picture.stamp
        nose = np.array([np.cos(pose[2]), np.sin(pose[2])])
        page = Canvas(size, scale, pose[:2] + (_ROBOT_AT - 0.5) * size[0] / scale * nose, pose[2])
        for piece in self._way:
            near = piece[np.abs(piece[:, 0] - stamp) <= _AROUND, 1:]
            if len(near) > 1:
                page.line(near, DRIVEN, 2)
        if instant.goal is not None:
            page.circle(np.array(instant.goal), 6, GOAL, 2)
            page.circle(np.array(instant.goal), 2, GOAL)
        rows: list[tuple[str, Colour]] = []
        for name, outcome in reversed(newest.items()):  # the first is drawn last, above the others
            if outcome.poses is not None:
                colour = self._colours[name] if outcome.driven else BROKEN
                page.plan(pose, in_odometry(pose, ahead(outcome, stamp, pose)), colour, 3 if name == self._main else 2)
                rows.insert(0, (name if outcome.driven else f"{name}: {_rules(outcome)}", colour))
        page.polygon(placed(pose, _ROBOT_MARK / scale), INK)
        page.legend([*rows, ("driven", DRIVEN), *([("goal", GOAL)] if instant.goal is not None else [])])
        _draw_scale(page.image, scale)
        return page.image


def _draw_scale(image: np.ndarray, scale: float) -> None:
    """How long a round number of metres is, into the lower right corner."""
    height, width = image.shape[:2]
    metres = max((bar for bar in _BARS if bar * scale <= width / 4), default=_BARS[0])
    left, right, base = width - 12 - round(metres * scale), width - 12, height - 12
    cv2.line(image, (left, base), (right, base), WALL, 2)
    cv2.putText(image, f"{metres:g} m", (left, base - 6), cv2.FONT_HERSHEY_DUPLEX, 0.42, INK, 1, cv2.LINE_AA)


def _verdict(found: tuple[PlanOutcome, PlanErrors | None] | None) -> str:
    """What came of the newest picture, in a few words."""
    if found is None:
        return "no plan"
    outcome, errors = found
    if outcome.poses is None:
        return f"no plan, {outcome.refusal}"
    if not outcome.driven:
        return f"not driven, {_rules(outcome)}"
    return "not scored" if errors is None else f"ADE {errors.errors.mean():.2f} m"


def _rules(outcome: PlanOutcome) -> str:
    return ", ".join(outcome.violations)


def _quoted(text: str) -> str:
    return f'"{text}"' if text else "no instruction"


def _reach(replay: BagReplay) -> float:
    """m; few plans of any policy end farther away."""
    ends = [
        float(np.hypot(*outcome.poses[:, :2].T).max())
        for ride in replay.models.values()
        for outcome in ride.outcomes
        if outcome.poses is not None and outcome.driven and len(outcome.poses)
    ]
    return float(np.percentile(ends, 98)) if ends else 0.0
