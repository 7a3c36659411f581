"""Tokens that stand out of their surroundings on average over images: attention sinks.

A place of a picture is no different from the places around it when many pictures are averaged.  A
token whose features are far longer, or that gets far more attention, carries something that belongs
to the model and not to the picture; RN50x16 has one at the bottom right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

FACTOR = 2.0
"""Least ratio of a sink to the median of the tokens around it."""

DEVIATIONS = 6.0
"""Least distance of the logarithm of this ratio from that of all tokens, in robust standard
deviations: pictures have a middle and edges, and that alone must not make a sink."""

_ROBUST = 1.4826
"""Standard deviations in a median absolute deviation, of a normal distribution."""


def sink_tokens(
    token_norm: Float[Tensor, "row column"], token_attention: Float[Tensor, "head row column"]
) -> Int[Tensor, "sink 2"]:
    """(row, column) of sinks, in reading order: by feature length, or by the heads' mean attention.

    Of a grid with a single token nothing can be said, and none is found.
    """
    found = _outliers(token_norm) | _outliers(token_attention.mean(dim=0))
    return found.nonzero()


def _outliers(values: Float[Tensor, "row column"]) -> Tensor:
    """Tokens far above the median of the up to eight tokens around them."""
    if values.numel() < 2:
        return torch.zeros_like(values, dtype=torch.bool)
    rows, columns = values.shape
    padded = F.pad(values.double(), (1, 1, 1, 1), value=torch.nan)
    around = F.unfold(padded[None, None], 3).reshape(9, rows, columns)
    around = torch.cat([around[:4], around[5:]])
    tiny = torch.finfo(torch.float64).tiny
    ratio = (values.double().clamp_min(tiny) / around.nanmedian(dim=0).values.clamp_min(tiny)).log()
    middle = ratio.median()
    spread = _ROBUST * (ratio - middle).abs().median()
    return (ratio >= torch.tensor(FACTOR).log()) & (ratio - middle > DEVIATIONS * spread)


def sinks_on_grid(
    sinks: Int[Tensor, "sink 2"], *, of: tuple[int, int], rows: int, columns: int
) -> Int[Tensor, "sink 2"]:
    """Where sinks of a grid ``of`` (rows, columns) lie on another one; corners stay corners."""
    if of == (rows, columns) or not len(sinks):
        return sinks
    last = torch.tensor([max(of[0] - 1, 1), max(of[1] - 1, 1)], device=sinks.device)
    reach = torch.tensor([rows - 1, columns - 1], device=sinks.device)
    moved: Tensor = torch.unique((sinks * reach / last).round().long(), dim=0)
    return moved


def replace_sinks(
    values: Float[Tensor, "*value place"],
    sinks: Int[Tensor, "sink 2"],
    *,
    rows: int,
    columns: int,
) -> Float[Tensor, "*value place"]:
    """Every sink's values become the mean of the up to eight cells around it that are no sinks.

    Places are the cells of grids of ``rows`` x ``columns``, one grid after the other, all with the
    same sinks.  For a sink in the bottom right corner the cells around it are its neighbours to the
    west, the north and the north-west.  One that has sinks alone around it keeps its values.
    """
    at_sink = torch.zeros(rows, columns, dtype=torch.bool)
    at_sink[sinks[:, 0].cpu(), sinks[:, 1].cpu()] = True
    cells = values.view(*values.shape[:-1], -1, rows * columns)
    replaced = cells.clone()
    for row, column in sinks.tolist():
        around = torch.zeros_like(at_sink)
        around[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
        places = (around & ~at_sink).flatten().nonzero()[:, 0].to(cells.device)
        if len(places):
            replaced[..., row * columns + column] = cells[..., places].mean(dim=-1)
    return replaced.view(values.shape)
