"""The wire's description: written down, complete, and kept by the server.

``python -m tests.server.test_openapi`` writes ``openapi.json`` after a change that was meant.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.specs.openapi import checks as specs

from backend.server.app import create_app
from backend.server.settings import Settings
from tests.server.conftest import serving

WRITTEN = Path(__file__).with_name("openapi.json")

CHECKS = [
    checks.not_a_server_error,
    specs.status_code_conformance,
    specs.content_type_conformance,
    specs.response_schema_conformance,
    specs.unsupported_method,
]
"""Not whether generated data are accepted: most texts are no id of anything that exists."""


def described() -> str:
    """The description that the code makes now."""
    with tempfile.TemporaryDirectory() as data:
        openapi = create_app(Settings(stores=(), data=Path(data))).openapi()
    return json.dumps(openapi, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_written_description_is_current() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == described(), (
        "the wire has changed; if that was meant, run python -m tests.server.test_openapi"
    )


def test_everything_is_described() -> None:
    openapi = json.loads(described())
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"], where
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/ErrorBody"), f"{where} {status}"


@pytest.fixture(scope="module")
def url(store: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real server with its model loaded."""
    data = tmp_path_factory.mktemp("data")
    app = create_app(Settings(stores=(store,), data=data, checkpoint=checkpoint, device="cpu"))
    with serving(app) as url:
        assert app.state.services.engine.wait_settled(60)
        yield url


def operations() -> list[schemathesis.schemas.APIOperation]:
    schema = schemathesis.openapi.from_dict(json.loads(WRITTEN.read_text(encoding="utf-8")))
    return [operation.ok() for operation in schema.get_all_operations()]


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    # How fast a busy machine makes examples says nothing of the server.
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_generated_requests_get_what_is_described(
    operation: schemathesis.schemas.APIOperation, url: str, data: st.DataObject
) -> None:
    case = data.draw(operation.as_strategy())
    if "model" in case.path_parameters:
        # Else every request would end at a model that is not there.
        case.path_parameters["model"] = "demo"
    case.call_and_validate(base_url=url, checks=CHECKS)


if __name__ == "__main__":
    WRITTEN.write_text(described(), encoding="utf-8")
