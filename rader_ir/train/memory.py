"""Every document of a source as a candidate of each of its queries, for the cost of a small batch.

Documents that stand in the batch are read with gradients; all others are represented by the vectors that they had when they were
read last (cross-batch memory, Wang et al., arXiv:1912.06798), at first by the starting model's. All positives of a query are
known among the candidates, so none of them is taken for a negative, and a teacher's scores can share in the target. This
suits collections of some thousands of documents on a machine where large batches are dear.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rader_ir.examples import Example, excluded_ids, source
from rader_ir.guards import statement
from rader_ir.prompts import fill
from rader_ir.train import losses, sampling
from rader_ir.train.dev import pad
from rader_ir.train.models import Base
from rader_ir.train.pairs import by_length
from rader_ir.train.runtime import ROWS, Diverged
from rader_ir.train.settings import RetrieverOptions

LABEL = "label"  # where sentence-transformers' trainer looks for what a loss takes beside the texts


class Memory(nn.Module):
    """The loss of a batch against all documents of its source, as sentence-transformers' trainer calls it.

    Args:
        model: features to `sentence_embedding`, unit vectors.
        size: number of documents.
        width: of a vector.
        temperature: cosines are divided by it.
    """

    def __init__(self, model: nn.Module, size: int, width: int, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature
        self.register_buffer("vectors", torch.zeros(size, width))

    def forward(self, features: list[dict], label: dict) -> torch.Tensor:
        """The mean cross-entropy of the batch's queries; remembers its documents' vectors.

        Args:
            features: the batch's parts, each `input_ids` and `attention_mask`, int64 [n, T], q queries and d documents in all.
            label: as `MemoryGroups.read` gives it.
        """
        made = torch.cat([self.model(part)["sentence_embedding"] for part in features]).float()[label["order"]]
        places = label["places"]
        queries, documents = made[: -len(places)], made[-len(places) :]
        with torch.autocast(made.device.type, enabled=False):
            candidates = self.vectors[label["candidates"]].index_copy(0, places, documents)
            scores = queries @ candidates.T / self.temperature
        loss = losses.soft_cross_entropy(scores.masked_fill(label["out"], -torch.inf), label["targets"])
        if torch.isfinite(loss):  # what stops a run must not spoil the state that it leaves
            self.vectors[label["candidates"][places]] = documents.detach()
        return loss


@dataclass(frozen=True)
class _Target:
    """What one example asks for among its source's documents, by their places there."""

    right: list[int]
    taught: list[int]  # those with a teacher's score
    scores: list[float]
    out: list[int]


