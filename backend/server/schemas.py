"""The wire: every JSON body that enters or leaves the server, defined once.

Pages show the same objects through templates, so a page and its JSON twin cannot disagree.
All addresses are root-relative.  All numbers of a pair are *oriented*: ``value`` is
``sign * coefficient`` and words carry the sign of the oriented direction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PROMPTS = 20
"""More are refused: each prompt adds a text embedding and a pair mask to every window."""

MAX_PROMPT_CHARACTERS = 200
MAX_QUERY_CHARACTERS = 200
MAX_TITLE_CHARACTERS = 200
MAX_NOTE_CHARACTERS = 2000
MAX_RESULTS = 100
"""More search results than this on one page cost more to draw than anyone reads."""


class Wire(BaseModel):
    """Base of all wire objects: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorDetail(Wire):
    status: int = Field(description="HTTP status, 400 to 599")
    code: str = Field(description="machine-readable name, for example `unknown_neuron`")
    message: str = Field(description="one sentence for people, with the allowed range if any")
    request_id: str = Field(description="names the log lines of this request")


class ErrorBody(Wire):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class Word(Wire):
    word: str
    weight: float = Field(description="signed OMP coefficient of the unit, centred word")


class ExemplarImage(Wire):
    image: int = Field(ge=0, description="number of the image in the data set")
    value: float = Field(description="sign * coefficient of the pair on this image")
    url: str = Field(description="thumbnail")
    heatmap_url: str | None = Field(
        description="where in the image the value comes from; null where none is stored"
    )


class Thumbnail(Wire):
    image: int
    url: str
    heatmap_url: str | None


class PairSummary(Wire):
    """How a pair is recognised everywhere: three top images and its first three words."""

    neuron: int
    head: int
    url: str
    norm: float
    norm_percentile: float = Field(ge=0, le=100)
    words: list[Word] = Field(description="the first three words")
    thumbnails: list[Thumbnail] = Field(description="up to three top images")


class SearchResult(PairSummary):
    similarity: float = Field(
        ge=-1, le=1, description="cosine of the centred text with the pair's direction"
    )
    null_percentile: float = Field(
        ge=0,
        le=100,
        description="share of random vocabulary words that are less similar to this pair",
    )


class SearchResults(Wire):
    query: str
    source: Literal["vocabulary", "text tower"] = Field(
        description="where the text's embedding came from: stored word or live model"
    )
    may_not_know: bool = Field(
        description="true when a token was never trained on, or `standing` is below 95"
    )
    doubt: str | None = Field(description="why the model may not know the text, in one sentence")
    standing: float | None = Field(
        ge=0,
        le=100,
        description="percentile among meaningless texts of how far the text's embeddings in all "
        "templates agree; null where the weights tell which tokens were trained on",
    )
    total: int = Field(description="pairs that were searched")
    results: list[SearchResult]
    next_limit: int | None = Field(
        description="a larger limit that would show more; null at the end"
    )


class NearPair(PairSummary):
    cosine: float = Field(ge=-1, le=1, description="cosine between the two oriented directions")


class CoactivePair(PairSummary):
    jaccard: float = Field(
        ge=0, le=1, description="top-50 images of both over those of either: Jaccard overlap"
    )


class Histogram(Wire):
    edges: list[float] = Field(description="bin edges of the oriented value, ascending")
    counts: list[int] = Field(description="images per bin; the outermost bins hold the rest")


class CosineStep(Wire):
    words: int
    cosine: float
    random: float = Field(
        description="mean cosine that random directions in the heads' ranges reach with as many"
    )
    shuffled: float = Field(
        description="mean cosine that pairs reach with as many shuffled, meaningless words"
    )


