"""The map of pairs: drawn by WebGL, chosen from by lasso, and what stands in for it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

OpenContext = Callable[..., BrowserContext]

NO_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest);
};
"""


def open_map(page: Page, address: str = "/demo") -> None:
    page.goto(address)
    page.locator("[data-atlas]").scroll_into_view_if_needed()
    expect(page.locator("[data-atlas][data-state=ready]")).to_be_visible()


def draw_circle(page: Page, radius: float) -> None:
    """Round the middle of the map, with the pointer."""
    box = page.locator("[data-plot]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for step in range(1, 60):
        angle = 2 * math.pi * step / 60
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
    page.mouse.up()


def test_plotly_is_loaded_when_the_map_comes_into_view(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 200})
    with page.expect_request(re.compile("plotly.min")) as requested:
        page.goto("/demo", wait_until="networkidle")
        early = page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
        assert not [name for name in early if "plotly.min" in name]
        page.locator("[data-atlas]").scroll_into_view_if_needed()
    response = requested.value.response()
    assert response is not None
    assert response.headers["content-encoding"] == "gzip"


def test_words_stand_above_what_they_name(page: Page) -> None:
    open_map(page)
    gaps = page.evaluate(
        """() => {
          const frame = document.querySelector("[data-labels]").getBoundingClientRect();
          return [...document.querySelectorAll("[data-labels] span")].map((label) => {
            const clump = frame.bottom - (parseFloat(label.style.bottom) / 100) * frame.height;
            return clump - label.getBoundingClientRect().bottom;
          });
        }"""
    )
    assert len(gaps) > 10
    assert min(gaps) >= 4


def test_a_lasso_lists_pairs_under_an_address_that_shows_them_again(
    page: Page, open_context: OpenContext
) -> None:
    open_map(page)
    assert page.locator("[data-plot] canvas").count() > 0
    page.get_by_text("choose by lasso").click()
    draw_circle(page, 120)
    heading = page.get_by_role("heading", name="chosen pairs")
    expect(heading).to_be_visible()
    expect(page).to_have_url(re.compile("region="))

    other = open_context().new_page()
    open_map(other, page.url)
    expect(other.get_by_role("heading", name="chosen pairs")).to_have_text(heading.inner_text())
    dimmed = "document.querySelector('[data-plot]').data[0].selectedpoints.length"
    count = int(re.sub(r"\D", "", heading.inner_text()))
    # A point on the outline may be counted by one and not by the other.
    assert abs(other.evaluate(dimmed) - count) <= 2
    other.get_by_role("link", name=re.compile(r"\d as a table")).click()
    expect(other.get_by_role("heading", level=1)).to_contain_text(f"{count:,} of")


def test_pointing_shows_a_pair_and_a_click_opens_it(page: Page) -> None:
    open_map(page)
    strongest = page.request.get("/api/v1/models/demo/pairs?limit=1").json()["results"][0]
    place = page.evaluate(
        """() => {
          const plot = document.querySelector("[data-plot]");
          const { x, y } = plot.data[0];
          const box = plot.getBoundingClientRect();
          const { xaxis, yaxis } = plot._fullLayout;
          const last = x.length - 1;  // the strongest is drawn last
          return [box.x + xaxis.d2p(x[last]), box.y + yaxis.d2p(y[last])];
        }"""
    )
    page.mouse.move(*place)
    card = page.locator("[data-hover-card]")
    expect(card).to_be_visible()
    expect(card.locator("img")).to_have_count(len(strongest["thumbnails"]))
    page.mouse.click(*place)
    expect(page).to_have_url(re.compile(r"/demo/pairs/\d+/\d+$"))


def test_colours_heads_and_zoom_work_by_keyboard(page: Page) -> None:
    open_map(page)
    page.get_by_role("radio", name="norm").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("colour=head"))
    head = page.get_by_role("button", name="3", exact=True)
    head.focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-pressed", "true")
    shown = page.evaluate("document.querySelector('[data-plot]').data[0].selectedpoints.length")
    assert shown == page.request.get("/api/v1/models/demo").json()["neurons"]
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('[data-plot]')._fullLayout.xaxis.range[1] < 0.8")
    page.get_by_role("button", name="All", exact=True).click()
    page.wait_for_function("document.querySelector('[data-plot]')._fullLayout.xaxis.range[1] > 1")


def test_without_webgl_the_table_is_pointed_to(open_context: OpenContext) -> None:
    page = open_context().new_page()
    page.add_init_script(NO_WEBGL)
    page.goto("/demo")
    page.locator("[data-atlas]").scroll_into_view_if_needed()
    page.get_by_role("alert").get_by_role("link", name="table of pairs").click()
    expect(page.locator(".finder tbody tr")).to_have_count(25)


def test_without_scripts_the_table_stands_alone(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo")
    expect(page.locator("[data-atlas]")).to_be_hidden()
    page.get_by_role("link", name="All pairs, to sort and filter").click()
    page.get_by_role("textbox", name="Words").fill("red")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Monosemanticity").first.click()
    expect(page).to_have_url(re.compile("sort=monosemanticity"))
    expect(page).to_have_url(re.compile("words=red"))
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("26 to 50 of")).to_be_visible()
