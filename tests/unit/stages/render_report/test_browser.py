"""The report in a real browser: under its policy, in light and dark, by mouse and keyboard, on a phone and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, chromium, patient, wait_on
from made_up_dataset import OUTCOMES, Made, some_arrays, write_dataset
from made_up_many_volumes import write_many
from made_up_pictures import MadePicture, write_pictures
from playwright.sync_api import Browser, Page, Request
from reported_masks import MadeMask, array, box, write_masks

from dicomzarr.stages.render_report.page import render

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the report is not seen by a browser"),
]
FIRST = "aaaa000000000001/00000001"
MR = "aaaa000000000004/00000001"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "dataset"
    kinds = ("a", "b", "", "a", "b", "a", "b", "a")
    arrays = [
        replace(each, labels={"finding": kind}, split="test" if kind == "b" else "train", subject=f"feed{at:012d}")
        for at, (each, kind) in enumerate(zip(some_arrays(), kinds, strict=True))
    ]
    arrays[0] = replace(arrays[0], flags="gap", missing_slices=2, size_verdict="warn")
    return report_of(folder, arrays)


def report_of(folder: Path, arrays: list[Made]) -> Path:
    write_dataset(folder, arrays, OUTCOMES)
    steps = np.add.outer(np.arange(60), np.arange(80)).astype("uint8")
    pictures = [MadePicture(each.array, [steps]) for each in arrays if each.on_disk]
    three = MadePicture(MR, [steps, steps[:30], steps[:20]], "t:1/3 z:2/4 y:3/6 x:3/6", outlines="liver=#e6550d")
    pictures = [three if each.array == MR else each for each in pictures]
    write_pictures(folder, [*pictures, MadePicture(arrays[-1].array, trouble="cannot be read")])
    page = folder / "reports" / "report.html"
    page.write_text(render(folder), encoding="utf-8")
    return page


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open a page in a context of its own; afterwards there must be no error, and no request but for local pictures."""
    faults: list[str] = []
    contexts = []

    def requested(request: Request) -> None:
        if not request.url.startswith(("data:", "file:")):
            faults.append(f"request {request.url}")

    def open_page(
        path: Path, fragment: str = "", width: int = 1440, asked: list[str] | None = None, **options: Any
    ) -> Page:
        urls = asked if asked is not None else []
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = patient(context.new_page())
        page.on("console", lambda message: faults.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error {error}"))
        page.on("request", requested)
        page.on("request", lambda request: request.url.endswith(".jpg") and urls.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def rows(page: Page) -> list[str]:
    """Return the arrays in the table, in order."""
    return page.eval_on_selector_all(
        "#table tbody a", "links => links.map((link) => link.getAttribute('href').slice(1))"
    )


def until(page: Page, expression: str) -> None:
    """Wait until an expression holds."""
    wait_on(page, lambda: bool(page.evaluate(expression)), lambda: expression)


def address(page: Page) -> Any:
    """Return the fragment of the address as the page sees it; Playwright's own `url` follows in its own time."""
    return page.evaluate("location.hash.slice(1)")


def table(page: Page) -> Page:
    page.locator("input[value=table]").check()
    return page


# ---- How it looks


@pytest.mark.parametrize("width", [320, 1440])
@pytest.mark.parametrize(
    ("scheme", "paper", "ink"),
    [("light", "rgb(252, 252, 250)", (43, 106, 140)), ("dark", "rgb(20, 24, 27)", (124, 185, 216))],
)
def test_the_page_is_styled_drawn_and_fits(
    opened: Open, report: Path, scheme: str, paper: str, ink: tuple[int, int, int], width: int
) -> None:
    asked: list[str] = []
    page = opened(report, width=width, asked=asked, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    until(page, "drawings.size === document.querySelectorAll('canvas').length")
    inked = """canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4)
        count += data[i] === INK[0] && data[i + 1] === INK[1] && data[i + 2] === INK[2] && data[i + 3] === 255;
      return count;
    }""".replace("INK", str(list(ink)))
    counts = [canvas.evaluate(inked) for canvas in page.locator("canvas").all()]
    assert len(counts) >= 9 and max(counts) > 5000 and min(counts) > 0  # discs have a rim of the colour
    page.locator("#sheet-box").scroll_into_view_if_needed()
    images = page.eval_on_selector_all("#sheet img", "all => all.map((image) => image.complete && image.naturalWidth)")
    assert len(images) == 7 and set(images) <= {80, 96}
    assert page.locator(".flow svg:visible").count() == 1
    assert asked == []  # up to a hundred arrays there is no request at all


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(opened: Open, report: Path, scheme: str) -> None:
    for fragment, show in (("", scheme == "light"), (f"#{MR}", False)):
        page = opened(report, fragment, color_scheme=scheme)
        if not fragment:
            if show:
                table(page)
            page.eval_on_selector_all("details", "all => all.forEach((each) => (each.open = true))")
        # Axe judges no contrast on a gradient, such as the shade at the sides of tables.
        page.eval_on_selector_all(".scroll", "all => all.forEach((each) => (each.style.background = 'none'))")
        violations = Axe().run(page).response["violations"]
        faults = [
            (each["id"], node["target"], node.get("failureSummary", "")[:300])
            for each in violations
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        assert faults == []


def test_charts_follow_the_colour_scheme(opened: Open, report: Path) -> None:
    page = opened(report, color_scheme="light")
    until(page, "drawings.size === document.querySelectorAll('canvas').length")
    colour = "[...drawings.values()][0].data.datasets[0].backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    until(page, f"{colour} !== '{light}'")
    page.emulate_media(color_scheme="light")
    until(page, f"{colour} === '{light}'")


def test_on_paper_the_page_is_light_and_whole(opened: Open, report: Path) -> None:
    page = opened(report, color_scheme="dark")
    page.evaluate("addEventListener('beforeprint', () => { window.printed = colour('paper'); }); 0")
    paper = page.pdf(format="A4", print_background=True)
    assert paper.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", paper)) >= 3
    assert page.evaluate("window.printed") == "#fcfcfa"
    assert page.evaluate("colour('paper')") == "#14181b"  # dark again
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 250)"
    assert not page.locator(".filters").is_visible()


def test_what_is_not_on_paper_is_counted(opened: Open, tmp_path: Path) -> None:
    folder = write_many(tmp_path / "dataset", 61)
    report = folder / "reports" / "report.html"
    report.write_text(render(folder), encoding="utf-8")
    page = table(opened(report))
    note = page.locator("#table-box .unprinted")
    assert len(rows(page)) == 60 and not note.is_visible()
    page.emulate_media(media="print")
    assert note.inner_text() == "1 more is not on paper: volumes.csv lists all."
    assert not page.locator("details:not([open])").filter(visible=True).count()  # they cannot be opened
    page.emulate_media(media="screen")
    page.get_by_label("Search").fill("CT")
    page.emulate_media(media="print")
    assert 0 < len(rows(page)) < 60 and not note.is_visible()


def test_without_scripts_the_page_shows_figures_flow_reasons_and_rows(opened: Open, report: Path) -> None:
    page = opened(report, java_script_enabled=False)
    assert page.locator(".flow .wide svg").is_visible() and page.locator("#table").is_visible()
    assert page.locator("#table tbody tr").count() == 8 and page.locator("#sheet img").count() == 7
    assert not page.locator(".filters, .copy, .more, canvas").filter(visible=True).count()
    page.locator("#depth-kinds summary").click()
    assert page.locator("#depth-kinds td").first.is_visible()
    assert page.get_by_text("./run files --reason truncated_header").first.is_visible()
    page.locator(".findings summary").first.click()
    link = page.locator(".findings details a[href]").first
    link.click()  # to its row, where scripts would open a view of it
    row = page.locator("#table tr:target")
    assert row.count() == 1 and link.inner_text().startswith(row.locator("th").inner_text()[:8])
    assert "#" + str(row.get_attribute("id")) == link.get_attribute("href")


# ---- The table


def test_the_table_sorts(opened: Open, report: Path) -> None:
    page = table(opened(report))
    everything = rows(page)
    head = page.locator("#table th", has_text="Frames")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and rows(page)[-1] == MR  # 12 frames
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending" and rows(page)[:2] == [MR, FIRST]
    assert sorted(rows(page)) == sorted(everything) and page.locator("#table [aria-sort]").count() == 1


def test_the_table_searches_and_filters(opened: Open, report: Path) -> None:
    page = table(opened(report))
    status = page.locator(".shown")
    assert status.inner_text() == "8 volumes" and rows(page)[0] == "aaaa000000000007/00000001"  # it failed
    search = page.get_by_label("Search")
    search.fill("3x4x6 mr")
    assert rows(page) == [MR] and status.inner_text() == "1 of 8 volumes"
    search.fill("aaaa000000000004")
    assert len(rows(page)) == 2
    search.fill("<nothing> (like) [this")
    assert rows(page) == [] and status.inner_text() == "No volume matches."
    page.get_by_role("button", name="Show all").click()
    assert len(rows(page)) == 8 and search.input_value() == ""
    for name, option, expected in (
        ("modality", "CT (2)", 2), ("split", "train (5)", 2), ("verdict", "pass (5)", 0),
    ):  # fmt: skip
        page.locator(f"select[name={name}]").select_option(label=option)
        assert len(rows(page)) == expected
        if not expected:
            page.get_by_role("button", name="Show all").click()
    page.locator("select[name='label finding']").select_option(label="no finding (1)")
    assert rows(page) == ["aaaa000000000003/00000001"]
    page.get_by_role("button", name="Show all").click()
    page.locator("select[name='flag']").select_option(label="gap (1)")
    assert rows(page) == [FIRST]


def test_a_finding_leads_to_its_volumes(opened: Open, report: Path) -> None:
    page = opened(report)
    finding = page.locator(".findings li", has_text="has missing slices")
    finding.locator("summary").click()
    finding.get_by_text("Show them in the table").click()
    assert rows(page) == [FIRST]  # and not the other warning, which is one on size
    assert page.locator("select[name=verdict] option:checked").inner_text() == "warning: missing slices (1)"
    finding.locator(f"a[href='#{FIRST}']").click()
    assert page.locator("#viewer[open] h2").inner_text().startswith("CT")


def test_back_from_another_page_the_filters_say_what_is_shown(opened: Open, report: Path) -> None:
    page = table(opened(report))
    page.locator("select[name=modality]").select_option(label="CT (2)")
    page.goto("data:text/html,elsewhere")
    page.go_back()
    shown = "[form.view.value, form.modality.value, document.querySelector('.shown').textContent]"
    assert page.evaluate(shown) == ["sheet", "*", "8 volumes"]


@pytest.mark.parametrize("width", [320, 1440])
def test_long_names_and_numbers_fit(opened: Open, tmp_path: Path, width: int) -> None:
    name, value = "a_label_whose_name_has_many_letters_and_no_space", "value_without_a_space_" * 9
    arrays = [
        replace(each, labels={name: value if at % 2 else "no"}, flags="outside_bits_stored")
        for at, each in enumerate(some_arrays())
    ]
    folder = tmp_path / "dataset"
    write_dataset(folder, arrays, [*OUTCOMES, ("quarantined", "unsupported_transfer_syntax", 123_456)])
    (folder / "reports" / "report.html").write_text(render(folder), encoding="utf-8")
    page = opened(folder / "reports" / "report.html", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ends = "all => all.map((text) => text.getBoundingClientRect().right)"
    assert max(page.eval_on_selector_all(".flow text", ends)) < width
    fits = "name => ((box) => box.scrollWidth - box.clientWidth)(document.querySelector(name).closest('.scroll'))"
    assert page.evaluate(fits, ".words") == 0
    page.evaluate("location.hash = VOLUMES[1].array")
    page.locator("#viewer[open]").wait_for()
    assert page.evaluate("viewer.scrollWidth === viewer.clientWidth")
    assert page.locator("#viewer .flagged dd code").all_inner_texts() == ["fail"]
    page.locator("#viewer .close").click()
    assert width < 500 or page.evaluate(fits, ".balance") == 0  # its numbers are seen


def test_a_long_name_of_a_mask_leaves_room_for_its_numbers(opened: Open, tmp_path: Path) -> None:
    made = array(1)
    folder = write_dataset(tmp_path / "dataset", [made], OUTCOMES)
    names = ["a_name_without_a_space_" * 6, *(f"mask_{number}" for number in range(20))]
    masks = [
        MadeMask(made.array, f"m{at}", box(made.pixels.shape, (0, 2)), name, algorithm=algorithm, volume_ml="12.5")
        for at, name in enumerate(names)
        for algorithm in ("manual", "automatic", "semi_automatic")[: 1 + 2 * (at == 1)]
    ]
    write_masks(folder, [replace(mask, mask=f"{mask.mask}_{at}") for at, mask in enumerate(masks)])
    page = folder / "reports" / "report.html"
    page.write_text(render(folder), encoding="utf-8")
    for width in (1024, 1440):
        shown = opened(page, width=width)
        assert shown.eval_on_selector(".masks", "masks => masks.closest('.scroll').scrollWidth") <= width
        box_of = shown.locator(".masks").evaluate("masks => masks.closest('.scroll').getBoundingClientRect().height")
        assert box_of < 700 < shown.locator(".masks").evaluate("masks => masks.offsetHeight")  # it scrolls in itself
    tall = shown.locator(".masks tbody tr").evaluate_all("all => all.map((row) => row.offsetHeight)")
    assert max(tall[1:]) <= 3 * min(tall)


def test_the_choice_of_a_view_shows_its_focus(opened: Open, report: Path) -> None:
    page = opened(report)
    page.locator("input[value=sheet]").focus()
    page.keyboard.press("ArrowRight")
    chosen = page.locator(".views label", has_text="Table")
    assert chosen.evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    assert page.locator(".views").evaluate("views => getComputedStyle(views).overflow") == "visible"  # not clipped
    page.locator(".views label", has_text="Pictures").click()
    assert chosen.evaluate("label => getComputedStyle(label).outlineStyle") == "none"


# ---- The view of a volume


def test_a_volume_opens_by_mouse_and_keyboard_and_gives_the_focus_back(opened: Open, report: Path) -> None:
    page = opened(report)
    link = page.locator(f"#sheet a[href='#{MR}']")
    link.focus()
    link.press("Enter")
    viewer = page.locator("#viewer[open]")
    assert viewer.locator("h2").inner_text().startswith("MR") and address(page) == MR
    assert viewer.locator(".planes svg").count() == 3
    assert viewer.locator(".planes figcaption").all_inner_texts() == [
        "z 3 of 4, t 2 of 3", "y 4 of 6, t 2 of 3", "x 4 of 6, t 2 of 3",
    ]  # fmt: skip
    boxes = [svg.bounding_box() for svg in viewer.locator(".planes svg").all()]
    assert [round(box["width"] / box["height"], 1) for box in boxes] == [1.3, 2.7, 4.0]
    for _ in range(12):  # the focus stays inside, in either direction
        page.keyboard.press("Tab")
        assert page.evaluate("viewer.contains(document.activeElement)")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("viewer.contains(document.activeElement)")
    page.keyboard.press("Escape")
    until(page, "!location.hash && !viewer.open")
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"#{MR}"


def test_arrows_lead_through_the_list_that_is_shown(opened: Open, report: Path) -> None:
    page = table(opened(report))
    page.locator("select[name='modality']").select_option(label="CT (2)")
    order = rows(page)
    page.locator("#table tbody tr").first.locator("td").nth(2).click()  # anywhere in the row
    until(page, "viewer.open")
    place = page.locator("#viewer .place")
    assert place.inner_text() == "1 of 2" and address(page) == order[0]
    page.keyboard.press("ArrowRight")
    assert place.inner_text() == "2 of 2" and address(page) == order[1]
    page.keyboard.press("ArrowRight")  # the last one stays
    assert place.inner_text() == "2 of 2"
    page.keyboard.press("ArrowLeft")
    page.locator("#viewer .next").click()
    assert place.inner_text() == "2 of 2"
    page.go_back()
    until(page, "!viewer.open")
    page.go_forward()
    until(page, "viewer.open")
    page.locator("#viewer .close").click()
    until(page, "!viewer.open && !location.hash")


def test_one_step_back_and_forward_at_once_leaves_the_view_open(opened: Open, report: Path) -> None:
    page = table(opened(report))
    page.locator("#table tbody tr").first.locator("td").nth(2).click()
    until(page, "viewer.open")
    volume = address(page)
    page.evaluate(
        """(volume) => {
          window.closings = 0;
          viewer.addEventListener("close", () => window.closings++);
          addEventListener("hashchange", () => { // the address is back before "close" arrives
            history.replaceState(null, "", `#${volume}`);
            dispatchEvent(new HashChangeEvent("hashchange"));
          }, { once: true });
          history.back();
        }""",
        volume,
    )
    until(page, "window.closings === 1 && viewer.open")
    page.wait_for_timeout(300)  # a step back that somebody took now arrives
    assert page.evaluate("viewer.open") and address(page) == volume
    page.locator("#viewer .close").click()
    until(page, "!viewer.open && !location.hash")


def test_a_link_to_a_volume_opens_it_with_all_that_is_known(opened: Open, report: Path) -> None:
    page = opened(report, f"#{FIRST}", width=390)
    text = page.locator("#viewer[open] .body").inner_text()
    for words in (
        FIRST, "5×16×16 (zyx)", "2.5×0.5×0.5", "12 stored, 11 used", "0 to 1279", "exact", "train", "finding",
        "slices are missing between the first and the last", f"./run view {FIRST}", f"./run files --array {FIRST}",
    ):  # fmt: skip
        assert words in text, words
    assert page.locator("#viewer .histogram rect").count() == 48
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#viewer .copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == FIRST
    page.keyboard.press("Escape")
    until(page, "!viewer.open")
    until(page, "location.hash === ''")  # the browser goes back in its own time
    other = opened(report, "#ffff000000000001/00000001")  # of another dataset
    assert not other.locator("#viewer").is_visible()
    other.evaluate("location.hash = '#%E0%A4'")  # no text in UTF-8
    other.evaluate(f"location.hash = '#{FIRST.replace('/', '%2F')}'")  # as some programs write it
    until(other, "viewer.open")


# ---- Ten thousand volumes

MOST = 10_000


@pytest.mark.slow
def test_ten_thousand_volumes(opened: Open, tmp_path: Path) -> None:
    folder = write_many(tmp_path / "dataset", MOST)
    report = folder / "reports" / "report.html"
    report.write_text(render(folder, small_cells=5), encoding="utf-8")
    thumbnails = sum(path.stat().st_size for path in folder.rglob("*.thumb.jpg"))
    assert report.stat().st_size + thumbnails < 20e6
    asked: list[str] = []
    page = opened(report, asked=asked)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: other tests run beside this one

    def seconds() -> float:
        return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}[
            "TaskDuration"
        ]

    wait_on(page, lambda: bool(asked))
    page.wait_for_timeout(200)
    assert seconds() < 10
    assert len(asked) < 200  # of ten thousand
    table(page)
    for change in (
        "() => { form.text.value = 'ct 512'; refresh(); }",
        "() => document.querySelector('#table th[data-key=spacing] button').click()",
        "() => document.querySelector('#table th[data-key=array] button').click()",
        "() => { form.text.value = ''; chosen.set('flag', 'gap'); refresh(); }",
        "() => { chosen.clear(); refresh(); }",
    ):
        before = seconds()
        page.evaluate(f"() => {{ ({change})(); return document.body.offsetHeight; }}")
        assert seconds() - before < 1, change
    assert page.locator(".shown").inner_text() == "10\u202f000 volumes" and len(rows(page)) == 60
    page.locator("#table-box").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    until(page, "document.querySelectorAll('#table tbody tr').length === 120")
    page.locator("input[value=sheet]").check()
    box = page.locator("#sheet-box")
    box.scroll_into_view_if_needed()
    before = len(asked)
    for _ in range(6):
        box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
        page.wait_for_timeout(60)
    wait_on(page, lambda: len(asked) > before)
    assert len(asked) < 1000
