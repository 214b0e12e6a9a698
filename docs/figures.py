"""Draw the figures of docs/volumes.md and docs/masks.md as SVG: files on the left, what they become on the right.

python docs/figures.py            write the figures that are out of date
python docs/figures.py --check    list the figures that are out of date; exit code 1 if there are any
"""

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images"
WIDTH = 680
BLUE, ORANGE, GREEN, GREY, RED = "#2b6cb0", "#dd6b20", "#2f855a", "#a0aec0", "#c53030"
INK = "#1a202c"
LONG, THICK = 110, 7  # of a slice, seen from its edge


class Figure:
    """Shapes on a white sheet; y grows downwards, in pixels."""

    def __init__(self, title: str, height: int) -> None:
        self.title, self.height, self.parts = title, height, []

    def add(self, part: str) -> None:
        """Add an element."""
        self.parts.append(part)

    def slice(self, x: float, y: float, color: str, length: float = LONG, shift: float = 0.0) -> None:
        """Draw a slice from its edge; `shift` moves it along its own direction."""
        self.add(
            f'<rect x="{x + shift:g}" y="{y - THICK / 2:g}" width="{length:g}" height="{THICK}" rx="2" fill="{color}"/>'
        )

    def missing(self, x: float, y: float, length: float = LONG) -> None:
        """Draw the outline of a slice that is not there."""
        self.add(
            f'<rect x="{x:g}" y="{y - THICK / 2:g}" width="{length:g}" height="{THICK}" rx="2" fill="none" '
            f'stroke="{GREY}" stroke-dasharray="4 3"/>'
        )

    def box(self, x: float, y: float, width: float, height: float, color: str = GREY) -> None:
        """Draw the outline of a file or of an array."""
        self.add(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="none" stroke="{color}" '
            'stroke-width="1.5"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, dashed: bool = False) -> None:
        """Draw a line."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.add(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}" stroke-width="1.5"{dash}/>')

    def dot(self, x: float, y: float, color: str) -> None:
        """Draw a point."""
        self.add(f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{color}"/>')

    def text(self, x: float, y: float, text: str, color: str = INK, anchor: str = "start", bold: bool = False) -> None:
        """Write a line of text."""
        weight = ' font-weight="600"' if bold else ""
        self.add(f'<text x="{x:g}" y="{y:g}" fill="{color}" text-anchor="{anchor}"{weight}>{escape(text)}</text>')

    def arrow(self, x: float, y: float) -> None:
        """Draw the arrow from the series to its arrays."""
        self.line(x, y, x + 40, y)
        self.add(f'<path d="M{x + 48:g} {y:g} l-10 -6 v12 z" fill="{INK}"/>')

    def svg(self) -> str:
        """Return the figure as the text of a file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="{WIDTH}" height="{self.height}" fill="#ffffff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


def interleaved() -> Figure:
    """Return two acquisitions whose slices alternate, which are two volumes."""
    figure = Figure("Slices of two acquisitions alternate in one series; each acquisition is a volume of its own", 206)
    figure.text(40, 22, "one series", bold=True)
    for number in range(5):
        figure.slice(40, 45 + 32 * number, BLUE)
        figure.slice(40, 56 + 32 * number, ORANGE)
    figure.text(160, 49, "4 mm")
    figure.text(160, 64, "1.4 mm", ORANGE)
    figure.arrow(230, 110)
    for x, color, name in ((330, BLUE, "acquisition 1"), (500, ORANGE, "acquisition 2")):
        figure.text(x, 22, name, color, bold=True)
        figure.box(x - 10, 30, LONG + 20, 168)
        for number in range(5):
            figure.slice(x, 45 + 32 * number + (0 if color == BLUE else 11), color)
    return figure


def rounded() -> Figure:
    """Return rounded positions, and the line that is fitted to them."""
    figure = Figure("Positions written with one decimal scatter about the line of the stack; the affine is fitted", 200)
    figure.text(40, 22, "positions as written (1 decimal)", bold=True)
    figure.text(390, 22, "one volume, fitted affine", bold=True)
    offsets = (0, -9, 7, -4, 10, -8, 5)
    for left, fitted in ((50, False), (400, True)):
        if fitted:
            figure.line(left - 12, 187, left + 222, 37, GREEN)
        for number, offset in enumerate(offsets):
            x, y = left + 35 * number, 180 - 22.5 * number
            figure.dot(x, y + offset, BLUE)
            if fitted:
                figure.line(x, y, x, y + offset, RED)
    figure.arrow(300, 110)
    figure.text(520, 150, "affine_lps", GREEN)
    figure.text(520, 170, "affine_residual_mm", RED)
    return figure


def multi_frame() -> Figure:
    """Return files of one time point each, which are one array with t and z."""
    figure = Figure("Three multi-frame files, one for each time point, become one array with the axes t and z", 190)
    figure.text(40, 22, "three multi-frame files", bold=True)
    for number, color in enumerate((BLUE, ORANGE, GREEN)):
        x = 40 + 80 * number
        figure.box(x - 6, 34, 72, 120)
        for slice_number in range(5):
            figure.slice(x, 55 + 20 * slice_number, color, 60)
        figure.text(x + 30, 176, f"file {number + 1}", anchor="middle")
    figure.arrow(310, 95)
    figure.text(400, 22, "one array, tzyx", bold=True)
    figure.box(390, 34, 240, 120)
    for number, color in enumerate((BLUE, ORANGE, GREEN)):
        for slice_number in range(5):
            figure.slice(402 + 76 * number, 55 + 20 * slice_number, color, 64)
        figure.text(434 + 76 * number, 176, f"t = {number}", anchor="middle")
    return figure


def b_values() -> Figure:
    """Return the axis t of a diffusion series, with null where a frame lacks a fact."""
    figure = Figure(
        "The axis t of a diffusion series lists every fact that varies, with null where a frame has none", 200
    )
    columns = (
        ("t = 0", "null", "null, null, null", GREY),
        ("t = 1", "1000", "1, 0, 0", BLUE),
        ("t = 2", "1000", "0, 1, 0", ORANGE),
        ("t = 3", "2000", "1, 0, 0", GREEN),
    )
    figure.text(20, 150, "b_value", bold=True)
    figure.text(20, 178, "b_vector_x, _y, _z", bold=True)
    figure.box(156, 12, 506, 110)
    for number, (name, b_value, vector, color) in enumerate(columns):
        x = 168 + 125 * number
        figure.text(x + 52, 30, name, anchor="middle")
        for slice_number in range(4):
            figure.slice(x, 48 + 20 * slice_number, color, 104)
        figure.text(x + 52, 150, b_value, anchor="middle")
        figure.text(x + 52, 178, vector, anchor="middle")
    return figure


def contested() -> Figure:
    """Return a copy, which is skipped, and a place with two different images."""
    figure = Figure("A copy with equal pixels is skipped; of two images at one place, one is in the volume", 230)
    figure.text(40, 22, "copy under another UID", bold=True)
    figure.text(370, 22, "contested place", bold=True)
    for number in range(5):
        figure.slice(40, 50 + 28 * number, BLUE)
        figure.slice(370, 50 + 28 * number, BLUE)
    figure.slice(165, 106, BLUE)
    figure.text(165, 96, "equal pixels")
    figure.text(165, 130, "skipped: duplicate", RED)
    figure.slice(495, 106, ORANGE)
    figure.text(495, 96, "other pixels")
    figure.text(495, 130, "an image of its own", ORANGE)
    figure.text(40, 200, "5 slices, one volume")
    figure.text(370, 200, "5 slices, one volume, contested_place")
    return figure


def tilted() -> Figure:
    """Return tilted slices at uneven distances, with their own positions."""
    figure = Figure("Tilted slices at uneven distances: each slice has its own position, not one along the normal", 220)
    depths = (0, 22, 44, 66, 110, 154)
    figure.line(60, 190, 60, 22, GREY, dashed=True)
    figure.text(66, 22, "normal of the first slice", GREY)
    for depth in depths:
        figure.slice(60, 190 - depth, BLUE, 150, 0.45 * depth)
        figure.dot(60 + 0.45 * depth, 190 - depth, RED)
        figure.dot(60, 190 - depth, GREY)
    figure.arrow(330, 110)
    figure.text(410, 80, "positions_lps", RED, bold=True)
    figure.text(410, 100, "one [x, y, z] for each slice")
    figure.text(410, 135, "flags: gantry_tilt uneven_spacing")
    figure.text(410, 155, "no affine: none fits")
    return figure


def increments() -> Figure:
    """Return a stack with two regular distances beside one that lacks a slice."""
    figure = Figure("Two regular distances are uneven spacing; one distance twice as long as the others is a gap", 230)
    figure.text(40, 22, "two distances, 2.5 and 5 mm", bold=True)
    for number, y in enumerate((200, 185, 170, 155, 140, 110, 80, 50)):
        figure.slice(40, y, BLUE if number < 5 else ORANGE)
    figure.text(165, 175, "2.5 mm", BLUE)
    figure.text(165, 85, "5 mm", ORANGE)
    figure.text(165, 130, "uneven_spacing")
    figure.text(370, 22, "one slice is missing", bold=True)
    for number in range(11):
        if number == 6:
            figure.missing(370, 200 - 15 * number)
        else:
            figure.slice(370, 200 - 15 * number, BLUE)
    figure.text(495, 114, "gap, missing_slices 1")
    return figure


def grouped() -> Figure:
    """Return volumes that had to be split, with the same group."""
    figure = Figure(
        "Three times of a series, one without its last slices: arrays of their own with the same group", 210
    )
    figure.text(40, 22, "one series", bold=True)
    for number, color in enumerate((BLUE, ORANGE, GREEN)):
        for slice_number in range(6):
            if number == 2 and slice_number < 2:
                figure.missing(40 + 72 * number, 45 + 22 * slice_number, 60)
            else:
                figure.slice(40 + 72 * number, 45 + 22 * slice_number, color, 60)
        figure.text(70 + 72 * number, 185, f"time {number + 1}", anchor="middle")
    figure.arrow(280, 100)
    figure.text(360, 22, "two arrays", bold=True)
    figure.box(352, 32, 150, 138)
    figure.box(522, 32, 84, 138)
    for number, color in enumerate((BLUE, ORANGE)):
        for slice_number in range(6):
            figure.slice(362 + 70 * number, 45 + 22 * slice_number, color, 60)
    for slice_number in range(2, 6):
        figure.slice(534, 45 + 22 * slice_number, GREEN, 60)
    figure.text(362, 192, "the same group in both", RED)
    return figure


def segments() -> Figure:
    """Return frames of two segments in any order, and the two masks on the slices of the image."""
    figure = Figure(
        "Frames of a segmentation are sorted by position into one mask for each segment; frames left out are zero", 210
    )
    figure.text(40, 22, "frames as stored", bold=True)
    for number, (name, color) in enumerate(
        (("z = 3", BLUE), ("z = 1", ORANGE), ("z = 2", BLUE), ("z = 2", ORANGE), ("z = 1", BLUE))
    ):
        figure.slice(40, 50 + 28 * number, color)
        figure.text(160, 54 + 28 * number, name)
    figure.text(40, 192, "segment 1", BLUE)
    figure.text(115, 192, "segment 2", ORANGE)
    figure.arrow(220, 105)
    places = (("image", GREY, range(5)), ("segment 1", BLUE, (1, 2, 3)), ("segment 2", ORANGE, (1, 2)))
    for column, (name, color, filled) in enumerate(places):
        x = 310 + 125 * column
        figure.text(x, 22, name, INK if color == GREY else color, bold=True)
        for z in range(5):
            (figure.slice if z in filled else figure.missing)(x, 164 - 30 * z, *((color,) if z in filled else ()))
            if not column:
                figure.text(x - 8, 168 - 30 * z, str(z), anchor="end")
    figure.text(310, 192, "dashed: zeros, where the file has no frame")
    return figure


def lattices() -> Figure:
    """Return frames whose pixels are voxels of the image, and frames of other grids."""
    figure = Figure("Pixels that are voxels of the image are placed; a shifted or finer grid is kept as it is", 232)
    cases = (
        ("crop or larger frame", GREEN, 2, -1, 20, (5, 4)),
        ("shifted by 0.4 voxels", RED, 0.4, 0.4, 20, (4, 3)),
        ("half as large pixels", RED, 0, 0, 10, (9, 7)),
    )
    for number, (name, color, right, up, size, (columns, rows)) in enumerate(cases):
        x, y = 40 + 220 * number, 60
        figure.text(x, 22, name, color, bold=True)
        for line in range(6):
            figure.line(x + 20 * line, y, x + 20 * line, y + 100, GREY)
            figure.line(x, y + 20 * line, x + 100, y + 20 * line, GREY)
        left, top = x + 20 * right, y + 20 * up
        for line in range(columns + 1):
            figure.line(left + size * line, top, left + size * line, top + size * rows, color)
        for line in range(rows + 1):
            figure.line(left, top + size * line, left + size * columns, top + size * line, color)
        placed = color == GREEN
        figure.text(x, 190, "placed, bit for bit" if placed else "own_grid", color)
        figure.text(x, 210, "the rest: outside_image" if placed else "its own shape and affine")
    figure.text(40, 228, "grey: voxels of the image", GREY)
    return figure


Corners = list[tuple[float, float]]


def is_inside(x: float, y: float, *polygons: Corners) -> bool:
    """Return whether a ray from a point to the right crosses the polygons an odd number of times."""
    crossings = 0
    for corners in polygons:
        for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
            crossings += (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return crossings % 2 == 1


def voxels(figure: Figure, x: float, y: float, columns: int, rows: int, size: float, *polygons: Corners) -> None:
    """Draw voxels with their centres, those inside filled, and contours whose corners are in voxels."""
    for row in range(rows):
        for column in range(columns):
            left, top, filled = x + size * column, y + size * row, is_inside(column, row, *polygons)
            figure.add(
                f'<rect x="{left:g}" y="{top:g}" width="{size:g}" height="{size:g}" '
                f'fill="{"#bee3f8" if filled else "#ffffff"}" stroke="{GREY}" stroke-width="0.5"/>'
            )
            figure.add(
                f'<circle cx="{left + size / 2:g}" cy="{top + size / 2:g}" r="{size / 11:.1f}" '
                f'fill="{BLUE if filled else GREY}"/>'
            )
    for corners in polygons:
        points = " ".join(f"{x + size * (cx + 0.5):g},{y + size * (cy + 0.5):g}" for cx, cy in corners)
        figure.add(f'<polygon points="{points}" fill="none" stroke="{ORANGE}" stroke-width="2"/>')


def centres() -> Figure:
    """Return the rule for one contour, and for two that share an edge."""
    figure = Figure(
        "A voxel belongs to the mask if its centre is inside; neighbours share no voxel and leave none", 250
    )
    figure.text(40, 22, "the centre is inside", bold=True)
    contour = [(1.2, 1.6), (3.4, 0.3), (6.6, 0.7), (8.3, 2.7), (7.4, 5.1), (4.6, 5.7), (2.7, 4.2), (1.1, 3.9)]
    voxels(figure, 40, 34, 10, 7, 27, contour)
    figure.text(370, 22, "or on the outline", bold=True)
    outline: Corners = [(1, 1), (6, 1), (8, 3), (8, 5), (1, 5)]
    voxels(
        figure,
        370,
        34,
        10,
        7,
        27,
        [(x + (0.01 if x > 4 else -0.01), y + (0.01 if y > 2 else -0.01)) for x, y in outline],
    )
    return figure


def exclusive_or() -> Figure:
    """Return contours that combine: a hole with an island, a keyhole, and one that crosses itself."""
    figure = Figure("Contours of a slice combine by exclusive or: a hole with an island, a keyhole, a crossing", 226)
    outer: Corners = [(0.5, 0.5), (8.5, 0.5), (8.5, 7.5), (0.5, 7.5)]
    hole: Corners = [(2.5, 1.5), (7.5, 1.5), (7.5, 6.5), (2.5, 6.5)]
    island: Corners = [(4.5, 3.5), (5.5, 3.5), (5.5, 4.5), (4.5, 4.5)]
    keyhole: Corners = [
        *((0.5, 0.5), (8.5, 0.5), (8.5, 7.5), (0.5, 7.5), (0.5, 4.0), (3.5, 4.0)),
        *((3.5, 6.5), (6.5, 6.5), (6.5, 2.5), (3.5, 2.5), (3.5, 4.0), (0.5, 4.0)),
    ]
    bow: Corners = [(0.6, 0.4), (8.4, 7.4), (8.4, 0.6), (0.6, 7.6)]
    panels = (
        ("three contours", "a hole, and an island in it", (outer, hole, island)),
        ("one contour, a keyhole", "the channel is no gap", (keyhole,)),
        ("a contour that crosses itself", "the even-odd rule", (bow,)),
    )
    for number, (title, below, polygons) in enumerate(panels):
        x = 24 + 220 * number
        figure.text(x, 22, title, bold=True)
        voxels(figure, x, 32, 10, 9, 19.5, *polygons)
        figure.text(x, 222, below)
    return figure


def contour_planes() -> Figure:
    """Return slices seen from their edge, with planes of contours on them, between them and beyond them."""
    figure = Figure("A plane of contours belongs to the nearest slice, within half of the slice distance", 310)
    figure.text(40, 22, "slices, each with its layer", bold=True)
    figure.text(330, 22, "planes of contours", bold=True)
    for y in (280, 244, 208, 100, 64):
        figure.add(f'<rect x="40" y="{y - 17:g}" width="220" height="34" fill="#ebf8ff"/>')
        figure.slice(40, y, GREY, 220)
    for y in (172, 136):
        figure.missing(40, y, 220)
    figure.text(150, 158, "two slices are missing", GREY, anchor="middle")
    planes = (
        (42, RED, "beyond the last slice: counts in outside"),
        (66, GREEN, "used"),
        (98, GREEN, "used"),
        (137, ORANGE, "not used: its slice is missing"),
        (171, ORANGE, "not used: its slice is missing"),
        (200, ORANGE, "not used: the next plane is nearer to the slice"),
        (213, GREEN, "used"),
        (252, GREEN, "used, on the slice above it"),
        (280, GREEN, "used"),
    )
    for y, color, text in planes:
        figure.line(150, y, 330, y, color, dashed=color != GREEN)
        figure.text(338, y + 4, text, color)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "volumes-interleaved": interleaved,
    "volumes-rounded": rounded,
    "volumes-multi-frame": multi_frame,
    "volumes-b-values": b_values,
    "volumes-contested": contested,
    "volumes-tilted": tilted,
    "volumes-increments": increments,
    "volumes-grouped": grouped,
    "masks-segments": segments,
    "masks-lattices": lattices,
    "masks-centres": centres,
    "masks-exclusive-or": exclusive_or,
    "masks-planes": contour_planes,
}


def main(arguments: list[str]) -> int:
    """Write or check the figures; return the exit code."""
    drawn = {IMAGES / f"{name}.svg": draw().svg() for name, draw in FIGURES.items()}
    stale = [path for path, text in drawn.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(path.relative_to(IMAGES.parents[1]))
        if "--check" not in arguments:
            path.write_text(drawn[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
