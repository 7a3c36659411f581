"""Names, types and meaning of everything in a store.

    manifest.json             what was computed, from what, with which parameters; written last
    factors.safetensors       value [head, d_head, neuron], output [head, d_out, d_head],
                              value_bias [head, d_head], output_bias [d_out], constant [d_out]
    statistics.safetensors    of the raw coefficient s: count [], mean and m2 [head, neuron],
                              histogram [head, neuron, bin] with edges [head, neuron, bin + 1],
                              neuron_covariance [neuron, head, head];
                              of the pair: sign, norm, norm_percentile, monosemanticity
                              [head, neuron];
                              oriented (sign * s): top_values and bottom_values with their
                              top_images and bottom_images [head, neuron, rank];
                              of the grid of spatial tokens, means over images: token_norm
                              [row, column] of the features' length, token_attention
                              [head, row, column]; sink_tokens [sink, 2] (row, column) that stand
                              out of their surroundings
    explanations.safetensors  word_ids and weights [head, neuron, atom] in the order of choice,
                              oriented; cosine [head, neuron, step], steps in the manifest;
                              held_out [head, neuron], in [-1, 1]: how the pair's value goes with
                              the likeness of images to its words, over the calibration images
    nulls.safetensors         random_cosine [sample, step]: what random directions in the heads'
                              ranges reach; shuffled_cosine [sample, step]: what directions of pairs
                              reach with shuffled words
    neurons.safetensors       neurons as units, over the calibration images: components
                              [neuron, component, head], coefficients on the write vectors of the
                              neuron's pairs, whose sum is a unit direction; variance_share
                              [neuron, component]; direction [neuron, d_out], the first one;
                              norm, mean, monosemanticity, held_out [neuron]; top_images,
                              top_values, bottom_images, bottom_values [neuron, rank], value being
                              the contribution's part along direction; word_ids and weights
                              [neuron, atom], cosine [neuron, step] of direction
    heads.safetensors         the same of heads: components [head, component, d_head], on the
                              columns of the head's output factor; no held_out
    neighbours.safetensors    pairs by flat number, head * n_neurons + neuron, -1 where there are
                              fewer: direction_ids with direction_cosine, coactivation_ids with
                              coactivation_jaccard (of top images) [head, neuron, place]
    index.safetensors         from words to pairs: the entries of word w are offsets[w] to
                              offsets[w + 1] of pairs (flat numbers) and weights, the largest
                              |weight| first; of each pair its first INDEX_ATOMS words
    map.safetensors           position [head, neuron, 2], each in [-1, 1]; cluster [head, neuron],
                              -1 for none; cluster_position [cluster, 2], cluster_word [cluster],
                              the word nearest to its centre
    familiarity.safetensors   text_null [sample], ascending: agreement of meaningless texts, none
                              where weights alone tell; of the cells of the last block's output over
                              the images: cell_mean [neuron], cell_axes [neuron, axis],
                              cell_variance [axis], cell_rest []; image_strangeness [101], quantiles
    vocabulary.txt            one word a line
    vocabulary.safetensors    embeddings [word, d_out], unit, not centred; agreement [word] of the
                              templates, in [0, 1]; trained [word], 1 if training met every token
    exemplars/thumbnails.safetensors   bytes [byte] of WebP files, offsets [image + 1]; images
                              that no page shows have no bytes
    exemplars/maps.safetensors         maps [head, neuron, place, row, column], oriented: the first
                              places are the first top images, the rest the first bottom images

Missing ranks hold image -1 and value NaN.

Numbers are float32 but for what only ranks or draws: cosines and overlaps of neighbours are
float16, three significant digits.  Weights have no bound (words that are nearly alike get large
ones of opposite signs), and so are float32 in the index too.  Word numbers are int16 where the
vocabulary allows it (:func:`word_dtype`), int32 elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from backend.store.errors import StoreError

FORMAT_VERSION = 2
"""Raised with every change that an older reader or an older store would not survive."""

MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.txt"
FACTORS = "factors.safetensors"
STATISTICS = "statistics.safetensors"
EXPLANATIONS = "explanations.safetensors"
EMBEDDINGS = "vocabulary.safetensors"
NULLS = "nulls.safetensors"
NEURONS = "neurons.safetensors"
HEADS = "heads.safetensors"
NEIGHBOURS = "neighbours.safetensors"
INDEX = "index.safetensors"
MAP = "map.safetensors"
FAMILIARITY = "familiarity.safetensors"
THUMBNAILS = "exemplars/thumbnails.safetensors"
MAPS = "exemplars/maps.safetensors"

_UNIT = (
    "components",
    "variance_share",
    "direction",
    "norm",
    "mean",
    "monosemanticity",
    "top_images",
    "top_values",
    "bottom_images",
    "bottom_values",
    "word_ids",
    "weights",
    "cosine",
)

ARRAYS: dict[str, tuple[str, ...]] = {
    FACTORS: ("value", "output", "value_bias", "output_bias", "constant"),
    STATISTICS: (
        "count",
        "mean",
        "m2",
        "sign",
        "norm",
        "norm_percentile",
        "monosemanticity",
        "histogram",
        "edges",
        "top_images",
        "top_values",
        "bottom_images",
        "bottom_values",
        "neuron_covariance",
        "token_norm",
        "token_attention",
        "sink_tokens",
    ),
    EXPLANATIONS: ("word_ids", "weights", "cosine", "held_out"),
    EMBEDDINGS: ("embeddings", "agreement", "trained"),
    FAMILIARITY: (
        "text_null",
        "cell_mean",
        "cell_axes",
        "cell_variance",
        "cell_rest",
        "image_strangeness",
    ),
    NULLS: ("random_cosine", "shuffled_cosine"),
    NEURONS: (*_UNIT, "held_out"),
    HEADS: _UNIT,
    NEIGHBOURS: (
        "direction_ids",
        "direction_cosine",
        "coactivation_ids",
        "coactivation_jaccard",
    ),
    INDEX: ("offsets", "pairs", "weights"),
    MAP: ("position", "cluster", "cluster_position", "cluster_word"),
    THUMBNAILS: ("bytes", "offsets"),
    MAPS: ("maps",),
}
"""The arrays that each file must hold."""

OPTIONAL_FILES = frozenset({THUMBNAILS, MAPS})
"""Absent from a store made without exemplars, for images that may not be shown."""

TOP_SHOWN = 8
BOTTOM_SHOWN = 4
"""Exemplar images per pair that have a map: what a pair page shows."""

INDEX_ATOMS = 8
"""Words of each pair that the index leads from: eight more would cost 7 MB for RN50x16."""

RESERVED_NAMES = frozenset({"s", "docs", "api", "static", "healthz", "readyz", "metrics"})
"""First segments of addresses that are no store."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ModelRecord:
    architecture: str
    pretrained: str | None
    quickgelu: bool
    weights_sha256: str


