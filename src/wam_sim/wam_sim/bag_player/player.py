"""When what is published: a recording cut into ticks of its clock, and those onto a steady clock. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from wam_sim.bag_player.tape import Sample

TICK = 0.01  # s of the recording; a message is at most this late, and a stamp never in the future
# s without any message over which the clock jumps: a robot that was switched off, or whose clock was set.
LONGEST_GAP = 10.0
# s behind the steady clock from which on time waits: pictures that come in a rush overwrite each other.
_HELD_UP = 0.1


@dataclass(frozen=True)
class Tick:
    """clock: s on the recording's clock, and what has happened by then, since the tick before. jumps: it does not
    follow on the tick before, being the first, after a gap, or earlier."""

    clock: float
    samples: tuple[Sample, ...]
    jumps: bool = False


def lap_ticks(samples: Iterable[Sample]) -> Iterator[Tick]:
    """samples: in order; one that is earlier than a tick ago began anew. Every sample is in one tick, none before its
    moment."""
    clock, due, jumps = 0.0, list[Sample](), True
    for sample in samples:
        if (jumps and not due) or not -TICK <= sample.moment - clock <= LONGEST_GAP:
            if due:
                yield Tick(clock, tuple(due), jumps)
            clock, due, jumps = sample.moment, [], True
        while sample.moment > clock:
            yield Tick(clock, tuple(due), jumps)
            clock, due, jumps = clock + TICK, [], False
        due.append(sample)
    if due:
        yield Tick(clock, tuple(due), jumps)


def ticks(lap: Callable[[], Iterable[Sample]], loop: bool) -> Iterator[Tick]:
    """Of one lap, or of laps for ever, which jump back to their beginning."""
    yield from lap_ticks(lap())
    while loop:
        yield from lap_ticks(lap())


class Pace:
    """Ticks onto a steady clock. held: s in all by which the recording has been played more slowly than it was asked
    for, because whoever plays was held up."""

    def __init__(self, rate: float) -> None:
        """rate: seconds of the recording in a second."""
        self.held = 0.0
        self._rate = rate
        self._anchor = (0.0, 0.0)  # s of the steady clock, and what the recording's clock is then

    def due(self, tick: Tick, now: float) -> float:
        """s of the steady clock at which a tick is due; asked of each once, in order. now: s of the steady clock."""
        if tick.jumps:
            self._anchor = now, tick.clock
        begun, clock = self._anchor
        due = begun + (tick.clock - clock) / self._rate
        if now - due > _HELD_UP:
            self.held += now - due
            self._anchor = now, tick.clock
            return now
        return due
