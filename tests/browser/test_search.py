"""Searching: suggestions while one types, by words and meaning, by a picture, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, expect

OpenContext = Callable[..., BrowserContext]


def test_words_are_suggested_and_taken_by_keyboard(page: Page) -> None:
    page.goto("/demo/search")
    field = page.get_by_role("combobox")
    expect(field).to_have_attribute("aria-expanded", "false")
    field.press_sequentially("butt")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("butterfly")
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("ArrowDown")
    expect(field).to_have_value("butterfly")
    active = field.get_attribute("aria-activedescendant")
    assert active == options.first.get_attribute("id")
    field.press("ArrowUp")
    expect(field).to_have_value("butt")
    field.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(field).to_have_value("butt")
    field.press_sequentially("e")
    expect(options.first).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"q=butterfly"))
    expect(page.get_by_role("heading", name="By meaning")).to_be_visible()
    expect(page.get_by_role("heading", name="By words")).to_be_visible()


def test_a_misspelt_word_is_put_right_by_a_press(page: Page) -> None:
    page.goto("/demo")
    page.get_by_role("combobox").press_sequentially("buterfly")
    page.get_by_role("option", name=re.compile("^butterfly")).click()
    expect(page).to_have_url(re.compile(r"/demo/search\?q=butterfly"))


def test_an_answer_that_comes_late_is_dropped(page: Page) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if "q=re&" in route.request.url + "&":
            held.append(route)
        else:
            route.continue_()

    page.route("**/suggestions?*", hold_the_first)
    page.goto("/demo/search")
    field = page.get_by_role("combobox")
    with page.expect_request(re.compile(r"suggestions\?q=re$")):
        field.press_sequentially("re")
    field.fill("butterfl")
    expect(page.get_by_role("option").first).to_contain_text("butterfly")
    for route in held:
        route.abort()
    expect(page.get_by_role("option").first).to_contain_text("butterfly")


def test_searching_works_without_scripts(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/search")
    page.get_by_label("Which pairs respond to").fill("red")
    page.get_by_label("strong ones").check()
    page.get_by_label("Head").fill("3")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"rank=weighted"))
    expect(page.locator(".card__link").first).to_have_attribute("href", re.compile(r"/3$"))
    page.get_by_role("link", name="Show more").click()
    expect(page).to_have_url(re.compile(r"limit=24"))
    expect(page).to_have_url(re.compile(r"head=3"))


def test_a_picture_finds_pairs_and_the_link_shows_them(
    page: Page, open_context: OpenContext, sample: bytes, axe: Any
) -> None:
    page.goto("/demo/search/picture")
    page.locator("[data-file]").set_input_files(
        {"name": "scene.webp", "mimeType": "image/webp", "buffer": sample}
    )
    expect(page).to_have_url(re.compile(r"\?image="))
    expect(page.locator(".card__link")).to_have_count(24)
    first = page.locator(".card__link").first.get_attribute("href")
    violations = axe.run(page).response["violations"]
    assert [each["id"] for each in violations] == []
    page.get_by_label("what moves the embedding").check()
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile(r"rank=movement"))

    other = open_context(java_script_enabled=False).new_page()
    other.goto(page.url.replace("rank=movement", "rank=standing"))
    expect(other.locator(".card__link").first).to_have_attribute("href", first or "")


def test_a_file_that_is_no_picture_is_explained_in_place(page: Page) -> None:
    page.goto("/demo/search/picture")
    page.locator("[data-file]").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(page.locator("[data-problem]")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/search/picture$"))
