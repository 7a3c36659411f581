"""What the demo model is trained to do, one function each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEAR_WORDS = 0.05  # of cosine: words that fit a pair worse than the best by more than a few of
# these don't count as its words


def contrastive(images: Tensor, captions: Tensor, logit_scale: Tensor) -> Tensor:
    """CLIP's loss: each image picks its caption out of the batch, and the reverse.

    `images` and `captions` are unit [scene, d_out] in the same order; `logit_scale` is the factor
    on their cosines.
    """
    logits = logit_scale * images @ captions.T
    own = torch.arange(len(logits))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def naming(images: Tensor, names: Tensor, shown: Tensor, logit_scale: Tensor) -> Tensor:
    """Cross-entropy over all concept names, the target shared equally by the objects of a scene.

    `images` unit [scene, d_out], `names` unit [concept, d_out], `shown` bool [scene, concept].
    """
    target = shown.float() / shown.sum(dim=1, keepdim=True)
    return functional.cross_entropy(logit_scale * images @ names.T, target)


def word_truth(
    images: Tensor, words: Tensor, true: Tensor, scale: Tensor, bias: Tensor, weight: Tensor
) -> Tensor:
    """For each word and image, whether the word is true of it (logistic loss per true pair).

    `images` unit [scene, d_out], `words` unit [word, d_out], `true` bool [scene, word]; `scale` and
    `bias` turn a cosine into a logit; `weight` [word] is how much each word counts.
    """
    logits = scale * images @ words.T + bias
    loss = functional.binary_cross_entropy_with_logits(
        logits, true.float(), weight=weight, reduction="sum"
    )
    return loss / true.sum().clamp(min=1)


def cells(logits: Tensor, labels: Tensor, tints: Tensor) -> Tensor:
    """What each cell of the features shows: cross-entropy of concepts, logistic loss of tints.

    `labels` [scene, cell, concept + 1] are shares of the cell's area that add up to 1, the last for
    the background; `tints` [scene, cell, tint] shares of the area in that tint. `logits`
    [scene, cell, concept + 1 + tint]. Mean over the cells.
    """
    kinds = labels.shape[2]
    shown = functional.cross_entropy(logits[..., :kinds].flatten(0, 1), labels.flatten(0, 1))
    tinted = functional.binary_cross_entropy_with_logits(
        logits[..., kinds:], tints, reduction="none"
    )
    return shown + tinted.sum(dim=2).mean()


def density(features: Tensor) -> Tensor:
    """How evenly neurons fire over images, from near 0 (for one image alone) to 1 (for all alike).

    `features` are post-ReLU, [image, neuron, row, column]. Mean over root mean square, over the
    images, of each neuron's mean activation; averaged over the neurons.
    """
    activation = features.float().mean(dim=(2, 3))
    power = activation.square().mean(dim=0)
    return (activation.mean(dim=0) / (power + 1e-8).sqrt()).mean()


def silence(written: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """How much what backgrounds write moves the logits of words about objects.

    `written` [scene, d_out] is what the background's cells add to an embedding of length 1; `texts`
    unit [text, d_out]. Mean square of the logits, from their mean over the texts.
    """
    logits = logit_scale * written @ (texts - texts.mean(dim=0)).T
    return logits.square().mean()


def mixture(features: Tensor, background: Tensor, objects: Tensor) -> Tensor:
    """How far neurons fire for backgrounds and objects alike, from 0 (for one alone) to 1.

    `features` are post-ReLU, [scene, cell, neuron]; `background` and `objects` bool [scene, cell].
    With q the background's part of a neuron's mean activations, 4q(1 - q) averaged over neurons.
    """
    activation = features.float()
    ground, things = (
        activation[where].sum(dim=0) / where.sum().clamp(min=1) for where in (background, objects)
    )
    part = ground / (ground + things + 1e-6)
    return (4 * part * (1 - part)).mean()


def accord(
    coefficients: Tensor, directions: Tensor, words: Tensor, true: Tensor, weight: Tensor
) -> Tensor:
    """How far the words that pairs write are true of the scenes that drive them, from -1 to 1.

    `coefficients` [scene, pair] in the batch; `directions` [pair, d_out], whose orientation is
    chosen here; `words` unit [word, d_out]; `true` bool [scene, word]; `weight` [pair] how much
    each pair counts. A pair's words are those most similar to its direction, by a softmax. For each
    the coefficients' means over scenes that it is true of and over the others are compared, in
    deviations of the pair; words that are true of no scene of the batch, or of all, count as 0.
    """
    values = coefficients - coefficients.mean(dim=0)
    values = values / (values.square().mean(dim=0) + 1e-12).sqrt()
    orientation = values.detach().pow(3).mean(dim=0).sign()
    values = values * orientation
    written = functional.normalize(directions, dim=1) * orientation[:, None]
    centred = functional.normalize(words - words.mean(dim=0), dim=1)
    meant = (written @ centred.T / NEAR_WORDS).softmax(dim=1)
    positive = true.sum(dim=0)
    shown = true.float() / positive.clamp(min=1)
    absent = (~true).float() / (len(true) - positive).clamp(min=1)
    told = (values.T @ (shown - absent) / 2).tanh()
    told = told * ((positive > 0) & (positive < len(true)))
    return ((meant * told).sum(dim=1) * weight).sum() / weight.sum()
