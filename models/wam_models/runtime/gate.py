"""Nothing is served that plans otherwise than the plain path: faster is only faster while the waypoints stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


class PrecisionError(ValueError):
    """A rung or a precision whose plans are too far from the plain path's; the text says by how much."""


@dataclass(frozen=True)
class Difference:
    """The largest of all waypoints: metres, degrees."""

    distance: float
    angle: float

    @classmethod
    def between(cls, reference: np.ndarray, found: np.ndarray) -> Difference:
        """Poses (..., 3): x, y in m, yaw in rad. What is not finite is infinitely far off."""
        apart = np.hypot(*np.moveaxis(found - reference, -1, 0)[:2])
        turned = np.degrees(np.abs((found[..., 2] - reference[..., 2] + np.pi) % (2 * np.pi) - np.pi))
        return cls(*(float(np.nan_to_num(each, nan=np.inf).max()) for each in (apart, turned)))


# Metres and degrees. Half floats round at the third digit, and a plan of ten steps adds up what they lose.
LIMITS = {torch.float32: Difference(0.001, 0.01), torch.bfloat16: Difference(0.02, 0.2)}


def check(name: str, difference: Difference, dtype: torch.dtype) -> None:
    """Raises PrecisionError where a waypoint is further off than LIMITS allow for weights of this type."""
    limit = LIMITS[dtype]
    if difference.distance <= limit.distance and difference.angle <= limit.angle:
        return
    raise PrecisionError(
        f"{name} plans up to {100 * difference.distance:.3g} cm and {difference.angle:.3g} degrees away from the plain "
        f"path ({100 * limit.distance:g} cm and {limit.angle:g} degrees are allowed): choose a lower rung or float32"
    )
