"""From a split to its neuron, its pairs and a comparison; neurons and heads by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_explorer import link_and_token

OpenContext = Callable[..., BrowserContext]


def test_a_split_leads_to_its_neuron_its_pair_and_a_comparison_to_share(
    page: Page, open_context: OpenContext
) -> None:
    page.goto("/demo/splits")
    first = page.locator(".splitting").first
    neuron = first.locator(".splitting__side--neuron").get_attribute("href") or ""
    pair = first.locator("[data-card]").get_attribute("href") or ""
    first.locator(".splitting__side--neuron").click()
    expect(page).to_have_url(re.compile(f"{neuron}$"))
    expect(page.locator(".branch").nth(1)).to_be_visible()
    page.locator(f'.leaf[href="{pair}"]').click()
    expect(page).to_have_url(re.compile(f"{pair}$"))
    expect(page.get_by_role("heading", name="How sure is this?")).to_be_visible()
    page.get_by_role("link", name="Compare with the first 3").first.click()
    expect(page).to_have_url(re.compile(r"/demo/compare\?pairs=[\d.,]+$"))
    expect(page.locator(".compared-pair")).to_have_count(4)
    page.get_by_role("link", name=re.compile("^Compare without")).last.click()
    expect(page.locator(".compared-pair")).to_have_count(3)

    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Make a link").click()
    link, _ = link_and_token(page)
    other = open_context().new_page()
    other.goto(link)
    expect(other.locator(".compared-pair")).to_have_count(3)


def test_pairs_are_compared_by_a_plain_form(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/compare")
    page.get_by_label("Two to four pairs").fill("3.1, 7.4")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".matrix")).to_have_count(2)
    expect(page.locator(".compared img").first).to_be_visible()
    page.get_by_label("Two to four pairs").fill("3.1, no pair")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("neuron.head")


def test_arrows_step_through_neurons_and_heads(page: Page) -> None:
    page.goto("/demo/neurons/3")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"/demo/neurons/4$"))
    page.wait_for_load_state()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile(r"/demo/neurons/3$"))
    page.wait_for_load_state()
    page.keyboard.press("j")
    expect(page.locator(".leaf").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/demo/pairs/3/\d+$"))
    page.goto("/demo/heads/2")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"/demo/heads/1$"))
    page.wait_for_load_state()
    page.keyboard.press("j")
    expect(page.locator(".card__link").first).to_be_focused()


def test_a_neuron_is_complete_without_scripts(open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/neurons/3")
    expect(page.locator(".branch__images img").first).to_be_visible()
    heatmap = page.locator(".branch__images .thumb__heat").first
    expect(heatmap).to_be_visible()
    page.get_by_label("Heatmaps").uncheck()
    expect(heatmap).to_be_hidden()
    expect(page.get_by_role("table").last).to_be_visible()
