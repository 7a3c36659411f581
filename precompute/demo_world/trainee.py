"""What training changes, and how it is kept: the shipped weights, the checkpoint to go on from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from open_clip.model import CLIP
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from precompute.demo_world.captions import OPENINGS
from precompute.demo_world.palette import BACKGROUND_COLOURS, PATTERNS
from precompute.demo_world.tower import Words, new_model, second_blocks, stages
from precompute.demo_world.vocabulary import TEMPLATES, lexicon

WEIGHT_DECAY = 0.05
TABLE = "token_embedding.weight"


@dataclass
class Trainee:
    """Everything that training changes: the model, embeddings of its known tokens, two scalars.

    `cells` reads from the features what each cell shows: a teacher, no part of the shipped model.
    `earlier` are the weights of model and embedding, by name, that were remembered last.
    """

    model: CLIP
    words: Words
    embedding: nn.Embedding
    cells: nn.Linear
    word_scale: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.tensor(2.3)))
    word_bias: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.tensor(-4.0)))
    earlier: dict[str, Tensor] = field(default_factory=dict)

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer updates: all but the full table of tokens, in a fixed order."""
        full = self.model.token_embedding.weight
        own = [parameter for parameter in self.model.parameters() if parameter is not full]
        scalars = [self.word_scale, self.word_bias]
        return [*own, self.embedding.weight, *self.cells.parameters(), *scalars]

    def remember(self) -> None:
        """Keep the weights as they are, to blend later ones with."""
        self.earlier = {name: value.clone() for name, value in self._weights().items()}

    @torch.no_grad()
    def blend(self, share: float) -> None:
        """Average the weights, BatchNorm's statistics too, with the remembered ones' `share`.

        Steps back and forth cancel, and what was learnt on the way stays.
        """
        for name, value in self._weights().items():
            value.lerp_(self.earlier[name], share)

    def _weights(self) -> dict[str, Tensor]:
        """Floating numbers of the model and of its known tokens' embedding."""
        state = {**self.model.state_dict(), "embedding": self.embedding.weight.detach()}
        del state[TABLE]
        return {name: value for name, value in state.items() if value.is_floating_point()}

    def state(self) -> dict[str, Tensor]:
        """The shipped parameters under open_clip's names; unknown tokens have embedding zero."""
        state = {name: value.detach() for name, value in self.model.state_dict().items()}
        table = torch.zeros_like(state[TABLE])
        table[self.words.known] = self.embedding.weight.detach()
        return {**state, TABLE: table}


def all_texts() -> list[str]:
    """Texts that hold every word training can meet."""
    return [
        *lexicon().plain,
        *(f"a an and , on background {opening}" for opening in OPENINGS),
        *(template.format("") for template in TEMPLATES),
        *BACKGROUND_COLOURS,
        *PATTERNS,
    ]


def new_trainee(seed: int) -> Trainee:
    """A model with fresh weights, from the seed."""
    torch.manual_seed(seed)
    model = new_model()
    for block in second_blocks(model.visual).values():
        nn.init.zeros_(block.bn3.weight)  # it passes on what it gets until it has learnt better
    words = Words(all_texts())
    embedding = nn.Embedding(len(words.known), model.token_embedding.embedding_dim)
    nn.init.normal_(embedding.weight, std=0.02)
    model.token_embedding.weight.requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    neurons = model.visual.attnpool.v_proj.in_features
    cells = nn.Linear(neurons, len(lexicon().names) + 1 + len(lexicon().tints))
    nn.init.zeros_(cells.weight)  # what it reads is not bent to it before it has learnt to read
    return Trainee(model, words, embedding, cells)


