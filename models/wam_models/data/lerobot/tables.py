"""Parquet: the one place that needs pyarrow, which a robot has not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagError


class TableWriter:
    """One Parquet file, a row group each time. Columns must be the same each time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: Any = None

    def add(self, columns: Mapping[str, np.ndarray]) -> None:
        """columns: (N,) or (N, values)."""
        arrow = _pyarrow()
        table = arrow.table({name: _column(values) for name, values in columns.items()})
        if self._file is None:
            self._file = arrow.parquet.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of numbers, texts and lists of them."""
    arrow = _pyarrow()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow.parquet.write_table(arrow.Table.from_pylist(rows), path)


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """LeRobot reads this one with pandas and finds a task by its text, so the text is marked as the index."""
    arrow = _pyarrow()
    table = arrow.table({"task_index": arrow.array(range(len(tasks)), arrow.int64()), "task": list(tasks)})
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, (kind, stored) in kinds.items()
    ]
    said = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow.parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(said)}), path)


def read_tasks(path: Path) -> dict[int, str]:
    """Texts by their number. lerobot itself does not always name the column of the texts. Raises as read_columns."""
    table = _read(path)
    texts = next((name for name in table.column_names if name != "task_index"), "task")
    columns = read_columns(path, ["task_index", texts])
    return dict(zip(columns["task_index"].tolist(), columns[texts].tolist(), strict=True))


def read_columns(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """(N,) or (N, values) each, texts as objects. Raises BagError when the file is missing, is damaged or lacks one."""
    table = _read(path, list(names))
    missing = sorted(set(names) - set(table.column_names))
    if missing:
        raise BagError(f"{path} lacks the columns {', '.join(missing)}: export its bags again")
    return {name: _array(table.column(name)) for name in names}


def _read(path: Path, names: list[str] | None = None) -> Any:
    arrow = _pyarrow()
    if not path.is_file():
        raise BagError(f"{path} is missing: copy the dataset again, whole")
    try:
        return arrow.parquet.read_table(path, columns=names)
    except (OSError, arrow.ArrowException) as error:
        raise BagError(f"{path} cannot be read ({error}): copy the dataset again, whole") from error


def _column(values: np.ndarray) -> Any:
    arrow = _pyarrow()
    if values.ndim == 1:
        return arrow.array(values)
    return arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), values.shape[1])


def _array(column: Any) -> np.ndarray:
    """Rows of a list are all as long as the first."""
    if not hasattr(column.type, "value_type"):
        return np.asarray(column.to_numpy())
    values: np.ndarray = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise BagError(
            "a LeRobotDataset is made of Parquet tables, which need pyarrow: pip install -r requirements/desk.txt"
        ) from error
    return pyarrow
