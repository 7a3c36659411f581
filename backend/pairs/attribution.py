"""The score of an image and a text as an exact sum over pairs, over places, and over both.

    cos(M, t) = (sum over pairs of s * <D, t>  +  <constant, t>) / |M|,      |M| of the whole image

``text`` is a unit embedding, or the difference of two: what is then explained is how much more the
image is like the one than like the other.  Attention is held fixed: a pair's part is what it wrote,
not what would change if the network were another.

Sums are made in float64, so that parts add up to the score to the last digit that it has.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors
from backend.pairs.similarity import write_products


@dataclass(frozen=True)
class Attribution:
    """A score and its parts; ``pairs.sum() + constant`` is ``score``.

    Attributes:
        score: cosine of image and text, or the difference of two.
        constant: the part that no pair of this image has: of the biases and, with a baseline, of
            the baseline's coefficients.
        pairs: signed part of every pair.
    """

    score: Float[Tensor, ""]
    constant: Float[Tensor, ""]
    pairs: Float[Tensor, "head neuron"]

    @property
    def heads(self) -> Float[Tensor, " head"]:
        """Signed part of every head: of all its pairs."""
        return self.pairs.sum(dim=1)

    @property
    def neurons(self) -> Float[Tensor, " neuron"]:
        """Signed part of every neuron: of all its pairs."""
        return self.pairs.sum(dim=0)


@dataclass(frozen=True)
class PlacedAttribution:
    """The same score over places; ``cells.sum() + position + constant`` is ``score``.

    Attributes:
        cells: what every cell's activations add, its share of the mean token included.
        position: what the positional embedding adds, whatever the image shows.
        constant: what the biases add.
    """

    score: Float[Tensor, ""]
    cells: Float[Tensor, "row column"]
    position: Float[Tensor, ""]
    constant: Float[Tensor, ""]


@dataclass(frozen=True)
class LargestParts:
    """The parts of largest size, the largest first, and the sum of all others.

    Attributes:
        places: flat places in the array that the parts come from.
        values: signed.
        remainder: so that ``values.sum() + remainder`` is the sum over the whole array.
    """

    places: Int[Tensor, " part"]
    values: Float[Tensor, " part"]
    remainder: Float[Tensor, ""]


def attribute_score(
    coefficients: Float[Tensor, "head neuron"],
    embedding: Float[Tensor, " d_out"],
    text: Float[Tensor, " d_out"],
    factors: Factors,
    *,
    baseline: Float[Tensor, "head neuron"] | None = None,
) -> Attribution:
    """Splits the score of one image by pairs.

    Args:
        embedding: of the image, un-normalised; its length is the divisor.
        baseline: coefficients to measure from, such as the mean over a data set; zero by default.
            What they add moves into the constant, and the sum stays the score.
    """
    products = write_products(text[None].double(), factors.double())[0]
    length = embedding.double().norm()
    pairs = coefficients.double() * products / length
    constant = factors.constant.double() @ text.double() / length
    score = pairs.sum() + constant
    if baseline is not None:
        of_baseline = baseline.double() * products / length
        pairs, constant = pairs - of_baseline, constant + of_baseline.sum()
    return Attribution(score=score, constant=constant, pairs=pairs)


def attribute_places(
    feature_map: Float[Tensor, "neuron row column"],
    attention: Float[Tensor, "head token"],
    positions: Float[Tensor, "token neuron"],
    embedding: Float[Tensor, " d_out"],
    text: Float[Tensor, " d_out"],
    factors: Factors,
) -> PlacedAttribution:
    """Splits the score of one image by where it comes from.

    Args:
        positions: the positional embedding on the image's grid, the mean token first.
    """
    products = write_products(text[None].double(), factors.double())[0]
    length = embedding.double().norm()
    cells = feature_map.double().flatten(1).T @ products.T
    placed = (cell_weights(attention).double().T * cells).sum(dim=1) / length
    position = (attention.double() * (products @ positions.double().T)).sum() / length
    constant = factors.constant.double() @ text.double() / length
    return PlacedAttribution(
        score=placed.sum() + position + constant,
        cells=placed.reshape(feature_map.shape[1:]),
        position=position,
        constant=constant,
    )


def attribute_token(
    feature_map: Float[Tensor, "neuron row column"],
    attention: Float[Tensor, "head token"],
    embedding: Float[Tensor, " d_out"],
    text: Float[Tensor, " d_out"],
    factors: Factors,
    *,
    row: int,
    column: int,
) -> Float[Tensor, "head neuron"]:
    """What every pair adds to the score at one cell; sums to the cell of the placed attribution.

    Raises:
        ValueError: there is no such cell.
    """
    rows, columns = feature_map.shape[1:]
    check_cell(row, column, rows=rows, columns=columns)
    products = write_products(text[None].double(), factors.double())[0]
    weight = cell_weights(attention)[:, row * columns + column].double()
    activations = feature_map[:, row, column].double()
    parts: Tensor = weight[:, None] * activations * products / embedding.double().norm()
    return parts


def check_cell(row: int, column: int, *, rows: int, columns: int) -> None:
    """Nothing, if a grid has such a cell.

    Raises:
        ValueError: it has not.
    """
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(
            f"there is no cell in row {row}, column {column}; rows are 0 to {rows - 1}, "
            f"columns 0 to {columns - 1}"
        )


def cell_weights(
    attention: Float[Tensor, "*image head token"],
) -> Float[Tensor, "*image head cell"]:
    """Weight of every cell in the coefficients: its own token's and its part of the mean's."""
    cells = attention.shape[-1] - 1
    weights: Tensor = attention[..., 1:] + attention[..., :1] / cells
    return weights


def largest_parts(parts: Float[Tensor, ...], count: int) -> LargestParts:
    """The ``count`` parts of largest size and the exact rest."""
    flat = parts.flatten().double()
    places = flat.abs().topk(min(count, len(flat))).indices
    rest = flat.clone()
    rest[places] = 0
    return LargestParts(places=places, values=flat[places], remainder=rest.sum())
