"""The lab: a picture in, a result out, shared, opened elsewhere, deleted."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.test_explorer import link_and_token, violations

OpenContext = Callable[..., BrowserContext]

SEGMENTATIONS = "**/api/v1/models/demo/segmentations"


def enter(page: Page, *prompts: str) -> None:
    field = page.get_by_label("What to look for", exact=True)
    for prompt in prompts:
        field.fill(prompt)
        field.press("Enter")


def upload(page: Page, picture: bytes) -> None:
    page.locator("#picture").set_input_files(
        {"name": "scene.webp", "mimeType": "image/webp", "buffer": picture}
    )


def segment(page: Page, picture: bytes, *prompts: str) -> None:
    """Ask for prompts, then give a picture, which is segmented by itself."""
    page.goto("/demo/lab")
    enter(page, *prompts)
    upload(page, picture)
    expect_result(page)


def expect_result(page: Page) -> None:
    expect(page.locator("[data-segmentation]")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/demo/lab\?image=[\w-]+&segmentation=[\w-]+"))


def names(page: Page) -> Locator:
    return page.locator("button.legend__class .legend__name")


def test_upload_segment_share_open_elsewhere_delete(
    page: Page, sample: bytes, open_context: OpenContext
) -> None:
    segment(page, sample, "butterfly", "<i>red</i>")
    expect(names(page)).to_have_text(["butterfly", "<i>red</i>"])
    shares = page.locator(".legend__share").all_inner_texts()
    expect(page.get_by_alt_text(re.compile("^Mask: butterfly"))).to_be_visible()

    page.get_by_role("button", name="Share this result").click()
    expect(page.get_by_text("This publishes your picture.")).to_be_visible()
    page.get_by_label("Title").fill("My scene")
    page.get_by_role("button", name="Make a link").click()
    link, token = link_and_token(page)

    other = open_context().new_page()
    other.goto(link)
    expect(other.locator(".banner__title")).to_have_text("My scene")
    expect(names(other)).to_have_text(["butterfly", "<i>red</i>"])
    assert other.locator(".legend__share").all_inner_texts() == shares
    picture = other.get_by_alt_text("The picture")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    picture_url = other.evaluate("image => image.src", picture.element_handle())

    other.get_by_text("Delete", exact=True).click()
    other.get_by_role("textbox", name="Delete token").fill(token)
    other.get_by_role("button", name="Delete for good").click()
    expect(other.get_by_text("Deleted: the link is gone")).to_be_visible()
    assert other.request.get(link).status == 404
    assert other.request.get(picture_url).status == 404


def test_what_the_demo_may_not_know_is_said_with_a_way_on(page: Page) -> None:
    noise = io.BytesIO()
    Image.effect_noise((256, 256), 80).convert("RGB").save(noise, "WEBP", lossless=True)
    segment(page, noise.getvalue(), "carburetor", "butterfly")
    expect(page.get_by_text("The demo is a small model")).to_be_visible()
    expect(page.get_by_text("it may not know what is in it")).to_be_visible()
    expect(page.locator(".legend__doubt")).to_have_count(1)
    page.goto("/demo/search?q=butterfly")
    expect(page.get_by_text("The demo is a small model")).to_be_visible()
    expect(page.get_by_text("may not know this text")).to_have_count(0)
    page.goto("/demo/search?q=quantum+chromodynamics")
    expect(page.get_by_text("may not know this text")).to_be_visible()
    page.get_by_role("link", name="How this is judged").click()
    expect(page.get_by_role("heading", name="What a model may not know")).to_be_in_viewport()
    expect(page.get_by_text("pairscope precompute --model")).to_be_visible()


def test_a_result_is_an_address(page: Page, sample: bytes, open_context: OpenContext) -> None:
    segment(page, sample, "red")
    address = page.url
    again = open_context().new_page()
    again.goto(address)
    expect(again.locator("[data-segmentation]")).to_be_visible()
    assert again.locator("meta[name=robots]").get_attribute("content") == "noindex"
    enter(again, "blue")
    expect(names(again)).to_have_text(["red", "blue"])  # asked by itself: the picture is known
    assert again.url != address
    again.get_by_role("button", name="Undo").click()
    expect(names(again)).to_have_text(["red"])
    assert again.url == address
    expect(again.get_by_role("list", name="Prompts").get_by_role("listitem")).to_have_count(1)
    again.keyboard.press("Control+Shift+Z")
    expect(names(again)).to_have_text(["red", "blue"])
    again.go_back()
    expect(names(again)).to_have_text(["red"])
    again.reload()
    expect(names(again)).to_have_text(["red"])


def test_undo_leads_back_to_the_panel_that_was_open(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    panel = open_panel(page, "Score")
    told = values(panel)
    expect(page).to_have_url(re.compile(r"attribution=[\w-]+&panel=score"))
    address = page.url
    enter(page, "blue")
    expect(names(page)).to_have_text(["red", "blue"])
    page.get_by_role("tab", name="Result").click()
    page.get_by_role("button", name="Undo").click()
    expect(names(page)).to_have_text(["red"])
    expect(page.get_by_role("tab", name="Score")).to_have_attribute("aria-selected", "true")
    assert values(panel) == told
    assert page.url == address


def test_a_newcomer_begins_with_one_press(page: Page) -> None:
    page.goto("/demo/lab")
    page.get_by_role("button", name=re.compile("^Image ")).first.click()
    expect_result(page)
    expect(page.get_by_text("Words near this picture")).to_be_visible()
    chips = page.get_by_role("list", name="Prompts").get_by_role("listitem")
    nearest = page.locator("[data-near-words] button").first.inner_text()
    expect(chips.first).to_contain_text(nearest)
    expect(names(page)).to_have_count(chips.count())


def test_settings_are_part_of_the_step(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    page.get_by_text("Method and settings").click()
    page.get_by_role("radio", name="Neurons only").check()
    expect(page.locator(".is-stale")).to_have_count(0)
    page.get_by_label("A place belongs to a word").select_option("none")
    expect(page.locator(".legend__class--background")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".legend__class--background")).to_be_visible()
    expect(page.get_by_label("A place belongs to a word")).to_have_value("words")
    expect(page.get_by_role("radio", name="Neurons only")).to_be_checked()


def test_methods_stand_side_by_side(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    page.get_by_role("button", name="Compare five methods side by side").click()
    masks = page.get_by_alt_text(re.compile("^Mask by"))
    expect(masks).to_have_count(5)
    page.get_by_role("button", name="MaskCLIP").click()
    expect(masks.first).to_have_attribute("alt", "Mask by MaskCLIP")
    page.get_by_text("Method and settings").click()
    expect(page.get_by_role("radio", name="MaskCLIP")).to_be_checked()


def test_the_pointer_and_the_keyboard_read_logits(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    stage, reading = page.locator("[data-layers]").first, page.locator("#stage-reading")
    stage.hover()
    expect(reading).to_have_text(re.compile(r"(red|blue|background) \(.*(red|blue) .?\d"))
    stage.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#announcer")).to_have_text(re.compile(r"^Row \d+, column 1: "))


def number(text: str) -> float:
    """A number as pages write it."""
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def values(panel: Locator) -> list[float]:
    """The parts of a sum, and last the sum itself."""
    expect(panel.locator(".pair-row--sum")).to_be_visible()
    return [number(text) for text in panel.locator(".pair-row__value").all_inner_texts()]


def open_panel(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def test_upload_segment_ask_ablate_share_open_elsewhere_delete(
    page: Page, sample: bytes, open_context: OpenContext
) -> None:
    segment(page, sample, "red", "blue")
    page.locator("[data-layers]").first.click(position={"x": 200, "y": 150})
    why = page.get_by_role("tabpanel", name="Which pairs?")
    *parts, total = values(why)
    assert sum(parts) == pytest.approx(total, rel=0.02, abs=1e-4)
    expect(why.locator("[data-verdict]")).to_contain_text("the logit of")

    score = open_panel(page, "Score")
    *parts, total = values(score)
    assert sum(parts) == pytest.approx(total, abs=2e-3)
    score.get_by_role("button", name=re.compile("^Map of pair")).first.click()
    expect(page.get_by_alt_text(re.compile("^Where the value of pair"))).to_be_visible()

    score.get_by_role("button", name=re.compile("^Switch off head")).first.click()
    what_if = page.get_by_role("tabpanel", name="What if?")
    expect(what_if.locator("[data-verdict]")).to_contain_text("1,024 pairs are changed")
    expect(what_if.get_by_text("Attention is held as it was")).to_be_visible()
    expect(what_if.get_by_role("row")).to_have_count(3)
    changed = what_if.get_by_role("row").all_inner_texts()

    page.get_by_role("tab", name="Result").click()
    page.get_by_role("button", name="Share this result").click()
    page.get_by_role("button", name="Make a link").click()
    link, token = link_and_token(page)
    other = open_context().new_page()
    other.goto(link)
    shown = open_panel(other, "What if?")
    expect(shown.get_by_role("row")).to_have_count(3)
    assert shown.get_by_role("row").all_inner_texts() == changed
    *_, again = values(open_panel(other, "Score"))
    assert again == total
    expect(open_panel(other, "Which pairs?").locator("[data-verdict]")).to_contain_text("logit")
    other.get_by_text("Delete", exact=True).click()
    other.get_by_role("textbox", name="Delete token").fill(token)
    other.get_by_role("button", name="Delete for good").click()
    expect(other.get_by_text("Deleted: the link is gone")).to_be_visible()
    assert other.request.get(link).status == 404


def test_changes_can_be_typed_scaled_and_undone(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    panel = open_panel(page, "What if?")
    field = panel.get_by_label("Pair, neuron or head")
    field.fill("everything")
    field.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("Name a pair as neuron.head")
    field.fill("(3, 4)")
    field.press("Enter")
    changes = panel.get_by_role("list", name="Changes").get_by_role("listitem")
    off = re.compile(r"^3\.4 off")
    expect(changes).to_have_text([off])
    expect(panel.locator("[data-verdict]")).to_contain_text("1 pair is changed")
    panel.get_by_label("What to do with it").select_option("scale")
    panel.get_by_label("Factor").fill("2")
    field.fill("head 2")
    field.press("Enter")
    expect(changes).to_have_text([off, re.compile("^head 2 . 2")])
    expect(panel.locator("[data-verdict]")).to_contain_text("1,025 pairs are changed")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(changes).to_have_text([off])
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(changes).to_have_count(0)
    page.get_by_role("button", name="Redo", exact=True).click()
    expect(changes).to_have_text([off])
    page.reload()
    expect(changes).to_have_text([off])
    panel.get_by_role("button", name="Reset").click()
    expect(changes).to_have_count(0)


def test_two_texts_can_be_contrasted_and_taken_away(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    panel = open_panel(page, "Score")
    values(panel)
    panel.get_by_label("rather than").fill("blue")
    panel.get_by_role("button", name="Explain").click()
    expect(panel.locator("[data-verdict]")).to_contain_text("minus that to “blue”")
    page.get_by_role("tab", name="Result").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert "pairs,red," in Path(download.value.path()).read_text()
    panel = open_panel(page, "Score")
    for kind, begins in (("CSV", "part,neuron"), ("SVG", "<svg"), ("HTML", "<!doctype html>")):
        with page.expect_download() as download:
            panel.get_by_role("button", name=kind, exact=True).click()
        assert Path(download.value.path()).read_text().startswith(begins)


def test_the_lab_by_keyboard_alone(page: Page) -> None:
    page.goto("/demo/lab?prompts=red&prompts=blue")
    page.get_by_role("button", name=re.compile("^Image ")).first.focus()
    page.keyboard.press("Enter")
    expect_result(page)
    page.locator("[data-layers]").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    why = page.get_by_role("tabpanel", name="Which pairs?")
    values(why)
    page.get_by_role("tab", name="Which pairs?").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Score")).to_be_focused()
    score = page.get_by_role("tabpanel", name="Score")
    values(score)
    off = score.get_by_role("button", name=re.compile("^Switch off pair")).first
    off.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-panel=what-if] [data-verdict]")).to_contain_text("is changed")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("tabpanel", name="Score")).to_be_visible()


def test_a_pair_is_tried_on_a_picture(page: Page) -> None:
    page.goto("/demo/pairs/3/4")
    page.get_by_role("link", name="Try it in the lab").click()
    page.wait_for_load_state()  # its script listens from then on
    expect(page.get_by_text("Choose a picture to see this pair's own map on it.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Image ")).first.click()
    expect(page.get_by_alt_text("Where the value of pair 3.4 comes from")).to_be_visible()
    expect(page.get_by_text("Its value on this picture is")).to_be_visible()
    page.get_by_role("button", name="Back to the mask").click()
    expect(page.locator("[data-overlay]")).to_be_visible()


def test_an_upload_can_be_deleted_at_once(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    picture = page.get_by_alt_text("The picture").get_attribute("src")
    assert picture
    page.get_by_role("button", name="Delete it now").click()
    page.get_by_role("button", name="Press again to delete for good").click()
    expect(page.get_by_text("Deleted: the picture and all that was made of it")).to_be_visible()
    expect(page).to_have_url(re.compile("/demo/lab$"))
    assert page.request.get(picture).status == 404


def test_the_lab_works_without_scripts(sample: bytes, open_context: OpenContext) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto("/demo/lab?prompts=red")
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "scene.webp", "mimeType": "image/webp", "buffer": sample}
    )
    page.get_by_label("What to look for, separated by commas").fill("red, blue")
    page.get_by_role("button", name="Segment").click()
    expect(page).to_have_url(re.compile(r"/demo/lab\?.*segmentation=[\w-]+$"))
    expect(page.get_by_alt_text(re.compile("^Mask: red .*, blue "))).to_be_visible()
    expect(page.get_by_alt_text("Heatmap of blue")).to_be_visible()
    expect(page.get_by_label("Delete token of your picture")).to_have_value(
        re.compile(r"^[\w-]{20,}$")
    )
    page.get_by_role("button", name="Delete the picture").click()
    expect(page).to_have_url(re.compile("/demo/lab$"))


def test_one_class_can_be_seen_alone(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    overlay, alone = page.locator("[data-overlay]"), page.locator("[data-isolated]")
    expect(alone).to_be_hidden()
    button = page.locator("button.legend__class").nth(1)
    button.press("Enter")
    expect(alone).to_be_visible()
    expect(overlay).to_be_hidden()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.press("Enter")
    button.blur()
    expect(overlay).to_be_visible()
    page.get_by_label("Mask opacity").fill("20")
    assert overlay.evaluate("image => getComputedStyle(image).opacity") == "0.2"


def test_prompts_by_keyboard(page: Page) -> None:
    page.goto("/demo/lab?prompts=red&prompts=blue")
    chips = page.get_by_role("list", name="Prompts").get_by_role("listitem")
    expect(chips).to_have_count(2)
    field = page.get_by_label("What to look for", exact=True)
    field.focus()
    page.keyboard.type("green,yellow")
    page.keyboard.press("Enter")
    expect(chips).to_have_text([re.compile(word) for word in ("red", "blue", "green", "yellow")])
    page.keyboard.press("Backspace")
    expect(chips).to_have_count(3)
    expect(page.locator("#announcer")).to_have_text("Removed yellow")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove green")).to_be_focused()
    page.keyboard.press("Enter")
    expect(chips).to_have_count(2)
    expect(field).to_be_focused()
    page.get_by_role("button", name="blue", exact=True).press("Enter")
    expect(page.get_by_role("textbox", name="Change blue")).to_be_focused()
    page.keyboard.type("sky")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="sky", exact=True)).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?prompts=red&prompts=sky$"))
    field.focus()
    page.keyboard.type("RED")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="is there already")).to_be_visible()


def test_words_of_the_vocabulary_are_suggested(page: Page) -> None:
    page.goto("/demo/lab")
    field = page.get_by_label("What to look for", exact=True)
    field.press_sequentially("butt")
    option = page.get_by_role("option", name=re.compile("^butterfly"))
    expect(option.first).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(page.get_by_role("list", name="Prompts").get_by_role("listitem")).to_have_count(1)
    expect(page.locator("#prompt-list")).to_be_hidden()


def test_nothing_moves_while_a_result_is_opened(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    page.add_init_script(
        """window.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto(page.url, wait_until="networkidle")
    assert page.evaluate("window.shift") < 0.02


