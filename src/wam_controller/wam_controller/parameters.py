"""A parameter of a node as data: what it is called, what it may be, and what it means. Nodes declare tables of them."""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """The default's type is the type. minimum and maximum belong to numbers, choices to texts; the description names
    the unit."""

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """What a value must be, for people."""
        kind = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "a text"}
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.minimum is None:
            return kind[type(self.default)]
        return f"{kind[type(self.default)]} from {self.minimum:g} to {self.maximum:g}"

    def violation(self, value: Value) -> str:
        """Why `value` may not be had; empty when it may. NaN is in no range."""
        right_type = type(value) is type(self.default)
        chosen = not self.choices or value in self.choices
        if right_type and chosen and self._within(value):
            return ""
        return f"{self.name} is {value!r}: it must be {self.rule}"

    def _within(self, value: Value) -> bool:
        if self.minimum is None or self.maximum is None or isinstance(value, str):
            return True
        return self.minimum <= value <= self.maximum
