"""A real server over the demo store, and a Chromium that reports everything that goes wrong in it.

Without Chromium these tests are skipped with the reason; with ``CI=true`` that is a failure.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

READY = "PairScope is ready at "
STORED_ONLY = "PairScope serves stored pages"
"""What the server says when its model could not be loaded."""

START_SECONDS = 120
"""Importing torch and loading the demo's weights takes seconds, more on a busy machine."""

PATIENCE_MS = 20_000
"""A segmentation on two busy cores takes seconds."""

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
"""Chromium's own requests to its maker are off, so that every request seen is a page's."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        bundled = Path(playwright.chromium.executable_path)
        found = str(bundled) if bundled.is_file() else _installed()
        if found is None:
            _unavailable("Chromium is not installed (playwright install chromium)")
        with playwright.chromium.launch(executable_path=found, args=ARGUMENTS) as browser:
            yield browser


@pytest.fixture(scope="session")
def server(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of ``pairscope serve`` over the demo store, on a free loopback port."""
    data = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "precompute.cli", "serve", str(demo_store)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield _ready_address(process)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def open_context(browser: Browser, server: str) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts that fail the test for errors and for requests to other hosts."""
    troubles: list[str] = []
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=server, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: _check_host(request, server, troubles))
        context.on("response", lambda response: _check_status(response, troubles))
        context.on("weberror", lambda error: troubles.append(f"script: {error.error}"))
        context.on("console", lambda message: _check_console(message.type, message.text, troubles))
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def page(open_context: Callable[..., BrowserContext]) -> Page:
    """A page of 1280 x 800 pixels in a light theme."""
    return open_context(viewport={"width": 1280, "height": 800}).new_page()


@pytest.fixture(scope="session")
def axe() -> Any:
    """Runs axe-core on a page."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        _unavailable("axe-playwright-python is not installed")
    return Axe()


@pytest.fixture
def sample(server: str, page: Page) -> bytes:
    """A picture that the demo model knows: one of its own scenes."""
    models = page.request.get("/api/v1/models/demo").json()
    picture = page.request.get(models["clearest"][0]["thumbnails"][0]["url"])
    assert picture.ok
    return picture.body()


def _installed() -> str | None:
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next((path for name in names if (path := shutil.which(name))), None)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(f"BROWSER TESTS DID NOT RUN: {reason}")


def _ready_address(process: subprocess.Popen[str]) -> str:
    """Wait for the line that says the server is ready; fail with what it said instead."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    said: list[str] = []
    while True:
        try:
            line = lines.get(timeout=START_SECONDS)
        except queue.Empty:
            line = None
        if line is None or line.startswith(STORED_ONLY):
            raise RuntimeError("the server did not start: " + "\n".join(said))
        if line.startswith(READY):
            return line.removeprefix(READY)
        said.append(line)


def _check_host(request: Request, server: str, troubles: list[str]) -> None:
    parts = urlsplit(request.url)
    if parts.scheme not in {"blob", "data"} and parts.netloc != urlsplit(server).netloc:
        troubles.append(f"request to another host: {request.url}")


def _check_status(response: Response, troubles: list[str]) -> None:
    """Pages may be errors, that is for the test to say; what a page loads may not."""
    if response.status >= 400 and response.request.resource_type in {
        "image",
        "script",
        "stylesheet",
    }:
        troubles.append(f"{response.status} for {response.url}")


def _check_console(kind: str, text: str, troubles: list[str]) -> None:
    # A failed load is repeated here without its address; statuses are checked above.  WebGL without
    # a graphics card says that it is slow.
    expected = text.startswith("Failed to load resource") or "GL Driver Message" in text
    if kind in {"error", "warning"} and not expected:
        troubles.append(f"console {kind}: {text}")