class Documents:
    """The documents of all examples by source, and each example's target among those of its own.

    A text is one document, whatever its ids are and however many sources have it. A query's candidates are all documents of
    its source but those that its example excludes, those that state what the query states, of which a query is often made, and
    those that answer an equal query elsewhere in the source.

    Attributes:
        texts: of all documents, each once.
        members: {source: int64, which of `texts` are its documents}.

    Args:
        examples: all of them.

    Raises:
        ValueError: a source with fewer than two documents.
    """

    def __init__(self, examples: Sequence[Example]):
        self.sources = [source(example) for example in examples]
        places: dict[str, dict[str, int]] = {}
        ids: dict[str, dict[str, set[int]]] = {}
        for name, example in zip(self.sources, examples, strict=True):
            texts, known = places.setdefault(name, {}), ids.setdefault(name, {})
            for passage in (*example.positives, *example.negatives):
                known.setdefault(passage.doc_id, set()).add(texts.setdefault(passage.text, len(texts)))
        for name, texts in places.items():
            if len(texts) < 2:
                raise ValueError(
                    f"source {name!r} has a single document, so that there is nothing to tell it from; leave its examples out"
                )
        self.places = places
        number: dict[str, int] = {}
        self.members = {
            name: torch.tensor([number.setdefault(text, len(number)) for text in texts])
            for name, texts in places.items()
        }
        self.texts = list(number)
        self._ids = ids
        self._stated = {name: _by_statement(texts) for name, texts in places.items()}
        self._answers: dict[tuple[str, str], set[int]] = {}
        for name, example in zip(self.sources, examples, strict=True):
            answers = self._answers.setdefault((name, example.query), set())
            answers |= {places[name][passage.text] for passage in example.positives}
        self.targets = [self._target(name, example) for name, example in zip(self.sources, examples, strict=True)]

    def _target(self, name: str, example: Example) -> _Target:
        texts, ids = self.places[name], self._ids[name]
        right = [texts[passage.text] for passage in example.positives]
        scored = [passage for passage in (*example.positives, *example.negatives) if passage.score is not None]
        out = {place for doc_id in excluded_ids(example) for place in ids.get(doc_id, ())}
        out |= {*self._stated[name].get(statement(example.query), ()), *self._answers[name, example.query]}
        taught = {texts[passage.text]: passage.score for passage in scored if texts[passage.text] not in out - {*right}}
        return _Target(sorted(set(right)), list(taught), list(taught.values()), sorted(out - {*right}))

    def tables(self, rows: Sequence[int], label_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Targets, float32, and which candidates are out, bool, both [q, documents of the source], of examples of one source.

        A row's target is `label_weight` spread over its positives, and the rest as the softmax of its teacher's scores; where
        there are none, its positives have it all.
        """
        size = len(self.places[self.sources[rows[0]]])
        targets, out = torch.zeros(len(rows), size), torch.zeros(len(rows), size, dtype=torch.bool)
        for row, place in enumerate(rows):
            target = self.targets[place]
            share = label_weight if target.taught else 1.0
            targets[row, target.right] += share / len(target.right)
            if target.taught:
                targets[row, target.taught] += (1 - share) * torch.tensor(target.scores).softmax(dim=0)
            out[row, target.out] = True
        return targets, out


class MemoryGroups:
    """Rows to the texts of a batch, whose queries are of one source, and where they stand among its documents.

    Args:
        examples: rows are theirs, as `sampling.taken` reads them.
        base: whose text path writes and tokenises them.
        options: the number of negatives that are read with gradients, the weight of labels and the seed.
    """

    def __init__(self, examples: Sequence[Example], base: Base, options: RetrieverOptions):
        self.examples, self.tokens, self.options = examples, base.tokens, options
        self.documents = Documents(examples)

    def name(self, row: int) -> str:
        """The query_id of a row."""
        return sampling.row_name(self.examples, row)

    def read(self, rows: list[int]) -> dict:
        """The batch of q rows with d distinct documents.

        Returns:
            `rows`; `part<i>_input_ids` and `part<i>_attention_mask`: queries and documents by length; `label`: `order`, int64
            [q + d], where queries, then documents, are in the parts; `candidates`, int64 [c], the source's documents among
            all; `places`, int64 [d], which of these are read; `targets` and `out` as of `Documents.tables`.
        """
        queries, docs, here = [], {}, [row % len(self.examples) for row in rows]
        checkpoint, name = self.tokens.checkpoint, self.documents.sources[here[0]]
        places = self.documents.places[name]
        wanted = {"seed": self.options.seed, "negatives": self.options.negatives}
        for row in rows:
            example, positive, others = sampling.taken(self.examples, row, **wanted)
            queries.append(fill(checkpoint.query_form, instruction="", text=example.query))
            docs |= {places[p.text]: fill(checkpoint.doc_form, text=p.text) for p in (positive, *others)}
        ids = [*self.tokens.texts(queries, checkpoint.max_query_length).rows]
        ids += self.tokens.texts(list(docs.values()), checkpoint.max_doc_length).rows
        parts, order = by_length([len(each) for each in ids], len(ids))
        targets, out = self.documents.tables(here, self.options.label_weight)
        batch: dict = {ROWS: torch.tensor(rows)}
        for i, part in enumerate(parts):
            padded = pad([ids[place] for place in part], self.tokens.tokenizer.pad_token_id)
            batch |= {f"part{i}_{key}": tensor for key, tensor in padded.items()}
        batch[LABEL] = {
            "order": order,
            "places": torch.tensor(list(docs)),
            "candidates": self.documents.members[name],
            "targets": targets,
            "out": out,
        }
        return batch


def remember(memory: Memory, documents: Documents, encode: Callable[[list[str], str], np.ndarray]) -> None:
    """Fill a memory with the vectors that the starting model gives.

    Args:
        memory: of all documents.
        documents: their texts.
        encode: texts and `document`, to unit vectors [n, d].

    Raises:
        Diverged: vectors that are no numbers; names the documents.
    """
    vectors = torch.from_numpy(encode(documents.texts, "document"))
    if bad := [documents.texts[place] for place in (~vectors.isfinite().all(dim=1)).nonzero()[:, 0].tolist()]:
        raise Diverged(
            f"the starting model gives no numbers for {len(bad)} of {len(vectors)} documents, first {bad[0][:60]!r}; look at "
            "these texts, and at the checkpoint"
        )
    with torch.no_grad():
        memory.vectors.copy_(vectors)


def plan(examples: Sequence[Example], options: RetrieverOptions, processes: int) -> list[list[int]]:
    """Rows of the batches, epoch after epoch, each of one source.

    Raises:
        ValueError: several devices, which would each remember something else; or examples without negatives where some are
            wanted.
    """
    if processes > 1:
        raise ValueError(
            f"option memory trains on one device, and this run has {processes}; start it on one, or train without memory "
            "in larger batches"
        )
    sampling.check_negatives(examples, options.negatives)
    made = [
        [epoch * len(examples) + place for place in batch]
        for epoch in range(options.epochs)
        for batch in sampling.source_batches(
            examples, seed=options.seed, epoch=epoch, batch_size=options.batch_size, shares=options.shares
        )
    ]
    sampling.check_planned(made, options.shares, options.epochs)
    return made


def _by_statement(texts: dict[str, int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for text, place in texts.items():
        found.setdefault(statement(text), []).append(place)
    return found