class Pair(Wire):
    model: str
    neuron: int
    head: int
    sign: Literal[-1, 1]
    norm: float = Field(description="mean of |s - mean| * |D| over the 50 most deviating images")
    norm_percentile: float = Field(ge=0, le=100)
    monosemanticity: float | None = Field(
        description="1 - spread of the ten top images' embeddings over that of all, 0 to 1"
    )
    images: int = Field(description="images the statistics are over")
    mean: float = Field(description="mean oriented value")
    deviation: float = Field(description="standard deviation of the value")
    explanation: list[Word] = Field(description="all words in the order OMP chose them")
    cosine: float = Field(ge=-1, le=1, description="cosine reached with all words")
    cosine_by_words: list[CosineStep]
    held_out: float | None = Field(
        ge=-1,
        le=1,
        description="correlation over images of the value with the similarity of the image, less "
        "the pair's own contribution, to the sum of its words; null where undefined",
    )
    histogram: Histogram
    top_images: list[ExemplarImage]
    bottom_images: list[ExemplarImage]
    heatmap_scale: float | None = Field(
        description="the value at full colour; all heatmaps of this pair share it"
    )
    siblings: list[PairSummary] = Field(description="other heads of this neuron, strongest first")
    nearest: list[NearPair] = Field(description="pairs with the most similar direction")
    coactive: list[CoactivePair] = Field(description="pairs that share the most top images")
    data_version: str
    url: str


class ModelSummary(Wire):
    """One store that the server has open."""

    name: str
    url: str
    architecture: str
    pretrained: str | None
    weights_sha256: str
    dataset: str
    images: int
    neurons: int
    heads: int
    d_out: int
    pairs: int
    vocabulary: int
    atoms: int
    image_size: int
    data_version: str
    live: Literal["ready", "loading", "unavailable"] = Field(
        description="whether the weights are loaded, so that uploads and free text can be answered"
    )
    live_message: str | None = Field(description="why it is not ready, in one sentence")


class Models(Wire):
    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """The model's page: its provenance and where to start."""

    quickgelu: bool
    templates: list[str]
    created: datetime
    unreadable_images: int
    strongest: list[PairSummary] = Field(description="pairs with the largest norm")
    clearest: list[PairSummary] = Field(
        description="strong pairs with distinct first words whose top images agree most"
    )
    example_words: list[str] = Field(description="vocabulary words worth a first search")


class SegmentationClass(Wire):
    prompt: str
    colour: str = Field(description="#rrggbb, the same in mask, legend and heatmap")
    area_share: float = Field(ge=0, le=1, description="share of the mask's pixels")
    heatmap_url: str
    peak: float = Field(description="largest logit")
    known: bool = Field(description="false when the model may not know this text")
    doubt: str | None = Field(description="why it may not, in one sentence")


class Segmentation(Wire):
    id: str
    model: str
    width: int
    height: int
    background: bool
    method: Literal["pairs"]
    classes: list[SegmentationClass]
    background_share: float = Field(ge=0, le=1)
    picture_known: bool = Field(
        description="false when the picture is stranger to the model than 95 % of the data set"
    )
    picture_doubt: str | None = Field(description="why the model may not know it, in one sentence")
    heatmap_scale: float = Field(description="logit at full colour, shared by all heatmaps")
    image_url: str
    mask_url: str
    overlay_url: str
    url: str = Field(description="the lab page that shows it")
    data_version: str
    created: datetime
    expires: datetime | None = Field(description="null once it is shared")


Text = Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS)]


class ShareRequest(Wire):
    """Exactly one of ``segmentation`` and ``view`` is given."""

    segmentation: str | None = None
    view: str | None = Field(default=None, max_length=2000, description="root-relative page")
    title: Text = ""
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = ""


class ShareCreated(Wire):
    id: str
    url: str
    delete_token: str = Field(description="shown once; deletes the share and, with it, the image")


class Share(Wire):
    id: str
    url: str
    title: str
    note: str
    view: str | None
    segmentation: Segmentation | None
    data_version: str
    stale: bool = Field(description="true when the store has changed since this was shared")
    created: datetime


class ShareDelete(Wire):
    """One of the ways to give a delete token."""

    delete_token: str


class Health(Wire):
    status: Literal["alive", "ready"]