@dataclass(frozen=True)
class DatasetRecord:
    """Where the images came from.

    Attributes:
        images: those that could be read.
        unreadable: the others' paths relative to the set, and torn files of many images.
        sha256: of the names and sizes of all files, to tell whether a set is still the same.
    """

    name: str
    images: int
    unreadable: list[str] = field(default_factory=list)
    sha256: str = ""


@dataclass(frozen=True)
class FileRecord:
    """``arrays``: name -> [dtype, shape]; empty for a text file."""

    size: int
    sha256: str
    arrays: dict[str, tuple[str, list[int]]]


@dataclass(frozen=True)
class Manifest:
    """Everything that determines the data, and (apart) when and how fast they were made.

    Attributes:
        name: address slug of the store.
        preprocessing: open_clip's settings: size, mean, std, interpolation, resize_mode.
        parameters: ranks, atoms, cosine_steps, seed, chunk sizes, threads, ...
        files: by path relative to the store.
        created: ISO 8601, UTC.
        timings: seconds by stage.
    """

    name: str
    model: ModelRecord
    preprocessing: dict[str, Any]
    dataset: DatasetRecord
    templates: list[str]
    parameters: dict[str, Any]
    code_version: str
    files: dict[str, FileRecord]
    created: str
    timings: dict[str, float]
    format_version: int = FORMAT_VERSION

    @property
    def data_version(self) -> str:
        """16 hex digits that change with anything here but the date and the times.

        The name and the program's version count too: the same files under another name, or made
        again by another version, are of another data version.
        """
        told = asdict(self)
        del told["created"], told["timings"]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads a manifest.

        Raises:
            StoreError: it is of another format version, or damaged.
        """
        try:
            told: dict[str, Any] = json.loads(text)
            version = told["format_version"]
            if version != FORMAT_VERSION:
                raise StoreError(
                    f"the store has format version {version}, this program reads {FORMAT_VERSION}; "
                    "run `pairscope precompute` again"
                )
            told["model"] = ModelRecord(**told["model"])
            told["dataset"] = DatasetRecord(**told["dataset"])
            told["files"] = {
                path: FileRecord(
                    size=record["size"],
                    sha256=record["sha256"],
                    arrays={
                        name: (kind, shape) for name, (kind, shape) in record["arrays"].items()
                    },
                )
                for path, record in told["files"].items()
            }
            return cls(**told)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError("the manifest is damaged; run `pairscope precompute` again") from error


def word_dtype(words: int) -> str:
    """Smallest number type for word numbers of a vocabulary, and -1."""
    return "int16" if words <= 1 << 15 else "int32"


def check_name(name: str) -> str:
    """Returns a name that can stand in an address.

    Raises:
        StoreError: it is reserved or has other characters than a-z, 0-9, dot, dash, underscore.
    """
    if name in RESERVED_NAMES:
        raise StoreError(f"the name {name!r} is reserved; choose another with --name")
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"the name {name!r} cannot stand in an address; use a-z, 0-9, '.', '-' and '_' only"
        )
    return name


def slug(*parts: str | None) -> str:
    """Default name of a store: its parts in lower case, joined by dashes."""
    joined = "-".join(part for part in parts if part).lower()
    return re.sub(r"[^a-z0-9_]+", "-", joined).strip("-_")[:100] or "store"
