"""Draw a plot as SVG: two scales, a grid, labels and a few kinds of marks.

Colours are classes of the style sheet ("f-…" fills, "s-…" strokes), so that one drawing suits light mode, dark mode and
print. Style attributes are not used, so that the page can forbid them. Lengths are pixels of a drawing 440 wide; y
grows downwards.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

WIDTH = 440
_GAP = 6  # between an axis and its labels
Scale = Callable[[float], float]


def linear(value: float) -> float:
    """Return the value itself: a linear scale."""
    return value


def octaves(value: float) -> float:
    """Return the binary logarithm: a logarithmic scale."""
    return math.log2(value)


def around_zero(value: float) -> float:
    """Return a symmetric logarithmic scale: linear up to ten on both sides of zero, logarithmic beyond."""
    half = 0.55  # a decade has length 1, the range from zero to ten a little more than half
    size = abs(value)
    return math.copysign(half * size / 10 if size <= 10 else half + math.log10(size / 10), value)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Plot:
    """A drawing area with margins, in which marks are positioned by their values.

    Parameters
    ----------
    height : float
        Of the whole drawing.
    left, bottom, top, right : float
        Margins; fixed, so that a drawing does not depend on the fonts of a machine.
    """

    def __init__(self, height: float, *, left: float, bottom: float = 44, top: float = 10, right: float = 16) -> None:
        self.height = height
        self._box = (left, top, WIDTH - right, height - bottom)
        self._x: tuple[Scale, float, float] = (linear, 0.0, 1.0)
        self._y: tuple[Scale, float, float] = (linear, 0.0, 1.0)
        self._grid: list[str] = []
        self._marks: list[str] = []

    def scale_x(self, scale: Scale, low: float, high: float, *, margin: float = 0.0) -> None:
        """Set the range of x.

        Parameters
        ----------
        scale : callable
            `linear`, `octaves` or `around_zero`.
        low, high : float
            Values at the left and the right end.
        margin : float
            Share of the range to add at both ends.
        """
        more = margin * (scale(high) - scale(low))
        self._x = (scale, scale(low) - more, scale(high) + more)

    def scale_y(self, scale: Scale, low: float, high: float) -> None:
        """Set the range of y.

        Parameters
        ----------
        scale : callable
            `linear`, `octaves` or `around_zero`.
        low, high : float
            Values at the bottom and at the top.
        """
        self._y = (scale, scale(low), scale(high))

    def x(self, value: float) -> float:
        """Return the distance of a value from the left, in pixels."""
        scale, low, high = self._x
        left, _, right, _ = self._box
        return left + (scale(value) - low) / (high - low) * (right - left)

    def y(self, value: float) -> float:
        """Return the distance of a value from the top, in pixels."""
        scale, low, high = self._y
        _, top, _, bottom = self._box
        return bottom - (scale(value) - low) / (high - low) * (bottom - top)

    def rows(self, labels: Sequence[str]) -> None:
        """Divide y into one row per label, the first on top."""
        self.scale_y(linear, len(labels) - 0.4, -0.6)
        for place, label in enumerate(labels):
            self._text(self._box[0] - _GAP, self.y(place), label, "ink", "end")

    def ticks_x(self, places: Iterable[float], labels: Iterable[str]) -> None:
        """Draw a vertical grid line with a label below it at each place."""
        _, top, _, bottom = self._box
        for place, label in zip(places, labels, strict=True):
            x = self.x(place)
            self._grid.append(self._path([(x, top), (x, bottom)], "rule", 0.7))
            self._text(x, bottom + _GAP + 8, label, "muted", "middle")

    def ticks_y(self, places: Iterable[float], labels: Iterable[str]) -> None:
        """Draw a horizontal grid line with a label to its left at each place."""
        left, _, right, _ = self._box
        for place, label in zip(places, labels, strict=True):
            y = self.y(place)
            self._grid.append(self._path([(left, y), (right, y)], "rule", 0.7))
            self._text(left - _GAP, y, label, "muted", "end")

    def names(self, x: str, y: str = "") -> None:
        """Label the axes."""
        left, top, right, bottom = self._box
        self._grid.append(self._path([(left, bottom), (right, bottom)], "rule", 0.8))
        self._text((left + right) / 2, self.height - 6, x, "muted", "middle")
        if y:
            self._text(9, (top + bottom) / 2, y, "muted", "middle", ' transform="rotate(-90 {x} {y})"')

    def line(
        self, start: tuple[float, float], end: tuple[float, float], colour: str, width: float, *, dashed: bool = False
    ) -> None:
        """Draw a line between two points.

        Parameters
        ----------
        start, end : tuple of float
            Values (x, y).
        colour : str
            Suffix of a stroke class of the style sheet.
        width : float
            In pixels.
        dashed : bool
            Dashed, for comparison; other lines have round ends.
        """
        points = [(self.x(x), self.y(y)) for x, y in (start, end)]
        more = ' stroke-dasharray="3 3"' if dashed else ' stroke-linecap="round"'
        self._marks.append(self._path(points, colour, width, more))

    def upright(self, x: float) -> None:
        """Draw a dashed vertical line at `x`."""
        _, top, _, bottom = self._box
        self._marks.append(self._path([(self.x(x), bottom), (self.x(x), top)], "muted", 1, ' stroke-dasharray="3 3"'))

    def bar(self, row: int, length: float, label: str) -> None:
        """Draw a horizontal bar from zero.

        Parameters
        ----------
        row : int
            Index of the row, from the top.
        length : float
            Value of x at its end.
        label : str
            Text at its end.
        """
        start, end, middle = self.x(0), self.x(length), self.y(row)
        half = 0.31 * abs(self.y(1) - self.y(0))
        place = f'x="{_number(start)}" y="{_number(middle - half)}"'
        size = f'width="{_number(end - start)}" height="{_number(2 * half)}"'
        self._marks.append(f'<rect class="f-accent" {place} {size}/>')
        self._text(end + _GAP, middle, label, "muted", "start")

    def discs(self, counts: Counter[tuple[float, float]]) -> None:
        """Draw a disc at each place, its area growing with its count; large ones first, so that none is hidden."""
        most = max(counts.values())
        for place in sorted(counts, key=lambda place: (-counts[place], place)):
            radius = math.sqrt(60 + 420 * (counts[place] - 1) / most) / 2
            where = f'cx="{_number(self.x(place[0]))}" cy="{_number(self.y(place[1]))}" r="{_number(radius)}"'
            self._marks.append(f'<circle class="f-accent s-paper" fill-opacity="0.72" {where}/>')

    def _path(self, points: Sequence[tuple[float, float]], colour: str, width: float, more: str = "") -> str:
        path = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        return f'<path class="s-{colour}" stroke-width="{_number(width)}" fill="none"{more} d="M{path}"/>'

    def _text(self, x: float, y: float, words: str, colour: str, anchor: str, more: str = "") -> None:
        where = {"x": _number(x), "y": _number(y + 4)}  # y is the middle of small letters, SVG wants the baseline
        more = more.format(**where)
        place = f'x="{where["x"]}" y="{where["y"]}" font-size="11" text-anchor="{anchor}"'
        self._grid.append(f'<text class="f-{colour}" {place}{more}>{html.escape(words)}</text>')

    def svg(self, summary: str) -> str:
        """Return the SVG element; `summary` describes it in words."""
        view = f'viewBox="0 0 {WIDTH} {_number(self.height)}"'
        head = f'<svg {view} role="img" aria-label="{html.escape(summary)}" class="chart">'
        return "\n".join([head, *self._grid, *self._marks, "</svg>"])
