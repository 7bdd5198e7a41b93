"""What the expert would do in the same place at another speed, or told something else.

A policy that only ever saw drives knows its teacher's habits: who is told to turn left is in the left of two lanes of
thought long before the junction, who stands will stand. With the picture as it was and the rest drawn anew, the picture
and the words are left to tell.
"""

from __future__ import annotations

import numpy as np

from wam_sim.run_recorder import WhatIf
from wam_sim.town.expert import TownExpert
from wam_sim.town.instructions import SAID_BEFORE, SAYINGS, said
from wam_sim.town.simulation import TownSimulation
from wam_sim.town.ways import Way

_TOP_SPEED = 7.0  # m/s
# m: nearer to its junction a turn can no longer be changed; farther from one an instruction to turn cannot be meant.
_TOO_LATE = 3.0
_NOT_MEANT = SAID_BEFORE + 8.0


class TownQuestioner:
    """Asks the expert of one drive, at any moment of it. count: questions a moment."""

    def __init__(self, simulation: TownSimulation, expert: TownExpert, count: int, rng: np.random.Generator) -> None:
        self._simulation, self._expert, self._count, self._rng = simulation, expert, count, rng
        self._turns = {(way.enters_from, way.id): way.turn for way in simulation.network.connections}

    def ask(self) -> list[WhatIf]:
        """Answers for where the car is now: every second for another turn, where one can still be taken; the others
        for another speed, or for an instruction that cannot be meant."""
        answers = []
        for number in range(self._count):
            way, text = self._another_turn() if number % 2 == 0 else (None, None)
            if text is None:
                text = self._nonsense()
            # Where the words are those of the drive the speed is not, or nothing would be asked.
            speed = float(self._rng.uniform(0.0, _TOP_SPEED)) if text is None or self._rng.random() < 0.5 else None
            text = text or self._simulation.instruction
            plan = self._expert.plan(way, speed)
            twist = self._simulation.twist
            if speed is not None:
                now = max(self._simulation.state.speed, 0.5)
                twist = np.array([speed, *(twist[1:] * min(speed / now, 2.0))])
            answers.append(WhatIf(twist, plan, instruction=text))
        return answers

    def _another_turn(self) -> tuple[Way | None, str | None]:
        simulation = self._simulation
        ego = simulation.ego
        entry = ego.way.next_entry(ego.s)
        if entry is None or not _TOO_LATE < entry.at - ego.s < SAID_BEFORE:
            return None, None
        index = ego.way.begins.index(entry.at)
        before, taken = ego.way.lanes[index - 1], ego.way.lanes[index]
        others = [lane for lane in simulation.table.lanes[before].following if lane != taken]
        if not others:
            return None, None
        lane = others[int(self._rng.integers(len(others)))]
        text = said(self._turns[before, lane.road], int(self._rng.integers(4)))
        return Way(simulation.table, [*ego.way.lanes[:index], lane]), text

    def _nonsense(self) -> str | None:
        """A turn where no junction is near."""
        ego = self._simulation.ego
        entry = ego.way.next_entry(ego.s)
        if self._rng.random() > 0.4 or (entry is not None and entry.at - ego.s < _NOT_MEANT):
            return None
        keys = [key for key in SAYINGS if key != "follow"]
        return said(str(self._rng.choice(keys)), int(self._rng.integers(4)))
