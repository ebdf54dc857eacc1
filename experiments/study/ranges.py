"""Where a random study draws a field's values, and a search looks for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class Range:
    """One field's values: between low and high, or one of several choices.

    Integers where low and high are integers.  log: every factor is as likely as every other.
    step: only low, low + step, ... up to high.
    """

    low: Any = None
    high: Any = None
    log: bool = False
    step: Any = None
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            if (self.low, self.high, self.step) != (None, None, None) or self.log:
                raise ValueError("choices: goes with neither low, high, step nor log")
            return
        for name, value in (("low", self.low), ("high", self.high)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{name} must be a number (or give `choices`), got {value!r}")
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")
            if abs(value) >= 2**63:
                raise ValueError(f"{name} must be below 2^63, got {value}")
        if not self.low <= self.high:
            raise ValueError(f"low must not be above high, got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: needs low above 0 and no step")
        if self.step is not None:
            self._check_step()

    def _check_step(self) -> None:
        if isinstance(self.step, bool) or not isinstance(self.step, (int, float)):
            raise ValueError(f"step must be a number, got {self.step!r}")
        if not 0 < self.step < math.inf:
            raise ValueError(f"step must be positive and finite, got {self.step}")
        if (self.high - self.low) / self.step > MOST_STEPS:
            raise ValueError(f"step: at most {MOST_STEPS:,} from low to high, got {self.step}")

    @property
    def ends(self) -> tuple[Any, ...]:
        """Its choices, or low and high."""
        return self.choices or (self.low, self.high)

    @property
    def integer(self) -> bool:
        """Whether its values are integers."""
        return all(isinstance(v, int) for v in (self.low, self.high, self.step or 1))

    def draw(self, rng: np.random.Generator) -> Any:
        """One value, each as likely as the others; four significant digits where it is no
        integer, so that it can be typed again."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.step is not None:
            return self.point(int(rng.integers(self.steps + 1)))
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        elif self.integer:
            return int(rng.integers(self.low, self.high + 1))
        else:
            value = rng.uniform(self.low, self.high)
        return self.written(value)

    def written(self, value: float) -> int | float:
        """A number as it is written down: with four significant digits, from low to high."""
        number: int | float = min(max(self._rounded(value), self.low), self.high)
        return number

    def point(self, number: int) -> int | float:
        """The value so many steps above low, without what binary fractions add."""
        value = self.low + self.step * number
        return round(value) if self.integer else float(f"{value:.12g}")

    @property
    def steps(self) -> int:
        """How many steps there are from low to high."""
        count: int = math.floor((self.high - self.low) / self.step + 1e-9)
        return count

    def _rounded(self, value: float) -> int | float:
        return round(value) if self.integer else float(f"{value:.4g}")
