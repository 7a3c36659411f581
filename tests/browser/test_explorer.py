"""Browsing: search, pairs, sharing, themes, keyboard, phones, accessibility."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from backend.server.pages.addresses import ADDRESSES

OpenContext = Callable[..., BrowserContext]

PAGES = [
    "/",
    "/demo",
    "/demo/search",
    "/demo/search?q=butterfly",
    "/demo/search/picture",
    "/demo/pairs?words=red&cosine_min=0.5",
    "/demo/pairs/3/1",
    "/demo/neurons/3",
    "/demo/heads/2",
    "/demo/splits",
    "/demo/compare?pairs=3.1,7.4",
    "/demo/collection",
    "/demo/collection?pairs=3.1,7.4&title=Two&about=Some+text&note=first&note=second",
    "/demo/provenance",
    "/demo/lab",
    "/demo/lab?prompts=cat&prompts=dog",
    "/docs",
    "/demo/pairs/3/1?version=01234567",
    "/demo/pairs/3/1?embed=1",
    "/demo?embed=1",
    "/demo/collection?pairs=3.1&embed=1&theme=dark",
    "/demo/pairs/999999/0",
]


def test_every_page_that_can_be_shared_is_among_those_that_are_looked_at() -> None:
    for address in ADDRESSES:
        assert any(address.match(urlsplit(page).path) is not None for page in PAGES), address.path


def first_pair(page: Page) -> str:
    """Address of a pair with something to see."""
    address: str = page.request.get("/api/v1/models/demo").json()["clearest"][0]["url"]
    return address


def test_search_a_word_open_a_pair_and_share_it(page: Page, open_context: OpenContext) -> None:
    page.goto("/")
    page.get_by_label("Which pairs respond to").fill("butterfly")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"/demo/search\?q=butterfly"))
    cards = page.locator(".card__link")
    address = cards.first.get_attribute("href")
    cards.first.click()
    expect(page).to_have_url(re.compile(f"{address}$"))
    heading = page.get_by_role("heading", level=1).text_content() or ""

    page.get_by_role("button", name="Share").click()
    page.get_by_label("Title").fill("Look <b>here</b>")
    page.get_by_label("Note").fill("two\nlines")
    page.get_by_role("button", name="Make a link").click()
    link, token = link_and_token(page)

    other = open_context().new_page()
    other.goto(link)
    expect(other.locator(".banner__title")).to_have_text("Look <b>here</b>")
    expect(other.get_by_role("heading", level=1)).to_have_text(heading)
    assert other.locator("meta[name=robots]").get_attribute("content") == "noindex"

    other.get_by_text("Delete", exact=True).click()
    other.get_by_role("textbox", name="Delete token").fill("not the token")
    other.get_by_role("button", name="Delete for good").click()
    expect(other.get_by_role("alert")).to_be_visible()
    other.get_by_role("textbox", name="Delete token").fill(token)
    other.get_by_role("button", name="Delete for good").click()
    expect(other.get_by_text("Deleted: the link is gone")).to_be_visible()


def link_and_token(page: Page) -> tuple[str, str]:
    """What the share dialog shows when it is done."""
    link = page.locator("#share-link")
    expect(link).to_have_value(re.compile(r"/s/[\w-]{20,}$"))
    return link.input_value(), page.get_by_label("Delete token").input_value()


def test_words_of_a_pair_are_searches(page: Page) -> None:
    page.goto(first_pair(page))
    word = page.locator(".bars th a").first
    text = word.inner_text()
    word.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Pairs for “{text}”")
    expect(page.locator(".card__link").first).to_be_visible()


def test_plots_and_words_of_a_pair_are_taken_away_as_files(page: Page) -> None:
    page.goto("/demo/pairs/3/4")
    for button in page.get_by_role("button", name="Save as SVG").all():
        with page.expect_download() as download:
            button.click()
        assert download.value.suggested_filename.endswith("-3-4.svg")
        plot = Path(download.value.path()).read_text()
        assert plot.startswith("<svg")
        assert 'font-family="' in plot
        assert "var(" not in plot
    with page.expect_download() as download:
        page.locator("#words ~ figcaption").get_by_role("link", name="CSV").click()
    assert "word" in Path(download.value.path()).read_text()


def test_pages_are_complete_without_scripts(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/pairs/3/1")
    expect(page.locator(".bars tr").nth(1)).to_be_visible()
    expect(page.locator("svg.chart")).to_have_count(2)
    expect(page.locator(".exemplars img").first).to_be_visible()
    heatmap = page.locator(".exemplars .thumb__heat").first
    expect(heatmap).to_be_visible()
    page.get_by_label("Heatmaps").uncheck()
    expect(heatmap).to_be_hidden()
    expect(page.get_by_role("button", name="Share")).to_be_hidden()


def test_without_scripts_there_is_no_empty_place_for_a_picture(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/lab")
    expect(page.locator(".plain-lab")).to_be_visible()
    expect(page.locator(".drop")).to_be_hidden()


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.goto("/demo")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"search\?q=red"))
    page.wait_for_load_state()  # the address changes before the page's script listens
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator(".card__link").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/demo/pairs/\d+/\d+$"))
    page.goto("/demo/pairs/3/1")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"/demo/pairs/3/2$"))
    page.wait_for_load_state()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile(r"/demo/pairs/2/2$"))


def test_single_keys_can_be_switched_off(page: Page) -> None:
    page.goto("/demo")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard")).to_be_visible()
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(page.get_by_role("heading", name="Keyboard")).to_be_hidden()
    expect(page.get_by_role("combobox")).not_to_be_focused()


def test_the_theme_follows_the_system_until_it_is_chosen(open_context: OpenContext) -> None:
    page = open_context(color_scheme="dark").new_page()
    page.goto("/")
    assert brightness(page) < 60
    page.get_by_role("button", name="Change between light and dark").click()
    assert brightness(page) > 200
    page.goto("/docs")
    assert brightness(page) > 200


def brightness(page: Page) -> float:
    """Mean of the page's background colour, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    channels = [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]
    return sum(channels) / 3


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_no_page_scrolls_sideways(open_context: OpenContext, width: int) -> None:
    page = open_context(viewport={"width": width, "height": 800}).new_page()
    for address in PAGES:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("url", ["/", "/docs", "/demo/neurons/3"])
def test_tables_fit_on_a_phone(open_context: OpenContext, url: str) -> None:
    page = open_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(url)
    for table in page.locator(".scroll").all():
        assert table.evaluate("each => each.scrollWidth <= each.clientWidth")


def test_nothing_moves_while_pictures_load(page: Page) -> None:
    page.add_init_script(
        """window.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    for address in ("/", "/demo/pairs/3/1", "/demo/search?q=butterfly"):
        page.goto(address, wait_until="networkidle")
        assert page.evaluate("window.shift") < 0.02, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_accessibility_violations(
    open_context: OpenContext, axe: Any, scheme: str
) -> None:
    page = open_context(color_scheme=scheme).new_page()
    for address in PAGES:
        page.goto(address)
        assert violations(axe, page) == [], address
    page.goto("/demo/pairs/3/1")
    page.get_by_role("button", name="Share").click()
    page.get_by_text("Copy link, embed, citation or API call").click()
    assert violations(axe, page) == []
    page.goto("/demo/pairs/3/1")
    page.keyboard.press("?")
    assert violations(axe, page) == []


def violations(axe: Any, page: Page) -> list[str]:
    """What axe-core objects to, with the first place of each."""
    found = axe.run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]
