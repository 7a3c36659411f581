"""Every address of the application is made here, and nowhere else.

Addresses are root-relative (they begin with the path prefix the server is mounted under, which is
empty unless ``--public-url`` carries a path).  Absolute ones exist only for copying and for
OpenGraph, and are made from ``--public-url``, never from a request's Host header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

API = "/api/v1"

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")


@dataclass(frozen=True)
class Urls:
    """Builds addresses under one path prefix.

    ``public_url`` is the address under which visitors reach the server, without a trailing slash,
    for example ``https://example.org/pairscope``; ``None`` when the operator gave none.
    """

    public_url: str | None = None

    @property
    def prefix(self) -> str:
        """Path prefix without a trailing slash; empty when mounted at the root."""
        return urlsplit(self.public_url).path.rstrip("/") if self.public_url else ""

    @property
    def origin(self) -> str | None:
        """Scheme and host of the public address; ``None`` without one."""
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    def absolute(self, path: str) -> str | None:
        """Absolute form of a root-relative ``path``; ``None`` without a public address."""
        return None if self.origin is None else self.origin + path

    def _page(self, *segments: object, **query: object) -> str:
        path = self.prefix + "".join(f"/{_segment(s)}" for s in segments)
        return with_query(path or "/", **query)

    def _api(self, *segments: object, **query: object) -> str:
        path = self.prefix + API + "".join(f"/{_segment(s)}" for s in segments)
        return with_query(path, **query)

    # Pages
    def home(self) -> str:
        return self.prefix + "/"

    def model(self, model: str, query: Mapping[str, object] | None = None) -> str:
        return self._page(model, **(query or {}))

    def search(self, model: str, q: str | None = None, **query: object) -> str:
        return self._page(model, "search", q=q, **query)

    def picture_search(self, model: str, query: Mapping[str, object] | None = None) -> str:
        return self._page(model, "search", "picture", **(query or {}))

    def pair(self, model: str, neuron: int, head: int) -> str:
        return self._page(model, "pairs", neuron, head)

    def pairs(self, model: str, query: Mapping[str, object] | None = None) -> str:
        """The table of all pairs, or of those that ``query`` asks for."""
        return self._page(model, "pairs", **(query or {}))

    def random(self, model: str) -> str:
        """Leads to any pair."""
        return self._page(model, "random")

    def neuron(self, model: str, neuron: int) -> str:
        return self._page(model, "neurons", neuron)

    def collection(self, model: str, **query: object) -> str:
        return self._page(model, "collection", **query)

    def compare(self, model: str, places: Sequence[tuple[int, int]] = ()) -> str:
        """Pairs, each as (neuron, head), on the same images."""
        return self._page(model, "compare", pairs=pairs_text(places) or None)

    def head(self, model: str, head: int) -> str:
        return self._page(model, "heads", head)

    def splits(self, model: str, offset: int | None = None) -> str:
        """The gallery of pairs that part from their neuron."""
        return self._page(model, "splits", offset=offset)

    def lab(self, model: str, segmentation: str | None = None, **query: object) -> str:
        return self._page(model, "lab", segmentation=segmentation, **query)

    def lab_deletion(self, model: str) -> str:
        """Where the plain form sends what deletes a picture."""
        return self._page(model, "lab", "delete")

    def provenance(self, model: str) -> str:
        return self._page(model, "provenance")

    def share(self, share: str) -> str:
        return self._page("s", share)

    def docs(self) -> str:
        return self._page("docs")

    def static(self, digest: str, path: str) -> str:
        """Address of a static file in the folder named by the digest of all static files."""
        return f"{self.prefix}/static/{digest}/{path}"

    # JSON
    def api_models(self) -> str:
        return self._api("models")

    def api_model(self, model: str) -> str:
        return self._api("models", model)

    def api_search(self, model: str, q: str | None = None, **query: object) -> str:
        return self._api("models", model, "search", q=q, **query)

    def api_driven(self, model: str, image: str, query: Mapping[str, object] | None = None) -> str:
        """The pairs that an uploaded picture drives."""
        return self._api("models", model, "images", image, "pairs", **(query or {}))

    def api_suggestions(self, model: str) -> str:
        return self._api("models", model, "suggestions")

    def api_pair(self, model: str, neuron: int, head: int) -> str:
        return self._api("models", model, "pairs", neuron, head)

    def api_map(self, model: str) -> str:
        return self._api("models", model, "map")

    def api_map_arrays(self, model: str) -> str:
        """Where every pair lies on the map, as a safetensors file."""
        return self._api("models", model, "map.safetensors")

    def api_pairs(self, model: str, query: Mapping[str, object] | None = None) -> str:
        return self._api("models", model, "pairs", **(query or {}))

    def api_pairs_csv(self, model: str, query: Mapping[str, object] | None = None) -> str:
        return self._api("models", model, "pairs.csv", **(query or {}))

    def api_neuron(self, model: str, neuron: int) -> str:
        return self._api("models", model, "neurons", neuron)

    def api_neuron_csv(self, model: str, neuron: int) -> str:
        """The neuron's heads as a table."""
        return self._api("models", model, "neurons", neuron, "heads.csv")

    def api_collection(self, model: str, file: str | None = None) -> str:
        """The list as JSON, or as a file of that kind (``json`` or ``csv``)."""
        return self._api("models", model, f"collection.{file}" if file else "collection")

    def api_batch(self, model: str, places: Sequence[tuple[int, int]] = ()) -> str:
        return with_query(
            self._api("models", model, "pairs") + ":batch", pairs=pairs_text(places) or None
        )

    def api_batch_csv(self, model: str, places: Sequence[tuple[int, int]] = ()) -> str:
        """The words of pairs that are compared, as a table."""
        return with_query(
            self._api("models", model, "pairs") + ":words.csv", pairs=pairs_text(places) or None
        )

    def api_head(self, model: str, head: int) -> str:
        return self._api("models", model, "heads", head)

    def api_head_csv(self, model: str, head: int) -> str:
        """The words of the head's pairs as a table."""
        return self._api("models", model, "heads", head, "words.csv")

    def api_splits(self, model: str, offset: int | None = None, limit: int | None = None) -> str:
        return self._api("models", model, "splits", offset=offset, limit=limit)

    def api_splits_csv(self, model: str) -> str:
        return self._api("models", model, "splits.csv")

    def api_provenance(self, model: str) -> str:
        return self._api("models", model, "provenance")

    def api_segmentations(self, model: str) -> str:
        return self._api("models", model, "segmentations")

    def api_segmentation(self, model: str, segmentation: str) -> str:
        return self._api("models", model, "segmentations", segmentation)

    def api_images(self, model: str) -> str:
        return self._api("models", model, "images")

    def api_shares(self) -> str:
        return self._api("shares")

    def api_share(self, share: str) -> str:
        return self._api("shares", share)

    def openapi(self) -> str:
        return self.prefix + API + "/openapi.json"

    # Pictures
    def preview(self, view: str) -> str:
        """What other sites show for a link to the page at ``view``."""
        return self._api("preview.png", view=view)

    def share_preview(self, share: str) -> str:
        return self._api("shares", share, "preview.png")

    def exemplar(self, model: str, image: int) -> str:
        """Thumbnail of an image of the data set."""
        return self._api("models", model, "images", f"{image}.webp")

    def pair_heatmap(self, model: str, neuron: int, head: int, image: int) -> str:
        """Heatmap of a pair on one of its exemplar images, transparent where it is zero."""
        return self._api("models", model, "pairs", neuron, head, "heatmaps", f"{image}.png")

    def uploaded_image(self, model: str, image: str) -> str:
        """A visitor's picture."""
        return self._api("models", model, "images", image, "image.webp")

    def attribution_heatmap(self, model: str, attribution: str) -> str:
        """Where the score comes from."""
        return self._api("models", model, "attributions", attribution, "heatmap.png")

    def attribution_map(self, model: str, attribution: str, place: int) -> str:
        """Where the value of the pair at ``place`` comes from."""
        return self._api("models", model, "attributions", attribution, "maps", f"{place}.png")

    def ablation_picture(self, model: str, ablation: str, state: str, name: str) -> str:
        """``mask.png`` or ``overlay.png`` ``before`` or ``after``, as of a segmentation."""
        return self._api("models", model, "ablations", ablation, state, name)

    def ablation_heatmap(self, model: str, ablation: str, state: str, place: int) -> str:
        name = f"{place}.png"
        return self._api("models", model, "ablations", ablation, state, "heatmaps", name)

    def segmentation_image(self, model: str, segmentation: str) -> str:
        return self._api("models", model, "segmentations", segmentation, "image.webp")

    def segmentation_mask(self, model: str, segmentation: str, method: str | None = None) -> str:
        """Indexed PNG: index = place of the prompt, 255 = background."""
        return self._api("models", model, "segmentations", segmentation, "mask.png", method=method)

    def segmentation_overlay(self, model: str, segmentation: str, method: str | None = None) -> str:
        """The mask in the classes' colours, transparent on background."""
        return self._api(
            "models", model, "segmentations", segmentation, "overlay.png", method=method
        )

    def segmentation_heatmap(
        self, model: str, segmentation: str, place: int, method: str | None = None
    ) -> str:
        name = f"{place}.png"
        return self._api(
            "models", model, "segmentations", segmentation, "heatmaps", name, method=method
        )


def _segment(value: object) -> str:
    """One segment of a path.  Pages hold thousands, and most need no quoting."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def pairs_text(places: Sequence[tuple[int, int]]) -> str:
    """Pairs, each as (neuron, head), as addresses name them: ``3.4,7.3``."""
    return ",".join(f"{neuron}.{head}" for neuron, head in places)


def with_query(address: str, **query: object) -> str:
    """``address`` with further parameters behind those that it has; ``None`` is left out."""
    given = {key: value for key, value in query.items() if value is not None}
    if not given:
        return address
    return f"{address}{'&' if '?' in address else '?'}{urlencode(given, doseq=True, safe=',')}"
