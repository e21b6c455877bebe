"""What a bench says: a figure with its spread, beside the same of the bare baseline.

Product and baseline take turns, because a machine's speed drifts by a third within minutes: the
ratio is the median of the ratios of neighbours, which drift together.

Invariant: nothing here judges. A figure is printed and written down, whatever it is.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `value`, `low` and `high` are the median and the range of `runs` runs; `bare` is the
    baseline's median, `ratio` product by bare, both None where there is no baseline."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    runs: int
    bare: float | None = None
    ratio: float | None = None

    @classmethod
    def of(
        cls, name: str, unit: str, product: Sequence[float], bare: Sequence[float] = ()
    ) -> Figure:
        """The figure of runs, those of the baseline in the same order."""
        pairs = [ours / theirs for ours, theirs in zip(product, bare, strict=bool(bare)) if theirs]
        return cls(
            name,
            _rounded(statistics.median(product)),
            unit,
            _rounded(min(product)),
            _rounded(max(product)),
            len(product),
            _rounded(statistics.median(bare)) if bare else None,
            _rounded(statistics.median(pairs)) if pairs else None,
        )


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that `percent` of all are at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(figures: Sequence[Figure]) -> str:
    """The rows for people."""
    head = ("what", "median", "range", "unit", "runs", "bare", "ratio")
    rows = [head, *map(_row, figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def write(figures: Sequence[Figure], path: Path) -> None:
    """The rows for programs."""
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.value:g}",
        f"{figure.low:g}-{figure.high:g}",
        figure.unit,
        str(figure.runs),
        "" if figure.bare is None else f"{figure.bare:g}",
        ""
        if figure.ratio is None
        else f"{figure.ratio:.2f}"
        if figure.ratio >= 0.1
        else f"{figure.ratio:.2g}",
    )


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.ljust(width) if i in (0, 3) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()


def _rounded(value: float) -> float:
    """Three digits, more for what is large."""
    return round(value) if abs(value) >= 1_000 else float(f"{value:.3g}")
