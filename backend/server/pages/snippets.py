"""What the share dialog offers for copying: link, iframe, citation, and how to fetch the same data.

Addresses are absolute where the operator gave a public address; elsewhere they begin with
``ORIGIN``, which the browser replaces by the address that its reader used.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from backend.server.pages.base import Page
from backend.server.urls import Urls, with_query

ORIGIN = "{origin}"
"""Stands for scheme and host where the server knows none to tell."""

FRAME_HEIGHT = 640
"""Pixels: a pair's top images and figures in a frame as wide as a text column."""

VERSION_DIGITS = 12
"""Of the data version, in a link that tells when the data have changed."""

PAPER = """\
@inproceedings{bu2025interpreting,
  title     = {Interpreting {ResNet}-based {CLIP} via Neuron-Attention Decomposition},
  author    = {Bu, Edmund and Gandelsman, Yossi},
  booktitle = {NeurIPS Workshop on Mechanistic Interpretability},
  year      = {2025},
  note      = {arXiv:2509.19943}
}"""

_TEX = {c: f"\\{c}" for c in "{}$&#_%"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """One text to copy."""

    name: str
    """Identifies its field."""
    label: str
    text: str


def snippets_of(page: Page, urls: Urls) -> list[Snippet]:
    """The texts for a page that can be shared; none for others."""
    address = page.share.url if page.share is not None else page.view_url
    if address is None:
        return []
    origin = urls.origin or ORIGIN
    version = page.model.data_version[:VERSION_DIGITS] if page.model is not None else None
    link = origin + with_query(address, version=None if page.share else version)
    today = datetime.now(UTC).date()
    found = [
        Snippet(name="link", label="Link", text=link),
        Snippet(name="iframe", label="Embed", text=_iframe(link, page.title)),
        Snippet(name="citation", label="Citation", text=_citation(page, origin, address, today)),
    ]
    if page.json_url is not None:
        data = origin + page.json_url
        found += [
            Snippet(name="curl", label="API, shell", text=f"curl '{data}'"),
            Snippet(name="python", label="API, Python", text=_python(data)),
        ]
    return found


def _iframe(link: str, title: str) -> str:
    source, name = html.escape(with_query(link, embed=1)), html.escape(title)
    return (
        f'<iframe src="{source}" title="{name}" width="100%" height="{FRAME_HEIGHT}" '
        'loading="lazy" frameborder="0"></iframe>'
    )


def _citation(page: Page, origin: str, address: str, today: date) -> str:
    """BibTeX of this page, with the version of its data, and of the paper."""
    key = re.sub(r"[^a-z0-9]+", "-", urlsplit(address).path.lower()).strip("-") or "start"
    about = f"Visited {today.isoformat()}"
    if page.model is not None:
        about = f"Model {page.model.name}, data version {page.model.data_version}. {about}"
    return f"""\
@misc{{pairscope-{key},
  title        = {{{_tex(page.title)}}},
  howpublished = {{PairScope}},
  year         = {{{today.year}}},
  url          = {{{origin}{address}}},
  note         = {{{_tex(about)}}}
}}

{PAPER}"""


def _python(address: str) -> str:
    return f"""\
import json
from urllib.request import urlopen

with urlopen("{address}") as answer:
    found = json.load(answer)"""


def _tex(text: str) -> str:
    """Text as BibTeX takes it."""
    return "".join(_TEX.get(c, c) for c in text)