def test_a_dropped_and_a_pasted_picture(page: Page, sample: bytes) -> None:
    page.goto("/demo/lab?prompts=red")
    for kind, name in (("drop", "dropped.webp"), ("paste", "pasted picture")):
        page.evaluate(
            """([kind, bytes]) => {
              const data = new DataTransfer();
              const file = [new Uint8Array(bytes)];
              data.items.add(new File(file, "dropped.webp", {type: "image/webp"}));
              document.body.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
                : new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
            }""",
            [kind, list(sample)],
        )
        expect(page.locator("[data-file-name]")).to_have_text(name)
    expect_result(page)


def test_what_is_missing_is_said(page: Page, sample: bytes) -> None:
    page.goto("/demo/lab")
    run = page.get_by_role("button", name="Segment", exact=True)
    enter(page, "red")
    run.click()
    alert = page.locator("[data-ask]").get_by_role("alert")
    expect(alert).to_have_text("Choose a picture first.")
    upload(page, sample)
    expect_result(page)
    page.get_by_role("button", name="Remove red").click()
    run.click()
    expect(alert).to_contain_text("Say what to look for")


def test_a_file_that_is_no_picture_is_explained_in_place(page: Page) -> None:
    page.goto("/demo/lab")
    page.locator("#picture").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"words"}
    )
    expect(page.get_by_role("alert").filter(has_text="not an image")).to_be_visible()
    expect(page.get_by_role("button", name="Segment", exact=True)).to_be_enabled()


