"""How drivers keep their speed and their distance: the intelligent driver model.

Source: Treiber, Hennecke and Helbing, Congested traffic states in empirical observations and microscopic simulations,
Physical Review E 62 (2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Driver:
    """speed: m/s that is wanted on a free road; headway: s, and standing: m, that are kept to the car ahead;
    acceleration, braking: m/s^2, what is comfortable; hardest: m/s^2, what is done if it must be."""

    speed: float = 8.0
    headway: float = 1.4
    standing: float = 2.5
    acceleration: float = 1.5
    braking: float = 2.0
    hardest: float = 8.0

    def drive(self, speed: float, gap: float = math.inf, ahead: float = 0.0, limit: float = math.inf) -> float:
        """Acceleration, m/s^2. speed: m/s of the own car; gap: m from its nose to what is in front, a stop line
        included; ahead: m/s of that; limit: m/s, where the way allows less than what is wanted."""
        free = (speed / min(self.speed, max(limit, 0.1))) ** 4
        closing = speed * (speed - ahead) / (2.0 * math.sqrt(self.acceleration * self.braking))
        wanted = self.standing + max(0.0, speed * self.headway + closing)
        near = 0.0 if math.isinf(gap) else (wanted / max(gap, 0.1)) ** 2
        return max(-self.hardest, self.acceleration * (1.0 - free - near))
