"""Method and API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from backend.server import schemas
from backend.server.pages.base import Page
from backend.server.services import Services


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One address of the API."""

    method: str
    path: str
    summary: str
    parameters: list[str]
    """Names of the parameters that do not stand in the path."""


@dataclass(frozen=True, kw_only=True)
class DocsPage(Page):
    """The method in brief, and the API's addresses."""

    template: ClassVar[str] = "docs.html"

    operations: list[Operation]
    """All addresses of the API, read from the application's own OpenAPI description."""
    example: schemas.ModelSummary | None
    """A model to write the examples with."""
    example_pair: tuple[int, int] | None
    """(neuron, head) of one of its pairs."""


def docs_page(services: Services) -> DocsPage:
    models = services.catalog.models().models
    first = models[0] if models else None
    return DocsPage(
        title="Method and API",
        description="How PairScope computes directions, words, norms, searches and segmentations, "
        "and the addresses of its API.",
        json_url=services.urls.openapi(),
        view_url=services.urls.docs(),
        model=models[0] if len(models) == 1 else None,
        operations=_operations(services.openapi(), services.urls.prefix),
        example=first,
        example_pair=services.catalog.open_store(first.name).examples[0] if first else None,
    )


def _operations(openapi: dict[str, Any], prefix: str) -> list[Operation]:
    """All operations of an OpenAPI description, in its order."""
    return [
        Operation(
            method=method.upper(),
            path=path if path.startswith(prefix) else prefix + path,
            summary=operation.get("summary", ""),
            parameters=[
                each["name"] for each in operation.get("parameters", []) if each["in"] != "path"
            ],
        )
        for path, methods in openapi.get("paths", {}).items()
        for method, operation in methods.items()
        if method in {"get", "post", "put", "delete"}
    ]