def test_a_busy_server_is_asked_again(page: Page, sample: bytes) -> None:
    busy = {"status": 503, "code": "busy", "message": "All busy.", "request_id": "r1"}
    page.route(
        SEGMENTATIONS,
        lambda route: route.fulfill(status=503, headers={"Retry-After": "2"}, json={"error": busy}),
        times=1,
    )
    page.goto("/demo/lab?prompts=red")
    upload(page, sample)
    alert = page.get_by_role("alert").filter(has_text="All busy.")
    expect(alert).to_contain_text("r1")
    expect(page.locator("[data-ask] [data-elapsed]")).to_have_text("trying again in 2 s")
    expect_result(page)
    expect(alert).to_be_hidden()


def test_work_can_be_cancelled_and_old_answers_are_dropped(page: Page, sample: bytes) -> None:
    held: list[Route] = []
    page.route(SEGMENTATIONS, lambda route: held.append(route))
    page.goto("/demo/lab?prompts=red")
    with page.expect_request(SEGMENTATIONS):
        upload(page, sample)
    progress = page.get_by_role("progressbar", name="Segmenting")
    run = page.get_by_role("button", name="Segment", exact=True)
    expect(progress).to_be_visible()
    page.locator("[data-ask]").get_by_role("button", name="Cancel").click()
    expect(progress).to_be_hidden()
    expect(page.locator("#announcer")).to_have_text("Cancelled")

    run.click()
    expect(progress).to_be_visible()
    page.unroute(SEGMENTATIONS)
    enter(page, "blue")  # the question has changed, so the answer on its way is not wanted
    expect(progress).to_be_hidden()
    run.click()
    expect_result(page)
    expect(names(page)).to_have_text(["red", "blue"])


