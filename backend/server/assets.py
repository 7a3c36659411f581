"""Static files: one folder, named in its address by a digest of everything in it.

``/static/{digest}/css/pairscope.css`` may be kept by browsers for a year, because any change to
any file changes the digest.  One digest for the whole folder, rather than one per file, keeps
relative imports between ES modules working without a build step.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
"""The front end's folder of templates and static files."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain; charset=utf-8",
}
"""What may lie in the folder.  A fixed table, because ``mimetypes`` depends on the machine."""

PLOTLY = "vendor/plotly.min.js"
"""Name of Plotly's script: 4.8 MB, 1.5 MB compressed, loaded by pages with a map."""

COMPRESSED = {".css", ".js", ".svg", ".txt"}
DIGEST_CHARACTERS = 16
CACHE_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One static file, ready to send."""

    content_type: str
    body: bytes
    compressed: bytes | None
    """The gzipped body, where that is smaller."""


class Library:
    """A script that an installed package brings along: read, hashed and compressed at first use.

    Its address has a digest of its own, so that browsers keep it when other files change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asset: Asset | None = None

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self._path.read_bytes()).hexdigest()[:DIGEST_CHARACTERS]

    def asset(self) -> Asset:
        """The script; half a second of compressing when it is first asked for."""
        with self._lock:
            if self._asset is None:
                body, suffix = self._path.read_bytes(), self._path.suffix
                self._asset = Asset(CONTENT_TYPES[suffix], body, _compress(suffix, body))
            return self._asset


def plotly() -> Library:
    """Plotly's script, from the Python package; the package itself is not imported."""
    found = importlib.util.find_spec("plotly")
    if found is None or found.origin is None:
        raise RuntimeError("the package plotly is not installed")
    return Library(Path(found.origin).parent / "package_data" / "plotly.min.js")


@dataclass(frozen=True)
class Assets:
    """All static files, read once when the server starts, and the libraries'."""

    digest: str
    files: dict[str, Asset]
    libraries: dict[str, Library] = field(default_factory=dict)

    def digest_of(self, name: str) -> str:
        """The digest that a file's address carries."""
        library = self.libraries.get(name)
        return self.digest if library is None else library.digest

    def find(self, name: str) -> Asset | None:
        """A file by its name, ``None`` where there is none."""
        library = self.libraries.get(name)
        return self.files.get(name) if library is None else library.asset()

    @classmethod
    def load(cls, folder: Path = FRONTEND / "static") -> Assets:
        """Read, hash and compress every file of ``folder``.

        A file whose kind is not in ``CONTENT_TYPES`` is a ``ValueError``: it was put there by
        mistake, or the table needs a line.
        """
        digest = hashlib.sha256()
        files: dict[str, Asset] = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            if path.suffix not in CONTENT_TYPES:
                raise ValueError(f"static file {name} has a kind that is not served")
            body = path.read_bytes()
            digest.update(f"{name}\0{len(body)}\0".encode())
            digest.update(body)
            files[name] = Asset(CONTENT_TYPES[path.suffix], body, _compress(path.suffix, body))
        return cls(digest.hexdigest()[:DIGEST_CHARACTERS], files, {PLOTLY: plotly()})


def mount(app: FastAPI, assets: Assets | None = None) -> None:
    """Serve ``assets`` (those of the checkout by default) from ``app``."""
    app.state.assets = assets or Assets.load()
    app.include_router(router)


router = APIRouter(include_in_schema=False)


@router.api_route("/static/{digest}/{name:path}", methods=["GET", "HEAD"])
def static_file(request: Request, digest: str, name: str) -> Response:
    """Send one static file.

    Under an old digest (a page that was open while the server was updated) the current file is
    sent, but not to be kept.
    """
    assets: Assets = request.app.state.assets
    asset, current = assets.find(name), assets.digest_of(name)
    if asset is None:
        raise HTTPException(404, "There is no such static file.")
    headers = {
        "Cache-Control": CACHE_FOREVER if digest == current else "no-store",
        "ETag": f'"{current}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    body = asset.body
    if asset.compressed is not None and accepts_gzip(request):
        body = asset.compressed
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    headers["Content-Type"] = asset.content_type
    return Response(b"" if request.method == "HEAD" else body, headers=headers)


def _compress(suffix: str, body: bytes) -> bytes | None:
    if suffix not in COMPRESSED:
        return None
    # mtime=0: the same file gives the same bytes
    compressed = gzip.compress(body, compresslevel=9, mtime=0)
    return compressed if len(compressed) < len(body) else None


def accepts_gzip(request: Request) -> bool:
    """Whether the client takes a gzipped body."""
    codings = request.headers.get("accept-encoding", "").lower().split(",")
    names = {coding.split(";")[0].strip() for coding in codings if "q=0" not in coding.split(";")}
    return bool(names & {"gzip", "*"})
