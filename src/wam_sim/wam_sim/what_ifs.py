"""What the expert would do in the same place with another motion and another goal.

A policy that only ever saw runs knows its teacher's habits: who walks fast has a free way ahead, who has the goal to
the left turns left. With the picture as it was and motion and goal drawn anew, only the picture is left to tell.
"""

from __future__ import annotations

import numpy as np

from wam_models.se2 import compose
from wam_sim.expert import YardExpert, body_clearance
from wam_sim.run_recorder import WhatIf
from wam_sim.simulation import GOAL_RADIUS, YardSimulation
from wam_sim.starts import another_goal
from wam_sim.worlds import YardWorld

_TOP_SPEED = 0.9  # m/s
_TURN = 0.4  # rad/s, standard deviation
_TRIES = 4


class Questioner:
    """Asks the expert of one run, at any moment of it. start: (x, y) m; count: questions a moment, every second with
    another goal."""

    def __init__(
        self, world: YardWorld, start: tuple[float, float], pace: str, count: int, rng: np.random.Generator
    ) -> None:
        self._rng, self._count = rng, count
        goals = (world, another_goal(world, start, rng))
        self._experts = [(goal.goal, YardExpert(goal, pace)) for goal in goals]
        self._field = world.field

    def ask(self, now: YardSimulation) -> list[WhatIf]:
        """Answers for where the robot is now. A question that nobody can answer well is drawn again, and left out after
        a few tries: one too fast to stop in time, or too close to something that stands there to begin at all."""
        answers = []
        for number in range(self._count):
            goal, expert = self._experts[number % 2]
            for _ in range(_TRIES):
                speed = self._rng.uniform(0.0, _TOP_SPEED)
                twist = np.array([speed, now.twist[1], self._rng.normal(0.0, _TURN)])
                plan = expert.plan(now.pose, twist, now.walkers, now.walker_velocities, now.time)
                if self._free(now.pose, plan.poses) and self._gets_on(now.pose, goal, plan.poses):
                    answers.append(WhatIf(twist, plan, goal))
                    break
        return answers

    def _free(self, pose: np.ndarray, poses: np.ndarray) -> bool:
        placed = np.array([compose(tuple(pose), tuple(ahead)) for ahead in poses])
        return bool((body_clearance(self._field, placed) > 0).all())

    @staticmethod
    def _gets_on(pose: np.ndarray, goal: tuple[float, float], poses: np.ndarray) -> bool:
        moved = np.abs(poses[-1]).max() > 0.05
        return bool(moved and np.hypot(*(pose[:2] - goal)) > GOAL_RADIUS)
