"""`./run view` in a real browser: known voxels in known greys at known places, masks in their colours, no error."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import CHROMIUM, chromium, patient, wait_on
from made_up_results import OBLIQUE, array_of
from numpy.typing import NDArray
from PIL import Image
from viewed_dataset import BLOCK, COLOURS, CT, KINDS, NOWHERE, Viewer, viewing, write_viewed

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the viewer is not seen by a browser"),
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]
SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
SHOW = """async ([url, changes]) => {
  const state = await (await fetch(url)).json();
  viewer.state.reset();
  viewer.state.restoreState({...state, ...changes});
}"""
PANEL = ".neuroglancer-rendered-data-panel"
SIDES = ".dicomzarr-side"
ALONE: dict[str, Any] = {"layout": "xy", "selectedLayer": {}, "showAxisLines": False, "showScaleBar": False}


@dataclass
class Seen:
    """A page, and what it did."""

    page: Any
    viewer: Viewer
    hosts: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Note the requests of a page, and what its console says, but for the state of the stream of events."""
        page.on("request", lambda request: self.hosts.add(request.url.partition("//")[2].partition("/")[0]))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda line: "connected" in line.text or self.faults.append(line.text))

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.viewer.port}{self.viewer.path.partition('/view/')[0]}"

    def show(self, array: str, **changes: Any) -> None:
        """Show an image in its state with changes, without loading the page again."""
        self.page.evaluate(SHOW, [f"{self.base}/state/{array}.json", ALONE | changes])

    def picture(self) -> NDArray[np.uint8]:
        """Return a screenshot, shape (rows, columns, 3)."""
        return np.array(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def until(
        self, found: Callable[[NDArray[np.uint8]], bool], explain: Callable[[NDArray[np.uint8]], str] = lambda _: ""
    ) -> None:
        """Wait for a screenshot in which something is found."""
        wait_on(
            self.page,
            lambda: found(self.picture()),
            lambda: f"not in the picture: {explain(self.picture())}; faults: {self.faults}",
        )
        self.check()

    def check(self) -> None:
        """Nothing went wrong so far, and nothing was asked of another host."""
        assert self.faults == []
        assert self.hosts == {f"127.0.0.1:{self.viewer.port}"}

    def state(self, array: str) -> Any:
        """Return the state of an image, as the server gives it."""
        return self.page.evaluate("url => fetch(url).then(answer => answer.json())", f"{self.base}/state/{array}.json")

    def panel(self) -> dict[str, float]:
        """Return the place of the one panel on the page, in pixels."""
        from playwright.sync_api import expect

        expect(self.page.locator(PANEL)).to_have_count(1)
        return dict(self.page.locator(PANEL).bounding_box())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_viewed(tmp_path_factory.mktemp("seen"))


@pytest.fixture(scope="module")
def seen(dataset: Path) -> Iterator[Seen]:
    with (
        viewing(CT, "--dataset", str(dataset), "--no-open", folder=dataset.parent) as viewer,
        chromium(*SOFTWARE_GL) as browser,
    ):
        page = patient(browser.new_page(viewport={"width": 1000, "height": 640}))
        seen = Seen(page, viewer)
        seen.watch(page)
        page.goto(viewer.address)
        page.add_style_tag(content=f"{SIDES} {{ visibility: hidden }}")  # not in the pictures that are compared
        yield seen


def near(picture: NDArray[np.uint8], colour: tuple[int, ...]) -> int:
    """Return how many pixels have a colour, to within 3 of 255 (rounding of the graphics library)."""
    return int((np.abs(picture.astype(int) - colour).max(-1) <= 3).sum())


def blended(grey: int, rgb: tuple[int, int, int], opacity: float) -> tuple[int, ...]:
    return tuple(round(grey * (1 - opacity) + channel * opacity) for channel in rgb)


def test_a_volume_and_its_masks_are_drawn(seen: Seen) -> None:
    """By the address that is printed: stored 1024 and 2024 in the window of the header are greys of 64 and 191."""
    liver = blended(191, (49, 163, 84), 0.45)  # the third colour of labels: masks are numbered by name
    seen.until(lambda picture: near(picture[:, :700], liver) > 200 and near(picture[:, :700], (64, 64, 64)) > 2000)
    assert "liver" in seen.page.inner_text("body") and "CT: lung" in seen.page.inner_text("body")


def test_an_oblique_volume_and_a_mask_of_another_grid_lie_where_their_affines_say(seen: Seen) -> None:
    """Each pixel of a plane of the body is a point in LPS, and the affine of the CT says which voxel is there."""
    layers = seen.state(CT)["layers"]
    center, step = (OBLIQUE @ [29.5, 19.5, 9.5, 1])[:3], 0.1  # mm a pixel
    seen.show(
        CT,
        layers=[layers[0], layers[-1]],
        position=center.tolist(),
        crossSectionScale=step,
        crossSectionOrientation=[0, 0, 0, 1],  # x to the right, y down: axial in LPS
    )
    box = seen.panel()
    columns, rows = np.meshgrid(np.arange(10, box["width"] - 10, 3), np.arange(60, box["height"] - 60, 3))
    points = np.stack(
        [
            center[0] + (columns + 0.5 - box["width"] / 2) * step,
            center[1] + (rows + 0.5 - box["height"] / 2) * step,
            np.full(columns.shape, center[2]),
            np.ones(columns.shape),
        ]
    )
    x, y, z, _ = np.einsum("ij,jkl->ikl", np.linalg.inv(OBLIQUE), points)
    depth = np.min(  # how far inside of the block, in voxels; below 0 outside
        [
            np.minimum(at - (BLOCK[axis][0] - 0.5), BLOCK[axis][1] - 0.5 - at)
            for axis, at in {"x": x, "y": y, "z": z}.items()
        ],
        axis=0,
    )
    in_volume = np.min([x + 0.5, 59.5 - x, y + 0.5, 39.5 - y, z + 0.5, 19.5 - z], axis=0)
    marked = blended(191, (230, 85, 13), 0.45)  # the first colour of labels, on 1000 HU
    expected = [(depth > 1.5, marked), ((depth < -1.5) & (in_volume > 1.5), (64, 64, 64)), (in_volume < -1, (0, 0, 0))]
    assert all(where.sum() > 500 for where, _ in expected)

    def is_drawn(picture: NDArray[np.uint8]) -> bool:
        pixels = picture[rows + round(box["y"]), columns + round(box["x"])]
        return all(near(pixels[where], colour) == where.sum() for where, colour in expected)

    seen.until(is_drawn)


def test_each_panel_says_where_the_sides_of_the_patient_lie(seen: Seen) -> None:
    """Right, left, bottom, top of each panel: coronal, sagittal, axial; then turned ones; then without an affine."""

    def until(expected: list[str]) -> None:
        found = f"[...document.querySelectorAll('{SIDES}')].map(side => side.textContent).join(' ')"
        seen.page.wait_for_function(f"wanted => {found} === wanted", arg=" ".join(expected))

    seen.show(CT, layout="4panel-alt")
    until(["L R F H", "A P F H", "L R P A"])
    seen.show(CT, crossSectionOrientation=[0, 0, 0, 1])
    until(["L R P A"])
    turned = 0.5 * np.radians([30, 10])  # about z; a part of less than 15 degrees has no letter
    seen.show(CT, crossSectionOrientation=[0, 0, float(np.sin(turned[0])), float(np.cos(turned[0]))])
    until(["LP RA PR AL"])
    seen.show(CT, crossSectionOrientation=[0, 0, float(np.sin(turned[1])), float(np.cos(turned[1]))])
    until(["L R P A"])
    assert [seen.state(array)["coordinates"] for array in (CT, array_of(NOWHERE))] == ["LPS", "array"]
    seen.show(array_of(NOWHERE))
    until(["", "", "", ""])
    seen.check()


def side_by_side(seen: Seen, expected: dict[int, list[tuple[int, int, int]]], t: float | None = None) -> None:
    """Show planes of 140 x 140 mm beside each other, and wait for the colours of their quarters in one picture."""
    layers, pitch, step = [], 150, 1.6  # mm
    for place, number in enumerate(expected):
        layer = seen.state(array_of(number))["layers"][0]
        axes = list(layer["source"]["transform"]["outputDimensions"])
        layer["source"]["transform"]["matrix"][axes.index("x")][-1] += place * pitch
        layers.append(layer | {"name": str(number)})
    middle = (len(expected) - 1) / 2 * pitch + 69.5
    dimensions = {axis: [0.001, "m"] for axis in "xyz"} | ({"t": [1, ""]} if t else {})
    seen.show(
        array_of(next(iter(expected))),
        layers=layers,
        dimensions=dimensions,
        displayDimensions=["x", "y", "z"],
        position=[middle, 69.5, 2, *([t] if t else [])],
        crossSectionOrientation=[0, 0, 0, 1],
        crossSectionScale=step,
    )
    box = seen.panel()

    def wrong(picture: NDArray[np.uint8]) -> dict[int, Any]:
        found = {}
        for place, (number, colours) in enumerate(expected.items()):
            x = box["x"] + box["width"] / 2 + (place * pitch + 69.5 - middle) / step
            y = box["y"] + box["height"] / 2
            points = [picture[round(y + dy), round(x + dx)].tolist() for dy in (-20, 20) for dx in (-20, 20)]
            if np.abs(np.array(points) - colours).max() > 2:
                found[number] = points
        return found

    seen.until(lambda picture: not wrong(picture), lambda picture: str(wrong(picture)))


def greys(*values: int) -> list[tuple[int, int, int]]:
    return [(value, value, value) for value in values]


def test_every_type_compression_and_layout_is_read_by_neuroglancer(seen: Seen) -> None:
    """Four quarters of a plane that a window spans: black, a third, two thirds, white."""
    side_by_side(seen, {10 + number: greys(0, 85, 170, 255) for number in range(len(KINDS))})


def test_colours_palettes_inversion_and_times_are_shown(seen: Seen) -> None:
    """The second t holds the mirrored values; the window of the last image begins below the range of its type."""
    expected = {30: COLOURS, 31: COLOURS, 32: greys(255, 170, 85, 0), 33: greys(255, 170, 85, 0)}
    side_by_side(seen, expected | {34: greys(128, 170, 212, 255)}, t=1.5)


def test_the_names_of_many_masks_leave_room_for_the_voxels(seen: Seen) -> None:
    """A hundred layers of long names in a small window: their bar is scrolled."""
    layer = seen.state(CT)["layers"][0]
    layers = [layer | {"name": f"a_structure_of_the_body_{number}", "visible": not number} for number in range(100)]
    seen.show(CT, layers=layers)
    seen.page.wait_for_function("document.querySelectorAll('.neuroglancer-layer-item').length === 100")
    assert seen.panel()["height"] > 0.7 * 640
    seen.check()


def test_the_list_is_searched_and_leads_to_an_image_with_room_also_in_a_narrow_window(seen: Seen) -> None:
    from playwright.sync_api import expect

    page = patient(seen.page.context.browser.new_page())
    seen.watch(page)
    page.goto(f"{seen.base}/")
    assert page.locator("tbody tr:visible").count() == 7 + len(KINDS)
    page.fill("#search", "liver CT")
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    assert page.inner_text("#shown") == "1 found"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen", color_scheme="light")
    page.click("tbody tr:visible a")
    expect(page).to_have_title(re.compile(f"CT {CT}.*"))
    beside = page.locator(".neuroglancer-side-panel").bounding_box()
    page.set_viewport_size({"width": 390, "height": 844})
    wait_on(page, lambda: page.locator(".neuroglancer-side-panel").bounding_box()["x"] == 0)
    boxes = [panel.bounding_box() for panel in page.locator(PANEL).all()]
    assert len(boxes) == 4 and all(box["width"] > 190 and box["height"] > 150 for box in boxes), boxes
    assert beside["x"] > 600  # in a wide window
    page.close()
    seen.check()
