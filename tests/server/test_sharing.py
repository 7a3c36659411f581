"""What requests at the same time share: one pass for one picture, one pass for several texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fastapi.testclient import TestClient

from tests.server.conftest import picture

MODEL = "/api/v1/models/demo"


@contextmanager
def held(client: TestClient) -> Iterator[Callable[[int], None]]:
    """Keeps the device busy meanwhile; gives what waits until so many jobs are in its queue."""
    services = client.app.state.services
    key = services.catalog.open_store("demo").model_key
    release, begun = threading.Event(), threading.Event()

    def hold(model: object) -> None:
        begun.set()
        release.wait(20)

    def until_waiting(jobs: int) -> None:
        ends = time.monotonic() + 10
        while services.engine.waiting < jobs and time.monotonic() < ends:
            time.sleep(0.01)
        time.sleep(0.2)  # for those that must not come

    services.engine.submit(key, hold)
    assert begun.wait(10)
    try:
        yield until_waiting
    finally:
        release.set()


def test_requests_for_a_picture_that_was_let_go_share_its_pass(client: TestClient) -> None:
    image = client.post(f"{MODEL}/images", files={"image": picture()}).json()["id"]
    services = client.app.state.services
    services.lab.encoded.forget(image)

    def ask(prompt: str) -> dict:
        asked = {"image_id": image, "prompts": [prompt]}
        return client.post(f"{MODEL}/segmentations", json=asked).json()

    with ThreadPoolExecutor() as pool:
        with held(client) as until_waiting:
            answers = [pool.submit(ask, prompt) for prompt in ("cat", "dog", "fish")]
            until_waiting(1)
            assert services.engine.waiting == 1
        told = [answer.result(30)["timings"]["encoded_before"] for answer in answers]
    assert sorted(told) == [False, True, True]


def test_texts_of_several_searches_share_a_pass(client: TestClient) -> None:
    services = client.app.state.services
    heard: list[int] = []
    watcher = services.engine._watcher
    texts = ["a quiet lake", "some old boat", "seven grey stones"]

    def search(text: str) -> dict:
        return client.get(f"{MODEL}/search", params={"q": text}).json()

    with ThreadPoolExecutor() as pool:
        with held(client) as until_waiting:
            passed, watcher.passed = watcher.passed, heard.append
            answers = [pool.submit(search, text) for text in texts]
            until_waiting(len(texts))
        together = [answer.result(30)["results"] for answer in answers]
    watcher.passed = passed
    assert len(texts) in heard
    services.lab._live._texts.clear()
    for text, found in zip(texts, together, strict=True):
        alone = search(text)["results"]
        assert [pair["url"] for pair in found] == [pair["url"] for pair in alone]
