"""Privileged knowledge of a world on a grid: distance to the nearest obstacle, and cost to the goal from everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

CELL = 0.1  # m
# Half of the Go2's width with a hand's breadth beside it: nearer than this the middle of the body may not pass.
HARD_CLEARANCE = 0.27
# Up to here more room is worth a detour.
SOFT_CLEARANCE = 0.75


@dataclass(frozen=True)
class NavigationField:
    """clearance: (ny, nx) m to the nearest obstacle; cost: (ny, nx) metres of path to the goal, weighted by clearance,
    inf where there is no way; length: (ny, nx) the same without the weights; origin: (x, y) of cell [0, 0]."""

    clearance: np.ndarray
    cost: np.ndarray
    length: np.ndarray
    origin: tuple[float, float]

    @classmethod
    def build(
        cls,
        obstacles: list[shapely.Geometry],
        bounds: tuple[float, float, float, float],
        goal: tuple[float, float],
    ) -> NavigationField:
        """Rasterise the obstacles over bounds (x0, y0, x1, y1) m and run Dijkstra from the goal."""
        x0, y0, x1, y1 = bounds
        nx, ny = int(np.ceil((x1 - x0) / CELL)) + 1, int(np.ceil((y1 - y0) / CELL)) + 1
        xs, ys = np.meshgrid(x0 + CELL * np.arange(nx), y0 + CELL * np.arange(ny))
        union = shapely.union_all(obstacles)
        shapely.prepare(union)
        occupied = shapely.contains_xy(union, xs.ravel(), ys.ravel()).reshape(ny, nx)
        near = distance_transform_edt(~occupied) * CELL <= 1.0
        clearance = np.full((ny, nx), 1.0)
        points = shapely.points(xs[near], ys[near])
        clearance[near] = np.minimum(shapely.distance(points, union), 1.0)  # exact outline, not the cell's

        free = clearance > HARD_CLEARANCE
        shortage = np.clip((SOFT_CLEARANCE - clearance) / (SOFT_CLEARANCE - HARD_CLEARANCE), 0, 1)
        weight = 1.0 + 3.0 * shortage**2
        goal_cell = (int(round((goal[1] - y0) / CELL)), int(round((goal[0] - x0) / CELL)))
        cost, length = (_distances(free, w, goal_cell) for w in (weight, np.ones_like(weight)))
        return cls(clearance, cost, length, (x0, y0))

    def _sample(self, grid: np.ndarray, points: np.ndarray, outside: float) -> np.ndarray:
        """Bilinear value of `grid` at points (..., 2) m; `outside` beyond the grid."""
        fx = (points[..., 0] - self.origin[0]) / CELL
        fy = (points[..., 1] - self.origin[1]) / CELL
        ny, nx = grid.shape
        inside = (fx >= 0) & (fy >= 0) & (fx < nx - 1) & (fy < ny - 1)
        ix, iy = np.clip(fx, 0, nx - 2).astype(int), np.clip(fy, 0, ny - 2).astype(int)
        wx, wy = fx - ix, fy - iy
        flat = grid.ravel()
        base = iy * nx + ix
        top = flat[base] * (1 - wx) + flat[base + 1] * wx
        low = flat[base + nx] * (1 - wx) + flat[base + nx + 1] * wx
        return np.where(inside, top * (1 - wy) + low * wy, outside)

    def clearance_at(self, points: np.ndarray) -> np.ndarray:
        """Metres to the nearest obstacle, at most 1, for points (..., 2); 0 outside the grid."""
        return self._sample(self.clearance, points, 0.0)

    def cost_at(self, points: np.ndarray) -> np.ndarray:
        """Weighted metres to the goal for points (..., 2); large, not inf, where there is no way."""
        return self._sample(np.minimum(self.cost, 1e3), points, 1e3)

    def path_length(self, point: tuple[float, float]) -> float:
        """Metres to the goal from cell to cell, keeping the hard clearance; inf where there is no way. Up to 8 % longer
        than the shortest way, for cells have eight neighbours."""
        length = float(self._sample(np.minimum(self.length, 1e6), np.array(point, dtype=float), 1e6))
        return length if length < 1e3 else float("inf")

    def shortest_way(self, point: tuple[float, float]) -> float:
        """Metres of the way from cell to cell pulled taut; inf where there is none."""
        corner = np.array(point, dtype=float)
        if not np.isfinite(self.path_length(point)):
            return float("inf")
        way, length = self._cells_to_goal(corner), 0.0
        while len(way):
            furthest = next((i for i in range(len(way) - 1, 0, -1) if self._is_clear(corner, way[i])), 0)
            length += float(np.hypot(*(way[furthest] - corner)))
            corner, way = way[furthest], way[furthest + 1 :]
        return length

    def _cells_to_goal(self, point: np.ndarray) -> np.ndarray:
        """Positions (N, 2) m of the cells from the one at `point`, which is left out, to the goal's."""
        (ny, nx), cells = self.length.shape, []
        column, row = np.round((point - self.origin) / CELL).astype(int)
        while self.length[row, column] > 0.0:
            rows, columns = slice(max(row - 1, 0), min(row + 2, ny)), slice(max(column - 1, 0), min(column + 2, nx))
            down, right = np.unravel_index(int(self.length[rows, columns].argmin()), self.length[rows, columns].shape)
            if (rows.start + down, columns.start + right) == (row, column):
                break
            row, column = rows.start + down, columns.start + right
            cells.append((column, row))
        return np.array(self.origin) + CELL * np.array(cells, dtype=float).reshape(-1, 2)

    def _is_clear(self, start: np.ndarray, end: np.ndarray) -> bool:
        samples = int(np.hypot(*(end - start)) / (0.5 * CELL)) + 2
        # Half a cell of grace: the way itself runs along the edge of what is free.
        line = np.linspace(start, end, samples)
        return bool((self.clearance_at(line) > HARD_CLEARANCE - 0.5 * CELL).all())


def _distances(free: np.ndarray, weight: np.ndarray, goal_cell: tuple[int, int]) -> np.ndarray:
    ny, nx = free.shape
    index = np.arange(ny * nx).reshape(ny, nx)
    rows, columns, values = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, ny - dy), slice(max(0, -dx), nx - max(0, dx)))
        b = (slice(dy, ny), slice(max(0, dx), nx + min(0, dx)))
        both = free[a] & free[b]
        rows.append(index[a][both])
        columns.append(index[b][both])
        values.append((np.hypot(dx, dy) * CELL * 0.5 * (weight[a] + weight[b]))[both])
    graph = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(ny * nx,) * 2)
    reached = dijkstra(graph.tocsr(), directed=False, indices=index[goal_cell])
    return reached.reshape(ny, nx)