def take_weights(trainee: Trainee, path: Path) -> None:
    """Begin with trained weights in the shipped form instead of fresh ones.

    They may lack second blocks, which then pass on what they get.

    Raises ValueError for a file that is no such weights.
    """
    try:
        state = load_file(path)
        table = state.pop(TABLE).float()
        state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        missing, surplus = trainee.model.load_state_dict(state, strict=False)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold weights of the demo model.") from error
    added = tuple(f"visual.{name}." for name in second_blocks(trainee.model.visual))
    if surplus or any(name != TABLE and not name.startswith(added) for name in missing):
        raise ValueError(f"{path} does not hold weights of the demo model.")
    with torch.no_grad():
        trainee.embedding.weight.copy_(table[trainee.words.known])


def freeze(trainee: Trainee, stages_frozen: int, *, deep: bool) -> None:
    """Put the model into training; the first stages of its image tower stand still.

    So do all second blocks unless it is `deep`. The mode of what stands still isn't touched on the
    way: another thread may be looking through it.
    """
    later = set() if deep else set(second_blocks(trainee.model.visual).values())
    for stage, layers in enumerate(stages(trainee.model.visual)):
        for layer in layers:
            blocks = layer if isinstance(layer, nn.Sequential) else [layer]
            for block in blocks:
                learns = stage >= stages_frozen and block not in later
                block.train(learns)
                block.requires_grad_(learns)


def new_optimizer(trainee: Trainee) -> torch.optim.AdamW:
    """AdamW with decay on matrices alone: not on embeddings, norms, biases and scalars."""
    plain = {id(trainee.embedding.weight), id(trainee.model.positional_embedding)}
    plain.add(id(trainee.model.visual.attnpool.positional_embedding))
    parameters = trainee.parameters()
    matrices = [p for p in parameters if p.ndim >= 2 and id(p) not in plain]
    chosen = {id(p) for p in matrices}
    rest = [p for p in parameters if id(p) not in chosen]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-6, fused=True)


def save_weights(trainee: Trainee, out: Path) -> None:
    """Write the shipped weights, floating numbers in half precision, replacing the file at once.

    Raises:
        OSError: the disk refuses.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in trainee.state().items()
    }
    partial = out.with_suffix(".partial")
    try:
        save_file(state, partial)
    except SafetensorError as error:
        raise OSError(f"{out} cannot be written: {error}") from error
    partial.replace(out)


def save_checkpoint(
    path: Path,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    *,
    seed: int,
    drawings: int,
    step: int,
) -> None:
    """Write all that training needs to go on, in full precision, replacing the file at once.

    `drawings`: how many the run has to draw from, its own and other artists'.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = trainee.state()
    del own[TABLE]  # mostly zeros: the known tokens' rows are kept instead
    state = {
        "seed": seed,
        "drawings": drawings,
        "step": step,
        "model": own,
        "embedding": trainee.embedding.weight.detach(),
        "cells": trainee.cells.state_dict(),
        "word_scale": trainee.word_scale.detach(),
        "word_bias": trainee.word_bias.detach(),
        "earlier": trainee.earlier,
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(
    path: Path, trainee: Trainee, optimizer: torch.optim.Optimizer, *, seed: int, drawings: int
) -> int | None:
    """Take up a checkpoint; returns the step to go on with, None where there is no file.

    Raises ValueError for the checkpoint of a run with another seed, other drawings or another
    model.
    """
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True)
    if state["seed"] != seed:
        raise ValueError(
            f"The checkpoint {path} was begun with seed {state['seed']}: "
            "train with that seed, or remove the file."
        )
    if state["drawings"] != drawings:
        raise ValueError(
            f"The run of {path} draws from {state['drawings']:,} drawings, not {drawings:,}: "
            "name the same folders of other artists' drawings, or remove the file."
        )
    missing, surplus = trainee.model.load_state_dict(state["model"], strict=False)
    if missing != [TABLE] or surplus or len(state["embedding"]) != len(trainee.words.known):
        raise ValueError(f"The checkpoint {path} is of another model or vocabulary; remove it.")
    with torch.no_grad():
        trainee.embedding.weight.copy_(state["embedding"])
        trainee.cells.load_state_dict(state["cells"])
        trainee.word_scale.copy_(state["word_scale"])
        trainee.word_bias.copy_(state["word_bias"])
    trainee.earlier = state["earlier"]
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
