"""Batched matching pursuit against scikit-learn's, signal by signal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import orthogonal_mp

from backend.pairs.sparse_coding import centred_dictionary, matching_pursuit


def problem(
    signals: int = 40, words: int = 300, width: int = 48
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    dictionary, _ = centred_dictionary(torch.randn(words, width, generator=generator))
    return F.normalize(torch.randn(signals, width, generator=generator), dim=1), dictionary


@pytest.mark.parametrize("atoms", [1, 5, 16])
def test_same_words_and_weights_as_scikit_learn(atoms: int) -> None:
    signals, dictionary = problem()
    code = matching_pursuit(signals, dictionary, atoms=atoms)
    reference = orthogonal_mp(
        dictionary.T.double().numpy(), signals.T.double().numpy(), n_nonzero_coefs=atoms
    ).reshape(len(dictionary), -1)
    for place, ids in enumerate(code.word_ids):
        assert set(ids.tolist()) == set(np.flatnonzero(reference[:, place]))
        np.testing.assert_allclose(
            code.weights[place].numpy(), reference[ids.numpy(), place], rtol=1e-3, atol=1e-4
        )


def test_cosine_is_that_of_the_reconstruction_and_never_falls() -> None:
    signals, dictionary = problem()
    code = matching_pursuit(signals, dictionary, atoms=12)
    rebuilt = torch.einsum("sa,sad->sd", code.weights, dictionary[code.word_ids])
    torch.testing.assert_close(
        code.cosine[:, -1], F.cosine_similarity(rebuilt, signals), rtol=1e-5, atol=1e-5
    )
    assert (code.cosine.diff(dim=1) >= 0).all()


def test_odd_in_the_sign_of_the_signal() -> None:
    signals, dictionary = problem()
    code, mirrored = (matching_pursuit(s, dictionary, atoms=8) for s in (signals, -signals))
    assert torch.equal(code.word_ids, mirrored.word_ids)
    torch.testing.assert_close(code.weights, -mirrored.weights)


def test_explained_and_empty_signals_stop_early() -> None:
    _, dictionary = problem()
    signals = torch.stack([dictionary[17], torch.zeros(48)])
    code = matching_pursuit(signals, dictionary, atoms=4)
    assert code.word_ids[0].tolist() == [17, -1, -1, -1]
    assert code.word_ids[1].tolist() == [-1] * 4
    torch.testing.assert_close(code.weights[0], torch.tensor([1.0, 0, 0, 0]))
    assert not code.weights.isnan().any()


@pytest.mark.parametrize("atoms", [0, 49])
def test_atoms_out_of_range(atoms: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 48"):
        matching_pursuit(*problem(), atoms=atoms)
