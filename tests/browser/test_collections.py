"""Collecting pairs: from several tabs, put in order, noted, shared, embedded elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_explorer import link_and_token

OpenContext = Callable[..., BrowserContext]


def test_pairs_are_collected_put_in_order_and_passed_on(
    page: Page, open_context: OpenContext
) -> None:
    page.goto("/demo/search?q=red")
    other = page.context.new_page()
    other.goto("/demo/search?q=red")
    for place in (0, 1, 2):
        page.locator(".card .collect").nth(place).click()
    expect(page.locator(".card .collect").first).to_have_attribute("aria-pressed", "true")
    expect(other.locator("[data-collection-count]")).to_have_text("3")
    other.locator(".card .collect").nth(2).click()
    expect(page.locator("[data-collection-count]")).to_have_text("2")

    page.get_by_role("link", name="Collection").click()
    expect(page.locator(".entry")).to_have_count(3)  # one to add another
    first, second = page.locator(".entry [name=pairs]").all()[:2]
    order = [second.input_value(), first.input_value()]
    page.locator("#collection-title").fill("Two <b>reds</b>")
    page.locator(".entry [name=note]").first.fill("the second\nof them")
    page.get_by_role("button", name=f"Move pair {order[1]} down").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile(f"pairs={order[0]},{order[1]}&title="))
    expect(page.get_by_role("heading", level=1)).to_have_text("Two <b>reds</b>")

    elsewhere = open_context().new_page()
    elsewhere.goto(page.url)
    expect(elsewhere.locator(".card")).to_have_count(2)
    expect(elsewhere.locator(".card").nth(1).locator(".card__note")).to_have_text(
        "the second of them"
    )
    elsewhere.get_by_role("button", name="Make it my collection").click()
    elsewhere.goto("/demo")
    expect(elsewhere.locator("[data-collection-count]")).to_have_text("2")
    elsewhere.goto("/demo/collection")
    expect(elsewhere.locator(".card")).to_have_count(2)


def test_a_shared_collection_is_seen_by_whoever_has_one_of_their_own(page: Page) -> None:
    page.goto("/demo/collection?pairs=3.1,7.4&title=Mine")
    page.get_by_role("button", name="Make it my collection").click()
    page.goto("/demo/collection?pairs=5.2&title=Shared")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    link, _ = link_and_token(page)
    page.goto(link)
    page.wait_for_load_state("networkidle")
    assert page.url == link
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator(".card")).to_have_count(1)
    page.goto("/demo/collection")
    expect(page.get_by_role("heading", level=1)).to_have_text("Mine")


def test_a_collection_is_made_without_scripts(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/collection")
    page.get_by_role("textbox", name="Pair 1").fill("3.1")
    page.get_by_role("textbox", name="Note").first.fill("by hand")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".card__note")).to_have_text("by hand")
    page.get_by_role("textbox", name="Pair 2").fill("7.4")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".card")).to_have_count(2)


def test_the_dialog_copies_an_iframe_that_shows_the_pair_inside_a_page(
    page: Page, open_context: OpenContext
) -> None:
    page.goto("/demo/pairs/3/1")
    page.get_by_role("button", name="Share").click()
    page.get_by_text("Copy link, embed, citation or API call").click()
    iframe = page.get_by_label("Embed").input_value()
    assert iframe.startswith('<iframe src="http://127.0.0.1')
    site = open_context(viewport={"width": 320, "height": 700}).new_page()
    blog = f"<!doctype html><title>A blog</title>{iframe}"
    # A page of the server itself could not be framed even here: frame-ancestors 'none'.
    site.route("**/a-blog", lambda route: route.fulfill(body=blog, content_type="text/html"))
    site.goto("/a-blog")
    frame = site.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_be_visible()
    expect(frame.locator(".exemplars img").first).to_be_visible()
    expect(frame.get_by_role("link", name="PairScope")).to_have_attribute("href", "/demo/pairs/3/1")
