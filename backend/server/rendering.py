"""Draws a page with its template.

A template sees exactly the fields of its page's dataclass and what belongs to every page:

    urls         the address builder
    asset        name of a static file to its address
    visit        how the page was asked for: as an embed, on which version of the data
    snippets     what the share dialog offers for copying
    preview_url  the picture that other sites show for a link to the page

``tests/server/test_pages.py`` checks both directions: no template uses a name that is not
documented there, and no field is left unused.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.server import formats, schemas
from backend.server.assets import FRONTEND, Assets
from backend.server.middleware import EMBED_POLICY, PAGE_POLICY, compiling
from backend.server.pages.base import Page
from backend.server.pages.error import error_page
from backend.server.pages.snippets import snippets_of
from backend.server.pages.visit import visit_of
from backend.server.urls import Urls


def render(request: Request, page: Page, status: int = 200) -> HTMLResponse:
    """Draw ``page`` with its template."""
    services = getattr(request.app.state, "services", None)
    urls: Urls = services.urls if services is not None else Urls()
    assets: Assets = request.app.state.assets
    visit = visit_of(request.query_params, page)
    context = {field.name: getattr(page, field.name) for field in fields(page)}
    html = (
        environment()
        .get_template(page.template)
        .render(
            context,
            urls=urls,
            asset=lambda name: urls.static(assets.digest_of(name), name),
            visit=visit,
            preview_url=_preview_url(page, urls),
            snippets=[] if visit.embed else snippets_of(page, urls),
        )
    )
    headers = {"Cache-Control": "private, no-store" if page.private else "no-cache"}
    if page.share is not None:
        headers["X-Robots-Tag"] = "noindex"
    policy = EMBED_POLICY if visit.embed else PAGE_POLICY
    headers["Content-Security-Policy"] = compiling(policy) if page.compiles else policy
    return HTMLResponse(html, status_code=status, headers=headers)


def _preview_url(page: Page, urls: Urls) -> str | None:
    """The picture that other sites show for the page: absolute, so only under a public address."""
    if page.share is not None:
        return urls.absolute(urls.share_preview(page.share.id))
    return None if page.view_url is None else urls.absolute(urls.preview(page.view_url))


def render_error(request: Request, detail: schemas.ErrorDetail) -> HTMLResponse:
    """Draw the page of an error; needs nothing but the request to work."""
    services = getattr(request.app.state, "services", None)
    place = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return render(request, error_page(detail, services, place), status=detail.status)


@cache
def environment() -> Environment:
    """The template engine: everything escaped, every unknown name an error."""
    made = Environment(
        loader=FileSystemLoader(FRONTEND / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=formats.number,
        short=formats.short,
        signed=formats.signed,
        percent=formats.percent,
        count=formats.count,
        size=formats.size,
        percentile=formats.percentile,
        first_words=formats.first_words,
    )
    made.globals["MINUS"] = formats.MINUS
    return made
