"""The decomposition against its theorem: exact sum, rank one, and a plain attention pool."""

from __future__ import annotations

import torch

from backend.pairs.coefficients import (
    QueryKey,
    activation_maps,
    embedding_from_coefficients,
    pair_coefficients,
    pool_tokens,
    pooled_attention,
    resize_positions,
)
from backend.pairs.factors import Factors, head_directions, write_norms, write_vector


def scene(images: int = 5, neurons: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    feature_map = torch.rand(images, neurons, 2, 3, generator=generator, dtype=torch.float64)
    positions = torch.randn(7, neurons, generator=generator, dtype=torch.float64)
    return feature_map, positions


def plain_pool(tokens: torch.Tensor, factors: Factors, query_key: QueryKey) -> torch.Tensor:
    """Every key, query and value of every token, head by head."""
    out = factors.output_bias.expand(len(tokens), -1).clone()
    for head in range(factors.n_heads):
        keys = tokens @ query_key.key[head].T
        query = tokens[:, :1] @ query_key.query[head].T + query_key.query_bias[head]
        scores = (query * keys).sum(-1) / factors.d_head**0.5
        values = tokens @ factors.value[head].T + factors.value_bias[head]
        pooled = (scores.softmax(-1)[..., None] * values).sum(1)
        out += pooled @ factors.output[head].T
    return out


def test_sum_over_pairs_plus_constant_is_the_pool(factors: Factors, query_key: QueryKey) -> None:
    feature_map, positions = scene()
    tokens = pool_tokens(feature_map, positions)
    attention = pooled_attention(tokens, query_key)
    coefficients = pair_coefficients(tokens, attention)

    pairwise = factors.constant.expand(len(tokens), -1).clone()
    for head in range(factors.n_heads):
        for neuron in range(factors.n_neurons):
            vector = write_vector(factors, neuron=neuron, head=head)
            pairwise += coefficients[:, head, neuron, None] * vector

    expected = plain_pool(tokens, factors, query_key)
    torch.testing.assert_close(pairwise, expected)
    torch.testing.assert_close(embedding_from_coefficients(coefficients, factors), expected)


def test_contributions_of_a_pair_lie_on_its_write_vector(
    factors: Factors, query_key: QueryKey
) -> None:
    """What the paper finds by PCA: one component explains all, and it is D."""
    feature_map, positions = scene(images=12)
    tokens = pool_tokens(feature_map, positions)
    attention = pooled_attention(tokens, query_key)
    neuron, head = 7, 2
    # The contribution as the paper's code makes it: one neuron's activations through one head.
    alone = torch.zeros_like(tokens)
    alone[:, :, neuron] = tokens[:, :, neuron]
    values = torch.einsum("bt,btn,dn->bd", attention[:, head], alone, factors.value[head])
    contribution = values @ factors.output[head].T
    _, singular, components = torch.linalg.svd(contribution - contribution.mean(0))
    direction = head_directions(factors, head=head)[neuron]
    assert singular[1] < 1e-12 * singular[0]
    torch.testing.assert_close(
        (components[0] @ direction).abs(), torch.ones((), dtype=torch.float64)
    )


def test_write_norms_are_lengths_of_write_vectors(factors: Factors) -> None:
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value)
    torch.testing.assert_close(write_norms(factors), dense.norm(dim=-1))


def test_maps_and_position_term_sum_to_the_coefficient(query_key: QueryKey) -> None:
    feature_map, positions = scene()
    tokens = pool_tokens(feature_map, positions)
    attention = pooled_attention(tokens, query_key)
    coefficients = pair_coefficients(tokens, attention)
    image, head, neuron = torch.tensor([0, 4]), torch.tensor([3, 1]), torch.tensor([20, 5])
    maps = activation_maps(feature_map, attention, image=image, head=head, neuron=neuron)
    position_term = torch.einsum("mt,tm->m", attention[image, head], positions[:, neuron])
    torch.testing.assert_close(
        maps.sum(dim=(1, 2)) + position_term, coefficients[image, head, neuron]
    )


def test_positions_of_the_native_grid_are_untouched_and_others_interpolated() -> None:
    positions = torch.randn(17, 8)
    assert resize_positions(positions, rows=4, columns=4) is positions
    wide = resize_positions(positions, rows=2, columns=8)
    assert wide.shape == (17, 8)
    torch.testing.assert_close(wide[0], positions[0])
    constant = resize_positions(torch.ones(17, 8), rows=6, columns=9)
    torch.testing.assert_close(constant, torch.ones(55, 8))
