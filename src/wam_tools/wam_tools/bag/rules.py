"""The rules that replay and training put to a recording."""

from __future__ import annotations

from dataclasses import dataclass

from wam_tools.bag.health import Camera, Health, Motion, Stream

_NEARLY = 0.99  # of a rate: who sends at 10 Hz is a hair below it
# Findings after which something of the recording is not there.
_DAMAGE = ("breaks_off", "unreadable_message", "odometry_not_finite", "twist_not_finite")


@dataclass(frozen=True)
class Check:
    """ok: None for what is only said; why: what a break of the rule does, and what mends it."""

    name: str
    found: str
    rule: str
    ok: bool | None
    why: str = ""


def checks(health: Health) -> list[Check]:
    """All rules against one bag."""
    several = len(health.cameras) > 1
    found = [
        check
        for name, camera in health.cameras.items()
        for check in _of_camera(camera, f"{name}: " if several else "", health.motion is not None)
    ]
    if health.motion is None:
        why = "plans and pictures only: nothing can be scored or trained without it; see `--topics`"
        found.append(Check("odometry", "no", "there", False, why))
    else:
        found += [*_of_odometry(health.odometry), *_of_motion(health.motion, health.seconds)]
    damages = sum(finding.count for finding in health.findings if finding.kind in _DAMAGE)
    why = "see below; `wam bag repair` saves what can be read, `wam bag cut` takes a good part"
    return [*found, Check("damaged messages", str(damages), "none", not damages, why)]


def percent(share: float) -> str:
    """For people."""
    return f"{100 * share:.3g} %"


def _of_camera(camera: Camera, prefix: str, moves: bool) -> list[Check]:
    """prefix: tells it from other cameras; moves: whether there is odometry."""
    stream, pictures = camera.stream, camera.pictures
    found = [
        Check(
            f"{prefix}picture rate",
            f"{stream.rate:.1f} Hz",
            "5 Hz or more",
            stream.rate >= 5.0 * _NEARLY,
            "models look back in steps of 0.2 to 0.25 s: raise the camera's rate",
        ),
        Check(
            f"{prefix}longest gap of pictures",
            f"{stream.gap:.2f} s",
            "0.5 s or less",
            stream.gap <= 0.5,
            "windows across a gap show one picture twice: record over a cable, or cut the bag there",
        ),
        Check(
            f"{prefix}jitter of picture stamps",
            f"{1e3 * stream.jitter:.0f} ms",
            "half an interval or less",
            stream.jitter <= 0.5 / stream.rate,
            "are pictures stamped when they were taken, or when they were sent?",
        ),
        Check(
            f"{prefix}delay of pictures",
            f"{stream.delay:.3f} s",
            "-0.05 to 0.3 s",
            -0.05 <= stream.delay <= 0.3,
            "stamps are by another clock, or late: synchronise the clocks (chrony), or expect `two_clocks` in a replay",
        ),
        Check(
            f"{prefix}unreadable pictures",
            percent(pictures.unreadable),
            "none",
            pictures.unreadable == 0.0,
            "cut that part out",
        ),
        Check(
            f"{prefix}repeated pictures",
            percent(pictures.repeated),
            "1 % or less",
            pictures.repeated <= 0.01,
            "the camera or its driver froze: a model learns that nothing moves",
        ),
        Check(
            f"{prefix}exposure",
            f"{pictures.brightness:.0f} of 255; {percent(pictures.dark)} dark, {percent(pictures.bright)} bright",
            "5 % dark or bright at the most",
            pictures.dark + pictures.bright <= 0.05,
            "the model sees black or white there: set the camera's exposure",
        ),
        Check(f"{prefix}camera_info", "yes" if camera.calibrated else "none: no plan is drawn into pictures", "", None),
    ]
    if moves:
        found.append(
            Check(
                f"{prefix}picture to nearest odometry",
                f"{1e3 * camera.sync:.0f} ms, p99",
                "100 ms or less",
                camera.sync <= 0.1,
                "the planner calls it UNSYNCED and does not plan: are both stamped by one clock?",
            )
        )
    return found


def _of_odometry(stream: Stream) -> list[Check]:
    return [
        Check(
            "odometry rate",
            f"{stream.rate:.1f} Hz",
            "10 Hz or more",
            stream.rate >= 10.0 * _NEARLY,
            "poses between two samples are guessed",
        ),
        Check(
            "longest gap of odometry",
            f"{stream.gap:.2f} s",
            "0.5 s or less",
            stream.gap <= 0.5,
            "no plan across it is scored, and poses in it are a straight line: cut the bag there",
        ),
    ]


def _of_motion(motion: Motion, seconds: float) -> list[Check]:
    agrees = motion.twist_error <= 0.15 and motion.yaw_rate_error <= 0.2
    error = f"{motion.twist_error:.2f} m/s, {motion.yaw_rate_error:.2f} rad/s" if motion.moved else "it never moved"
    return [
        Check(
            "twist against poses",
            error,
            "0.15 m/s, 0.2 rad/s or less",
            agrees if motion.moved else None,
            "the twist is not in base_link, has another sign, or the clock is off: see the driver's frame of velocity",
        ),
        Check(
            "standing",
            percent(motion.standing),
            "60 % or less",
            motion.standing <= 0.6,
            "a model that mostly sees a robot stand learns to stand: cut the ends off",
        ),
        Check("turning", f"{percent(motion.left)} left, {percent(motion.right)} right", "", None),
        Check("way", f"{motion.metres:.1f} m in {seconds:.1f} s", "", None),
    ]
