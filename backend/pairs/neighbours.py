"""Pairs that point the same way, and pairs that the same images drive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from backend.pairs.best_word import has_native_bfloat16
from backend.pairs.factors import Factors
from backend.pairs.statistics import NO_IMAGE

NEIGHBOURS = 12
"""Neighbours kept of each pair and kind: what a page shows."""

NO_PAIR = -1
"""Stands where a pair has fewer neighbours."""

PAIRS_AT_ONCE = 256
"""Pairs compared with all others at a time: 150 MB of cosines for RN50x16."""

GROUP = 128
"""Scores whose largest is taken first; ranking then looks into a dozen groups only.  For 147,456
scores that takes a quarter of the time of ``topk`` on all of them."""

COMMON = 16
"""An image among the top images of at least one pair in 16 is counted by a product of flags, any
other along a list of the pairs that have it, which is slower for longer lists."""

COMMON_IN_BFLOAT16 = 64
"""The same where products of bfloat16 are native, eight times as fast: one pair in 64."""

MOST_COMMON = 800
"""Images that can be among the 50 top images of one pair in 16; flags of more would take more
memory, 1.6 kB a pair in bfloat16."""


def largest_places(
    scores: Float[Tensor, "row place"], wanted: int
) -> tuple[Float[Tensor, "row rank"], Int[Tensor, "row rank"]]:
    """The largest scores of each row with their places, largest first.

    Exact: the ``wanted`` groups with the largest maxima hold the ``wanted`` largest scores.
    """
    rows, places = scores.shape
    wanted = min(wanted, places)
    if places % GROUP:
        scores = F.pad(scores, (0, -places % GROUP), value=-torch.inf)
    grouped = scores.view(rows, -1, GROUP)
    groups = grouped.amax(dim=2).topk(min(wanted, grouped.shape[1]), dim=1).indices
    chosen = grouped.gather(1, groups[..., None].expand(-1, -1, GROUP)).flatten(1)
    best = chosen.topk(wanted, dim=1)
    found = groups.gather(1, best.indices // GROUP) * GROUP + best.indices % GROUP
    return best.values, found


def largest_counts(
    counts: UInt8[Tensor, "row place"], wanted: int
) -> tuple[Int[Tensor, "row rank"], Int[Tensor, "row rank"]]:
    """The same for small counts, of which many are equal: lower places come first then."""
    rows, places = counts.shape
    wanted = min(wanted, places)
    grouped = F.pad(counts, (0, -places % GROUP)).view(rows, -1, GROUP)
    # Value and place in one integer, so that no two are equal.
    n_groups = grouped.shape[1]
    order = n_groups - 1 - torch.arange(n_groups, device=counts.device)
    keys = grouped.amax(dim=2).long() * n_groups + order
    groups = keys.topk(min(wanted, n_groups), dim=1).indices
    chosen = grouped.gather(1, groups[..., None].expand(-1, -1, GROUP)).long()
    where = groups[..., None] * GROUP + torch.arange(GROUP, device=counts.device)
    width = n_groups * GROUP
    best = (chosen * width + (width - 1 - where)).flatten(1).topk(wanted, dim=1).values
    return best // width, width - 1 - best % width


def nearest_directions(
    factors: Factors, scale: Float[Tensor, "head neuron"], *, head: int
) -> tuple[Int[Tensor, "neuron rank"], Float[Tensor, "neuron rank"]]:
    """Flat numbers (head * n_neurons + neuron) and cosines of the pairs nearest to a head's pairs.

    Through the factors: two heads' directions meet in a d_head x d_head product.  ``scale`` is
    sign / |D| (see :func:`backend.pairs.similarity.orientation_scale`); a pair of scale zero writes
    nothing, is nobody's neighbour and has none: NO_PAIR and NaN.
    """
    silent = (scale == 0).flatten()
    crossed = torch.einsum("oa,hob->hab", factors.output[head], factors.output)
    scaled = factors.value * scale[:, None]
    own = scaled[head].T
    scores = own.new_empty(min(PAIRS_AT_ONCE, factors.n_neurons), factors.n_pairs)
    ids = torch.full((factors.n_neurons, NEIGHBOURS), NO_PAIR, device=own.device)
    cosines = own.new_full((factors.n_neurons, NEIGHBOURS), torch.nan)
    for start in range(0, factors.n_neurons, PAIRS_AT_ONCE):
        part = torch.arange(start, min(start + PAIRS_AT_ONCE, factors.n_neurons), device=own.device)
        folded = own[part] @ crossed
        compared = scores[: len(part)]
        for other, columns in enumerate(torch.split(compared, factors.n_neurons, dim=1)):
            torch.mm(folded[other], scaled[other], out=columns)
        if silent.any():
            compared[:, silent] = -torch.inf
        compared[part - start, head * factors.n_neurons + part] = -torch.inf
        found, places = largest_places(compared, NEIGHBOURS)
        known = found.isfinite() & ~silent[head * factors.n_neurons + part, None]
        ids[part, : found.shape[1]] = places.where(known, NO_PAIR)
        cosines[part, : found.shape[1]] = found.clamp(-1, 1).where(known, torch.nan)
    return ids, cosines


class CoActivation:
    """Which pairs share top images; exact, by counting along lists of who has which image.

    Args:
        top_images: of every pair, NO_IMAGE where there are fewer; all pairs have equally many.
        active: pairs whose value varies at all; others neither have neighbours nor are any.
    """

    def __init__(
        self, top_images: Int[Tensor, "head neuron rank"], active: Tensor, *, images: int
    ) -> None:
        tops = top_images.flatten(0, 1).long()
        self._active = active.flatten()
        self._lists = tops.masked_fill(~self._active[:, None], NO_IMAGE)
        pairs, ranks = self._lists.shape
        order = self._lists.flatten().argsort(stable=True)
        counts = torch.bincount(self._lists.flatten() + 1, minlength=images + 1)
        # Pairs that have the same image stand together, empty places before all images.
        self._owners = order // ranks
        self._starts, self._lengths = counts.cumsum(0)[:-1], counts[1:]
        # Counts up to 256 are exact in bfloat16 too.
        native = has_native_bfloat16(torch.empty(0))
        kind, rarity = (torch.bfloat16, COMMON_IN_BFLOAT16) if native else (torch.float32, COMMON)
        most = self._lengths.argsort(descending=True, stable=True)[:MOST_COMMON]
        common = most[self._lengths[most] * rarity >= pairs]
        self._rare = torch.ones(images, dtype=torch.bool).index_fill_(0, common, False)
        self._flags = torch.zeros(len(common), pairs, dtype=kind)
        spans = zip(self._starts[common].tolist(), self._lengths[common].tolist(), strict=True)
        for flags, (start, length) in zip(self._flags, spans, strict=True):
            flags[self._owners[start : start + length]] = 1
        self._one = torch.ones(1, dtype=torch.uint8)

    def shared(self, part: range) -> UInt8[Tensor, "row pair"]:
        """Top images that each pair of a part shares with every pair (itself included)."""
        own = self._flags[:, part.start : part.stop].T.contiguous()
        counts = (own @ self._flags).to(torch.uint8)
        listed = self._lists[part.start : part.stop]
        row, place = ((listed != NO_IMAGE) & self._rare[listed.clamp_min(0)]).nonzero(as_tuple=True)
        image = listed[row, place]
        columns = (row, self._starts[image], self._lengths[image])
        for which, start, length in zip(*(column.tolist() for column in columns), strict=True):
            owners = self._owners[start : start + length]
            counts[which].index_add_(0, owners, self._one.expand(length))
        return counts

    def nearest(self, pairs: range) -> tuple[Int[Tensor, "pair rank"], Float[Tensor, "pair rank"]]:
        """Flat numbers and Jaccard overlaps, in (0, 1], of the pairs that share most top images.

        Lower numbers first where overlaps are equal.
        """
        ids = torch.full((len(pairs), NEIGHBOURS), NO_PAIR)
        jaccard = torch.full((len(pairs), NEIGHBOURS), torch.nan)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            counts = self.shared(part)
            counts[torch.arange(len(part)), torch.tensor(part)] = 0
            shared, places = largest_counts(counts, NEIGHBOURS)
            size = (self._lists[part.start : part.stop] != NO_IMAGE).sum(dim=1, keepdim=True)
            known = shared > 0
            rows = slice(start, start + len(part))
            ids[rows, : shared.shape[1]] = places.where(known, NO_PAIR)
            overlap = shared / (2 * size - shared)
            jaccard[rows, : shared.shape[1]] = overlap.where(known, torch.nan)
        return ids, jaccard
