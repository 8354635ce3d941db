"""IDCM's third step: the selector learns the strong model's order of a document's windows (arXiv:2105.09816, section 3.4).

The strong model is frozen and reads every window once (`rader_ir.train.idcm_teacher`); what is trained is small, so that a CPU
suffices. No labels are needed: any query with any document is a lesson, if the document has more windows than are to be read.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.examples import Example
from rader_ir.idcm import STRONG, Embed, IDCMConfig, Selector, choose, embedder, select_scores, write_idcm
from rader_ir.seeded import shuffled
from rader_ir.train import losses, sampling
from rader_ir.train.card import data_facts, run_facts
from rader_ir.train.groups import TEACHER
from rader_ir.train.idcm_settings import RECALL, IDCMOptions, Start
from rader_ir.train.idcm_teacher import Lesson, lessons
from rader_ir.train.models import open_base
from rader_ir.train.reranker import GroupTrainer
from rader_ir.train.runtime import ROWS, Promises, arguments, finish, fit, open_together, processes, weights_of

INPUTS, COUNTS = "inputs", "counts"  # of a batch, see `read`
_PREFIX = "selector."

SelectorLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def dimension_of(embed: Embed, device: torch.device | str) -> int:
    """Numbers of an embedding."""
    return embed(torch.zeros((1, 1), dtype=torch.int64, device=device)).shape[-1]


def gains(teacher: torch.Tensor, most: int) -> torch.Tensor:
    """most, most - 1, ..., 1 for the highest of a teacher's scores [1, n], the first of equal ones before the others; else 0.

    >>> gains(torch.tensor([[0.3, -2.0, 7.0, 0.3]]), 3).tolist()
    [[2.0, 0.0, 3.0, 1.0]]
    """
    place = teacher.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (most - place).clamp(min=0).float()


def loss_of(name: str, passages: int) -> SelectorLoss:
    """The loss of one document's windows: the selector's scores and the teacher's, both [1, n], to a scalar.

    Args:
        name: `ndcg2` (gains for the teacher's best `passages`), `ranknet` (its order of every two), `cross_entropy` (its softmax)
            or `mse` (its scores).
        passages: windows that are to be read.
    """
    if name == "ndcg2":
        return lambda scores, teacher: losses.ndcg_loss2(scores, gains(teacher, passages))
    if name == "cross_entropy":
        return lambda scores, teacher: losses.soft_cross_entropy(scores, teacher.softmax(dim=1))
    return {"ranknet": losses.ranknet, "mse": functional.mse_loss}[name]


class Windows(nn.Module):
    """The selector over embeddings that it neither holds nor changes."""

    def __init__(self, selector: Selector, embed: Embed):
        super().__init__()
        self.selector, self.embed = selector, embed

    def forward(
        self,
        queries: torch.Tensor,
        query_mask: torch.Tensor,
        windows: torch.Tensor,
        window_mask: torch.Tensor,
        owner: torch.Tensor,
    ) -> torch.Tensor:
        """Scores [W] of windows [W, T] for the queries [q, Q] at `owner` [W]."""
        asked = self.selector.states(self.embed(queries), query_mask)
        return self.selector(asked[owner], query_mask[owner], self.selector.states(self.embed(windows)), window_mask)


class WindowLoss(GroupTrainer):
    """`GroupTrainer` over lists of windows, each of its own length."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """This batch's share of the mean over the step's documents."""
        sizes = inputs[COUNTS].tolist()
        lists = zip(model(**inputs[INPUTS]).split(sizes), inputs[TEACHER].split(sizes), strict=True)
        return sum(self.loss(scores[None], told[None]) for scores, told in lists) / num_items_in_batch


class SelectorTrainer(Promises, WindowLoss):
    """`WindowLoss` with the promises of a run."""


def read(taught: Sequence[Lesson], rows: list[int]) -> dict:
    """The batch of some rows, of which row r is lesson r mod n.

    Returns:
        `rows`: int64 [q]. `inputs`: as `Windows` takes them. `counts`: int64 [q], windows of each. `teacher`: float32 [W].
    """
    chosen = [taught[row % len(taught)] for row in rows]
    queries = [torch.tensor(lesson.query) for lesson in chosen]
    counts = torch.tensor([len(lesson.scores) for lesson in chosen])
    inputs = {
        "queries": pad_sequence(queries, batch_first=True),
        "query_mask": pad_sequence([torch.ones(len(ids), dtype=torch.bool) for ids in queries], batch_first=True),
        "windows": torch.from_numpy(np.concatenate([lesson.ids for lesson in chosen])),
        "window_mask": torch.from_numpy(np.concatenate([lesson.mask for lesson in chosen])),
        "owner": torch.arange(len(chosen)).repeat_interleave(counts),
    }
    teacher = torch.from_numpy(np.concatenate([lesson.scores for lesson in chosen]))
    return {ROWS: torch.tensor(rows), INPUTS: inputs, COUNTS: counts, TEACHER: teacher}


def recall(
    taught: Sequence[Lesson], selector: Selector, embed: Embed, config: IDCMConfig, device: torch.device
) -> float:
    """The mean share of the teacher's `best` windows among the `passages` that the selector chooses."""
    docs = [(lesson.ids, lesson.mask) for lesson in taught]
    pairs = [(i, i) for i in range(len(taught))]
    found = select_scores(selector, embed, [lesson.query for lesson in taught], docs, pairs, device)
    shares = []
    for lesson, scores in zip(taught, found, strict=True):
        wanted = choose(lesson.scores, config.best)
        shares.append(len({*wanted.tolist()} & {*choose(scores, config.passages).tolist()}) / len(wanted))
    return float(np.mean(shares))


def train(
    options: IDCMOptions,
    start: Start,
    examples: Sequence[Example],
    out: Path,
    *,
    kept: str | Path,
    dev: Sequence[Example],
    about: Mapping[str, object] | None,
    verbose: bool,
) -> Path:
    """Step 3 of `rader_ir.train.idcm.train_idcm`, whose arguments these are; `kept` is the file of the teacher's scores."""
    if not examples:
        raise ValueError("there are no examples to train on")
    base = open_base(options.strong(start.config.strong), "score")
    facts = run_facts("idcm", options, base, {"train": data_facts(examples), "dev": data_facts(dev)}, about)
    run = open_together(out, facts)
    opened = dict(revision=options.revision, forms=options.forms, device=str(processes().device), verbose=verbose)
    strong = CrossEncoder(start.config.strong, **opened)
    taught = lessons(pairs_of(examples, options), strong, start.config, kept)
    measured = lessons(pairs_of(dev, options), strong, start.config, kept)
    if not taught:
        raise ValueError(
            f"no document has more than {start.config.passages} windows of {start.config.core} tokens, so that there is nothing "
            "to choose; lower passages or core, or train on longer documents"
        )
    loaded = strong.open()
    embed = embedder(loaded.model)
    selector, weights = start.light(dimension_of(embed, loaded.device), options.seed)
    trainer = selector_trainer(
        options, start.config, selector.to(loaded.device), embed, taught, measured, run=run, verbose=verbose
    )
    step = fit(trainer, run)

    def write(folder: Path) -> None:
        trained = {name.removeprefix(_PREFIX): tensor for name, tensor in weights_of(run, step).items()}
        selector.load_state_dict(trained)
        if start.strong_inside:
            shutil.copytree(start.config.strong, folder / STRONG)
        place = Path(start.config.strong).expanduser()
        named = str(place.absolute()) if place.is_dir() else start.config.strong
        write_idcm(
            folder, start.inside() if start.strong_inside else replace(start.config, strong=named), selector, weights
        )

    return finish(run, trainer, base, facts, step, write)


def pairs_of(examples: Sequence[Example], options: IDCMOptions) -> list[tuple[str, str, str]]:
    """(query_id, query, document) of a positive and the negatives of each example, the same in every epoch."""
    made = []
    for example in examples:
        most = min(options.negatives, len(example.negatives))
        positive, negatives = sampling.choose(example, seed=options.seed, epoch=0, negatives=most)
        made += [(example.query_id, example.query, passage.text) for passage in (positive, *negatives)]
    return made


def selector_trainer(
    options: IDCMOptions,
    config: IDCMConfig,
    selector: Selector,
    embed: Embed,
    taught: Sequence[Lesson],
    dev: Sequence[Lesson],
    *,
    run,
    verbose: bool,
) -> SelectorTrainer:
    """The trainer of a selector on lessons, measured on others where there are some."""
    rows = [
        epoch * len(taught) + place
        for epoch in range(options.epochs)
        for place in shuffled(range(len(taught)), options.seed, epoch, "order")
    ]
    batches = [rows[start : start + options.batch_size] for start in range(0, len(rows), options.batch_size)]
    own = replace(options, learning_rate=options.selector_learning_rate, precision="float32")
    model = Windows(selector, embed)
    device = next(selector.parameters()).device

    def measure() -> dict[str, float]:
        return {RECALL: recall(dev, selector, embed, config, device)}

    return SelectorTrainer(
        model=model,
        args=arguments(own, run, len(batches)),
        loss=loss_of(options.loss, config.passages),
        group=0,
        run=run,
        options=own,
        batches=batches,
        read=partial(read, taught),
        name=lambda row: repr(taught[row % len(taught)].name),
        measure=measure if dev else None,
        verbose=verbose,
    )