def test_the_lab_waits_for_the_model(page: Page) -> None:
    models = page.request.get("/api/v1/models/demo").json()
    answers = [models | {"live": "loading"}, models]
    page.route(
        "**/api/v1/models/demo",
        lambda route: route.fulfill(json=answers.pop(0) if answers else models),
    )
    page.route("**/demo/lab", as_if_loading)
    page.goto("/demo/lab")
    expect(page.get_by_text("The model is still loading.")).to_be_visible()
    run = page.get_by_role("button", name="Segment", exact=True)
    expect(run).to_be_disabled()
    expect(run).to_be_enabled()
    expect(page.get_by_text("The model is still loading.")).to_be_hidden()


def as_if_loading(route: Route) -> None:
    """The page as the server draws it while the model is loading."""
    response = route.fetch()
    text = response.text().replace('data-live="ready"', 'data-live="loading"')
    text = text.replace("data-live-notice hidden>", "data-live-notice>")
    text = text.replace("The model is not loaded here.", "The model is still loading.")
    text = re.sub(r"data-run\s*>", "data-run disabled>", text)
    route.fulfill(response=response, body=text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_panel_has_accessibility_violations(
    open_context: OpenContext, sample: bytes, axe: Any, scheme: str
) -> None:
    page = open_context(color_scheme=scheme, viewport={"width": 360, "height": 740}).new_page()
    segment(page, sample, "red", "blue")
    page.get_by_text("Method and settings").click()
    page.locator("[data-layers]").first.click(position={"x": 60, "y": 60})
    values(page.get_by_role("tabpanel", name="Which pairs?"))
    assert violations(axe, page) == []
    score = open_panel(page, "Score")
    values(score)
    score.get_by_role("button", name="Show where it comes from").click()
    assert violations(axe, page) == []
    score.get_by_role("button", name=re.compile("^Switch off pair")).first.click()
    expect(page.get_by_role("tabpanel", name="What if?").get_by_role("row")).to_have_count(3)
    assert violations(axe, page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_result_has_no_accessibility_violations(
    open_context: OpenContext, sample: bytes, axe: Any, scheme: str
) -> None:
    page = open_context(color_scheme=scheme, viewport={"width": 360, "height": 740}).new_page()
    long = "an unusually long prompt that has to be wrapped somewhere on a telephone"
    segment(page, sample, "red", long)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(axe, page) == []
    page.get_by_role("button", name="Share this result").click()
    assert violations(axe, page) == []


def test_a_place_of_the_scores_map_is_explained_by_pairs(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    score = open_panel(page, "Score")
    verdict = score.locator("[data-verdict]")
    values(score)
    whole = verdict.inner_text()
    score.get_by_role("button", name="Show where it comes from").click()
    layers = page.locator("[data-layers]").first
    layers.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(verdict).to_contain_text("column 1 of the map comes")
    parts = values(score)
    assert sum(parts[:-1]) == pytest.approx(parts[-1], abs=2e-3)
    expect(page.locator(".stage__map")).to_be_visible()
    page.reload()
    expect(verdict).to_contain_text("column 1 of the map comes")
    expect(page.locator(".stage__map")).to_be_visible()
    score.get_by_role("button", name="Back to the whole picture").click()
    expect(verdict).to_have_text(whole)
    page.get_by_role("button", name="Back to the mask").click()
    layers.click(position={"x": 40, "y": 40})
    expect(page.get_by_role("tabpanel", name="Which pairs?")).to_contain_text("the logit of")


def test_a_shared_result_leads_to_its_link(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    page.get_by_role("button", name="Share this result").click()
    page.get_by_label("Title").fill("Mine")
    page.get_by_role("button", name="Make a link").click()
    link, _ = link_and_token(page)
    page.get_by_role("button", name="Done").click()
    path = link[link.index("/s/") :]
    kept = page.get_by_text("Shared: kept until its link is deleted, at")
    expect(kept.get_by_role("link")).to_have_attribute("href", path)
    page.reload()
    expect(kept.get_by_role("link")).to_have_attribute("href", path)
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_text("Links made in this browser").click()
    page.get_by_role("link", name="Mine").click()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Deleted: the link is gone, and unless another")).to_be_visible()
    expect(page).to_have_url(re.compile("/demo/lab$"))


def test_a_refused_picture_shares_nothing_of_the_one_before(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    before = page.url
    page.locator("input[type=file][data-file]").set_input_files(
        {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(page.get_by_role("alert").filter(has_text="image")).to_be_visible()
    expect(page).not_to_have_url(re.compile("segmentation="))
    shares = page.locator("#share").get_attribute("data-view") or ""
    assert "image=" not in shares
    assert "segmentation=" not in shares
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page).to_have_url(before)
    expect(page.get_by_alt_text(re.compile("^Mask: red"))).to_be_visible()


def test_a_part_that_the_model_lacks_is_taken_back(page: Page, sample: bytes) -> None:
    segment(page, sample, "red", "blue")
    what_if = open_panel(page, "What if?")
    part = what_if.get_by_label("Pair, neuron or head")
    chips = what_if.get_by_label("Changes").get_by_role("listitem")
    part.fill("head:3")
    part.press("Enter")
    expect(chips).to_have_text([re.compile("^head 3 off")])
    part.fill("624.99")
    part.press("Enter")
    expect(what_if.get_by_role("alert")).to_contain_text("There is no head 99")
    expect(chips).to_have_text([re.compile("^head 3 off")])
    expect(part).to_have_value("624.99")


def test_without_a_word_a_result_is_only_looked_at(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    page.get_by_role("button", name="Remove red").click()
    expect(page.locator("[data-panels]")).to_have_attribute("inert", "")
    field = page.get_by_role("combobox", name="What to look for")
    field.fill("red / blue /")
    field.press("Enter")
    expect(page.get_by_alt_text(re.compile("^Mask: red, blue "))).to_be_visible()
    expect(page.locator("[data-panels]")).not_to_have_attribute("inert", "")


def test_on_a_telephone_the_picture_stays_in_sight(
    open_context: OpenContext, sample: bytes
) -> None:
    page = open_context(viewport={"width": 390, "height": 844}).new_page()
    segment(page, sample, "red")
    score = open_panel(page, "Score")
    values(score)
    score.get_by_role("button", name=re.compile("^Map of pair")).last.scroll_into_view_if_needed()
    score.get_by_role("button", name=re.compile("^Map of pair")).last.click()
    expect(page.locator(".stage__map")).to_be_in_viewport(ratio=0.5)


def test_a_list_of_pairs_can_be_made_longer(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    page.get_by_role("tab", name="Score").click()
    rows = page.locator("[data-panel=score] .pair-row [data-pair-link]")
    expect(rows).to_have_count(10)
    page.get_by_role("button", name="Show the 100 strongest pairs").click()
    expect(rows).to_have_count(100)
    expect(rows.nth(10)).to_be_focused()
    expect(page.locator("[data-panel=score] [data-neurons]")).to_contain_text("By neuron: ")


def test_what_is_pressed_before_the_scripts_listen_is_done_then(page: Page, sample: bytes) -> None:
    segment(page, sample, "red")
    held: list[Route] = []
    page.route("**/js/lab.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    score = page.get_by_role("tab", name="Score")
    score.click()
    expect(score).to_have_attribute("aria-selected", "false")
    held[0].continue_()
    expect(score).to_have_attribute("aria-selected", "true")
