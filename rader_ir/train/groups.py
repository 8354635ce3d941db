"""Groups of candidates: what a reranker learns from and is measured on (RaDeR, arXiv:2505.18405, section 3.2).

A group is a query with one of its positives and some of its negatives, different ones in each epoch. Groups share nothing with
each other, so a step's loss depends on its queries alone and not on how they were cut into batches.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rader_ir.evaluation import evaluate
from rader_ir.examples import Example, Passage
from rader_ir.runs import Qrels
from rader_ir.tokens import TextTokens
from rader_ir.train import sampling
from rader_ir.train.pairs import by_length, pair_ids, pair_inputs
from rader_ir.train.runtime import ROWS
from rader_ir.train.settings import TAUGHT, RerankerOptions

PIECES, ORDER, TEACHER = "pieces", "order", "teacher"  # of a batch, see `Groups.read`


class Groups:
    """Rows to batches: groups of 1 + n candidates, the positive first.

    Args:
        examples: rows are theirs, as `sampling.taken` reads them.
        tokens: the text path of the base.
        options: number of negatives, seed, loss.
    """

    def __init__(self, examples: Sequence[Example], tokens: TextTokens, options: RerankerOptions):
        self.examples, self.tokens, self.options = examples, tokens, options

    def name(self, row: int) -> str:
        """The query_id of a row."""
        return sampling.row_name(self.examples, row)

    def candidates(self, row: int) -> list[Passage]:
        """A row's positive and its negatives."""
        wanted = {"seed": self.options.seed, "negatives": self.options.negatives}
        _, positive, negatives = sampling.taken(self.examples, row, **wanted)
        return [positive, *negatives]

    def read(self, rows: list[int]) -> dict:
        """The batch of q rows, as the trainer takes it.

        Returns:
            `rows`: int64 [q]. `pieces`: the q * n pairs in parts of similar length, each as `pairs.pair_inputs` gives it.
            `order`: int64 [q * n], where in the pieces each pair is, group by group. `teacher`: float32 [q, n], if the loss
            asks for it.
        """
        groups = [self.candidates(row) for row in rows]
        queries = [self.examples[row % len(self.examples)].query for row in rows]
        pairs = [(query, passage.text) for query, group in zip(queries, groups, strict=True) for passage in group]
        ids = pair_ids(self.tokens, *zip(*pairs, strict=True))
        # equally many on every device: some kinds of distributed training take each forward pass together
        parts, order = by_length(ids.lengths, len(groups[0]))
        pad_id = self.tokens.tokenizer.pad_token_id
        batch = {ROWS: torch.tensor(rows), PIECES: [pair_inputs(ids, part, pad_id) for part in parts]}
        batch[ORDER] = order
        if self.options.loss in TAUGHT:
            batch[TEACHER] = torch.tensor([[passage.score for passage in group] for group in groups])
        return batch


def plan(examples: Sequence[Example], options: RerankerOptions, processes: int) -> list[list[int]]:
    """Rows of each device's batches: of n devices the first reads the first of every n batches.

    Each epoch has an order of its own, by the seed, and the next one follows without a gap, so that a step's queries depend on
    `batch_size` times `accumulation` alone. The last step may have fewer; examples that do not suffice for one on each device
    are left out.

    Raises:
        ValueError: a batch that does not split evenly among devices.
    """
    size = options.batch_size
    if size % processes:
        raise ValueError(f"batch_size {size} does not split among {processes} devices; give a multiple")
    rows = [
        epoch * len(examples) + place
        for epoch in range(options.epochs)
        for place in sampling.order(examples, seed=options.seed, epoch=epoch, shares=options.shares)
    ]
    sampling.check_planned(rows, options.shares, options.epochs)
    whole = [rows[start : start + size] for start in range(0, len(rows), size)]
    parts = [part.tolist() for batch in whole if len(batch) >= processes for part in np.array_split(batch, processes)]
    if not parts:
        raise ValueError(f"{len(examples)} examples are fewer than the {processes} devices that are to share them")
    return parts


class Candidates:
    """Queries, their candidates and judgements: a reranker is measured on ranking each example's own passages.

    Args:
        examples: each gives a query, its relevant documents, and others.

    Raises:
        ValueError: no example has a document that is not relevant, so that any ranking is right.
    """

    def __init__(self, examples: Sequence[Example]):
        if not any(example.negatives for example in examples):
            raise ValueError(
                "the development examples have no negatives, so that there is nothing to rank; mine some with `rader mine`"
            )
        self.pairs = [
            (example, passage) for example in examples for passage in (*example.positives, *example.negatives)
        ]
        self.qrels: Qrels = {
            example.query_id: {passage.doc_id: 1 for passage in example.positives} for example in examples
        }

    def texts(self) -> tuple[list[str], list[str]]:
        """The queries and the documents of all pairs."""
        return [example.query for example, _ in self.pairs], [passage.text for _, passage in self.pairs]

    def measure(self, scores: np.ndarray, measure: str) -> dict[str, float]:
        """{measure: mean over the queries} by a score for each pair."""
        run: dict[str, dict[str, float]] = {}
        for (example, passage), score in zip(self.pairs, scores.tolist(), strict=True):
            run.setdefault(example.query_id, {})[passage.doc_id] = score
        return evaluate(run, self.qrels, measure)


def check_examples(examples: Sequence[Example], options: RerankerOptions) -> None:
    """Raise ValueError where examples lack what the options ask for: negatives, or scores to learn from."""
    if not examples:
        raise ValueError("there are no examples to train on")
    sampling.check_negatives(examples, options.negatives)
    if options.loss not in TAUGHT:
        return
    unscored = [
        (example.query_id, passage.doc_id)
        for example in examples
        for passage in (*example.positives, *example.negatives)
        if passage.score is None
    ]
    if unscored:
        query_id, doc_id = unscored[0]
        raise ValueError(
            f"loss {options.loss!r} learns from a teacher's scores, and {len(unscored)} passages have none (first: document "
            f"{doc_id!r} of query {query_id!r}); give each passage a score, leave such examples out, or choose loss 'softmax'"
        )
