"""The development set of a retriever: its queries are searched among the passages of all of them, with the model as it is.

What is judged relevant are an example's positives. Every measurement reads the same texts by the text path of serving; with
several devices each reads its share.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from accelerate.utils import gather_object

from rader_ir.evaluation import evaluate
from rader_ir.examples import Example, excluded_ids
from rader_ir.prompts import fill
from rader_ir.runs import Qrels
from rader_ir.tokens import TextTokens, for_each_batch

DEPTH = 1000  # documents per query that are measured


class DevSet:
    """Queries, documents and judgements.

    Args:
        examples: each gives a query, its relevant documents, and others.
        docs: further (doc_id, text) to look among.

    Raises:
        ValueError: a doc_id with two texts.
    """

    def __init__(self, examples: Sequence[Example], docs: Iterable[tuple[str, str]] = ()):
        self.queries = {example.query_id: example.query for example in examples}
        self.qrels: Qrels = {
            example.query_id: {passage.doc_id: 1 for passage in example.positives} for example in examples
        }
        self.excluded = {example.query_id: excluded_ids(example) for example in examples}
        self.docs: dict[str, str] = {}
        passages = ((p.doc_id, p.text) for example in examples for p in (*example.positives, *example.negatives))
        for doc_id, text in (*passages, *docs):
            if self.docs.setdefault(doc_id, text) != text:
                raise ValueError(
                    f"document {doc_id!r} of the development set has two texts, {self.docs[doc_id][:40]!r} and {text[:40]!r}; "
                    "give each text an id of its own"
                )

    def measure(self, encode: Callable[[list[str], str], np.ndarray], measure: str) -> Mapping[str, float]:
        """{measure: mean over the queries}.

        Args:
            encode: texts and `query` or `document`, to unit vectors [n, d].
            measure: as ir-measures names it.
        """
        vectors = encode(list(self.docs.values()), "document")
        scores = encode(list(self.queries.values()), "query") @ vectors.T
        doc_ids = np.array(list(self.docs), dtype=object)
        run = {}
        for query_id, row in zip(self.queries, scores, strict=True):
            excluded = self.excluded[query_id]
            best = np.argsort(-row, kind="stable")[: DEPTH + len(excluded)]
            ranked = ((doc_ids[i], float(row[i])) for i in best if doc_ids[i] not in excluded)
            run[query_id] = dict(islice(ranked, DEPTH))
        return evaluate(run, self.qrels, measure)


def encode_live(
    forward: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    tokens: TextTokens,
    texts: list[str],
    kind: str,
    *,
    device: torch.device,
    process: int = 0,
    processes: int = 1,
) -> np.ndarray:
    """Vectors of texts by the model that is being trained, float32 [n, d], in their order.

    Args:
        forward: `input_ids` and `attention_mask` to vectors.
        tokens: the text path.
        texts: bare ones.
        kind: `query` or `document`.
        device: of the model.
        process, processes: with several, each reads every n-th text, and all get all.
    """
    checkpoint = tokens.checkpoint
    form, length = (
        (checkpoint.query_form, checkpoint.max_query_length)
        if kind == "query"
        else (checkpoint.doc_form, checkpoint.max_doc_length)
    )
    share = [fill(form, instruction="", text=text) for text in texts[process::processes]]
    ids = tokens.texts(share, length) if share else None
    found: dict[int, np.ndarray] = {}

    def step(batch: np.ndarray) -> None:
        inputs = pad([ids.rows[i] for i in batch], tokens.tokenizer.pad_token_id)
        vectors = forward({name: tensor.to(device) for name, tensor in inputs.items()})
        found.update(zip(batch.tolist(), vectors.float().cpu().numpy(), strict=True))

    if ids is not None:
        for_each_batch(ids.lengths, 2048 if device.type == "cpu" else 16384, step)
    mine = [(process + place * processes, vector) for place, vector in found.items()]
    every = dict(gather_object(mine) if processes > 1 else mine)
    return np.stack([every[i] for i in range(len(texts))])


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, int64 [n, T], padded on the right."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}
