"""The page of `./run review` in a real browser: by mouse, by keyboard, for several images, in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, chromium, patient, wait_on
from playwright.sync_api import Browser, Locator, Page, Route, expect
from reviewed_results import content, everything, reviewing, write_results
from viewed_dataset import Viewer
from waiting import HANG, wait_until

from dicomzarr.records import decisions
from dicomzarr.system.results_folder import Results

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the page is not seen by a browser"),
]
OTHERS = 9  # images of the ultrasound beside the first: twelve in all
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return write_results(tmp_path, OTHERS)


@pytest.fixture
def server(results: Results) -> Iterator[Viewer]:
    with reviewing(results) as server:
        yield server


@pytest.fixture
def opened(browser: Browser, server: Viewer) -> Iterator[Open]:
    """Open the page; afterwards there must be no error, and no request but to its server."""
    faults: list[str] = []
    contexts = []

    def open_page(width: int = 1200, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = patient(context.new_page())
        page.on("console", lambda message: faults.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error {error}"))
        base = f"http://127.0.0.1:{server.port}/"
        page.on("request", lambda r: r.url.startswith((base, "data:")) or faults.append(f"request {r.url}"))
        page.goto(server.address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def card(page: Page, number: int) -> Locator:
    return page.locator(f'[data-content="{content(number)}"]')


def until(results: Results, expected: dict[int, str]) -> None:
    """Wait until the table has these decisions alone."""
    wanted = {content(number): decision for number, decision in expected.items()}
    table = results.private / "decisions.csv"
    wait_until(lambda: decisions.read(table) == wanted, explain=lambda: decisions.read(table))


def focused(page: Page) -> str:
    """Return the content of the image that has the focus."""
    return str(page.evaluate("document.activeElement.closest('#grid > li').dataset.content"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_no_fault_of_accessibility(opened: Open, results: Results, scheme: str, width: int) -> None:
    decisions.write(results.private / "decisions.csv", {content(1): "keep", content(2): "set_aside"})
    page = opened(width, color_scheme=scheme)
    page.get_by_role("button", name="Select all shown").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    violations = Axe().run(page).response["violations"]
    faults = [
        (each["id"], each["impact"], node["target"], node.get("failureSummary", "")[:300])
        for each in violations
        for node in each["nodes"]
    ]
    assert faults == []


def test_on_paper_the_page_is_light_and_its_head_covers_nothing(opened: Open) -> None:
    page = opened(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('header')).position") == "static"


def test_without_scripts_the_page_says_that_nothing_is_decided(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    assert "no button decides anything" in page.locator("noscript .problem").inner_text()
    assert card(page, 2).locator(".picture").get_attribute("aria-label") == (
        f"no picture: it could not be drawn. Image {content(2)[:12]}: enlarge"
    )


def test_pictures_are_shown_and_looking_changes_nothing(opened: Open, results: Results) -> None:
    before = everything(results.root)
    page = opened()
    expect(page.locator("#left")).to_have_text("12 of 12 undecided")
    picture = card(page, 1).locator("img")
    expect(picture).to_have_js_property("naturalWidth", 320)
    assert card(page, 2).locator(".picture").inner_text() == "no picture: it could not be drawn"
    for text in ("undecided", "CT", "frame 1: rows 10 to 24, columns 30 to 120, by strokes"):
        assert text in card(page, 1).inner_text()
    small = picture.bounding_box()
    card(page, 1).locator(".picture").click()
    assert picture.bounding_box()["width"] > 1.5 * small["width"]
    expect(card(page, 1).locator(".picture")).to_have_attribute("aria-expanded", "true")
    page.reload()
    assert everything(results.root) == before


def test_buttons_decide_and_a_reload_keeps_it(opened: Open, results: Results) -> None:
    page = opened()
    card(page, 1).get_by_role("button", name="Keep").click()
    until(results, {1: "keep"})
    expect(card(page, 1).locator(".state")).to_have_text("keep")
    expect(card(page, 1).get_by_role("button", name="Keep")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#left")).to_have_text("11 of 12 undecided")
    card(page, 1).get_by_role("button", name="Set aside").click()
    until(results, {1: "set_aside"})
    card(page, 2).get_by_role("button", name="Set aside").click()
    card(page, 1).get_by_role("button", name="Undo").click()
    until(results, {2: "set_aside"})
    page.reload()
    expect(card(page, 1).locator(".state")).to_have_text("undecided")
    expect(card(page, 2).locator(".state")).to_have_text("set aside")


def test_the_keyboard_alone_decides(opened: Open, results: Results) -> None:
    """From the top of the page; keys work on an image only, so that nobody decides by typing elsewhere."""
    page = opened()
    page.keyboard.press("k")
    page.locator("#modality").focus()
    page.keyboard.press("s")
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.picture')"):
            break
    assert focused(page) == content(1)
    for key, number in (
        ("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 1), ("End", 99 + OTHERS), ("ArrowDown", 99 + OTHERS),
        ("Home", 1), ("ArrowDown", 101), ("ArrowUp", 1),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert focused(page) == content(number), key
    page.keyboard.press("Control+k")  # the browser's own
    until(results, {})
    page.keyboard.press("k")  # and on to the next
    page.keyboard.press("s")
    page.keyboard.press("S")
    until(results, {1: "keep", 2: "set_aside", 3: "set_aside"})
    assert focused(page) == content(100)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("u")
    until(results, {1: "keep", 2: "set_aside"})
    assert focused(page) == content(3)
    page.keyboard.press("Enter")
    expect(card(page, 3).locator(".picture")).to_have_attribute("aria-expanded", "true")


def test_several_are_decided_at_once(opened: Open, results: Results) -> None:
    page = opened()
    group = page.get_by_role("group", name="Selected images")
    expect(group).to_be_hidden()
    card(page, 1).get_by_label("select").check()
    card(page, 2).locator(".picture").focus()
    page.keyboard.press("x")
    expect(page.locator("#selected")).to_have_text("2 selected:")
    group.get_by_role("button", name="Keep").click()
    until(results, {1: "keep", 2: "keep"})
    expect(group).to_be_hidden()
    page.locator("#modality").select_option(label="OTHER (10)")
    page.get_by_role("button", name="Select all shown").click()
    card(page, 3).locator(".picture").press("s")
    ultrasound = dict.fromkeys((3, *range(100, 100 + OTHERS)), "set_aside")
    until(results, {1: "keep", 2: "keep", **ultrasound})
    expect(page.locator("#left")).to_have_text("0 of 12 undecided")
    page.get_by_role("button", name="Select all shown").click()
    group.get_by_role("button", name="Undo").click()
    until(results, {1: "keep", 2: "keep"})


def test_filters_hide_and_what_is_hidden_is_not_decided(opened: Open, results: Results) -> None:
    decisions.write(results.private / "decisions.csv", {content(1): "keep"})
    page = opened()
    page.get_by_role("button", name="Select all shown").click()
    page.get_by_label("undecided only").check()
    expect(card(page, 1)).to_be_hidden()
    expect(page.locator("#shown")).to_have_text("11 shown")
    page.locator("#modality").select_option(label="CT (2)")
    expect(page.locator("#selected")).to_have_text("1 selected:")
    page.get_by_role("group", name="Selected images").get_by_role("button", name="Set aside").click()
    until(results, {1: "keep", 2: "set_aside"})
    expect(card(page, 2)).to_be_visible()  # until the filter changes
    page.locator("#modality").select_option(label="all")
    expect(page.get_by_role("group", name="Selected images")).to_be_hidden()  # those that were hidden in between
    page.locator("#modality").select_option(label="CT (2)")
    expect(page.locator("#nothing")).to_be_visible()


def test_a_filter_counts_what_was_decided_before_it_and_is_answered_later(opened: Open, results: Results) -> None:
    page = opened()
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright takes no method of a list
        held.append(route)

    page.route("**/decisions", hold)
    card(page, 1).get_by_role("button", name="Keep").click()
    page.get_by_label("undecided only").check()
    expect(page.locator("#shown")).to_have_text("")
    card(page, 2).get_by_role("button", name="Keep").click()  # after the filter: stays, so that it can be undone
    wait_on(page, lambda: len(held) == 1)
    held[0].continue_()
    wait_on(page, lambda: len(held) == 2)
    held[1].continue_()
    until(results, {1: "keep", 2: "keep"})
    expect(card(page, 2).locator(".state")).to_have_text("keep")
    expect(card(page, 1)).to_be_hidden()
    expect(card(page, 2)).to_be_visible()
    expect(page.locator("#shown")).to_have_text("11 shown")


def test_two_people_do_not_overrule_each_other_unseen(opened: Open, results: Results) -> None:
    one, two = opened(), opened()
    card(one, 1).get_by_role("button", name="Set aside").click()
    until(results, {1: "set_aside"})
    picture = card(two, 1).locator(".picture")
    picture.focus()
    picture.press("k")
    expect(card(two, 1).locator(".state")).to_have_text("set aside by somebody else")
    expect(two.get_by_role("alert")).to_contain_text("1 image was decided by somebody else meanwhile")
    picture.press("u")
    picture.press("k")
    until(results, {1: "keep"})
    expect(card(two, 1).locator(".state")).to_have_text("keep")
    expect(two.get_by_role("alert")).to_be_empty()


def test_what_could_not_be_saved_is_said_and_not_shown_as_decided(
    browser: Browser, server: Viewer, results: Results
) -> None:
    page = patient(browser.new_page())
    page.goto(server.address)
    (results.private / "decisions.csv").write_text("other\n")
    card(page, 1).get_by_role("button", name="Keep").click()
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("Not saved: private/decisions.csv, line 1")
    expect(card(page, 1).locator(".state")).to_have_text("undecided")
    (results.private / "decisions.csv").unlink()
    card(page, 1).get_by_role("button", name="Keep").click()
    until(results, {1: "keep"})
    expect(problem).to_be_empty()
    server.process.terminate()
    server.process.wait(HANG)
    card(page, 3).get_by_role("button", name="Keep").click()
    expect(problem).to_contain_text("The server has ended")
    expect(card(page, 3).locator(".state")).to_have_text("undecided")
    page.close()


def test_images_are_hidden_without_counting_all_others(opened: Open) -> None:
    """As items of a list, 5,000 images took a minute to hide, since each has a number; as blocks, 0.3 s."""
    page = opened()
    displays = "[...document.querySelectorAll('#grid > li')].map(card => getComputedStyle(card).display)"
    assert set(page.evaluate(displays)) == {"block"}
    assert page.get_by_role("listitem").count() >= 3 + OTHERS
    page.select_option("#modality", "CT")
    assert page.evaluate(displays).count("none") == 1 + OTHERS
