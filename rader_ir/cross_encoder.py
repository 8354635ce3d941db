"""Cross-encoder: one score per query and document read together (RaDeR, arXiv:2505.18405, section 3).

A decoder reads `query: {q} document: {d}` and its end token; a linear head on that token's state gives the score, higher is
better. The state is taken where the mask ends, not where a padding id is looked for, since gte-Qwen2's end token is its padding
token and the library's own heads then read the wrong place. BERT-likes read the pair their tokenizer's way. Of a language model
that is to answer by 1 or 0 the two logits are the score (`rader_ir.choice`); no others are computed.
"""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from rader_ir import loading
from rader_ir.checkpoints import DEFAULT_RERANKER, Checkpoint, check_length
from rader_ir.choice import answer_ids, direction
from rader_ir.packed import Pack
from rader_ir.packed.padded import padded
from rader_ir.text_model import TextModel, check_texts
from rader_ir.tokens import Ids, ahead, for_each_batch, portions


class CrossEncoder(TextModel):
    """Scores of documents for queries. Nothing is loaded or downloaded before the first pair.

    Args:
        checkpoint: a name, a folder, a hub id or a `Checkpoint`, with a head of one label.
        device, dtype, batch_tokens, forms, revision, verbose: as `Encoder`.
        max_length: tokens of query and document together, in place of the checkpoint's `max_doc_length`; the document is
            cut, and of the query what is beyond three quarters of it.
        instruction: put where the form has `{instruction}`.

    Raises:
        ValueError, FileNotFoundError: an unknown checkpoint or option (now), or files that cannot be had (at the first pair).
    """

    head = "score"

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT_RERANKER,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int | None = None,
        max_length: int | None = None,
        instruction: str = "",
        forms: str | None = None,
        revision: str | None = None,
        verbose: bool = False,
    ):
        super().__init__(
            checkpoint,
            device=device,
            dtype=dtype,
            batch_tokens=batch_tokens,
            instruction=instruction,
            forms=forms,
            revision=revision,
            verbose=verbose,
        )
        if max_length is not None:
            check_length(max_length, "max_length")
        self.max_length = max_length

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores of each query's documents: one float32 array [len(docs[i])] per query, in the order given.

        Batches cross queries; equal pairs are scored once.

        Args:
            queries: n texts.
            docs: n lists of texts, each of any length, none included.

        Raises:
            ValueError: lists that do not fit each other, or an instruction that leaves no room for query and document.
        """
        if len(queries) != len(docs):
            raise ValueError(
                f"{len(queries)} queries were given with {len(docs)} lists of documents; give one list for each"
            )
        check_texts(queries, "query")
        for texts in docs:
            check_texts(texts, "document")
        scores: dict[str, dict[str, float]] = {}
        for query, texts in zip(queries, docs, strict=True):
            scores.setdefault(query, {}).update(dict.fromkeys(texts, 0.0))
        pairs = [(query, doc) for query, texts in scores.items() for doc in texts]
        for (query, doc), score in zip(pairs, self._score_pairs(pairs) if pairs else [], strict=True):
            scores[query][doc] = score
        return [
            np.array([scores[query][doc] for doc in texts], dtype=np.float32)
            for query, texts in zip(queries, docs, strict=True)
        ]

    def score_ids(self, queries: Sequence[Hashable], ids: Ids) -> np.ndarray:
        """Scores, float32 [n], of pairs that are token ids already, special ones included, none longer than the model reads.

        Args:
            queries: whatever is equal for pairs of one query; these lie side by side.
            ids: of the n pairs.
        """
        loaded, scores = self.open(), np.full(len(queries), np.nan, dtype=np.float32)
        if len(queries):
            with tqdm(total=len(queries), desc="rerank", unit="pair", disable=not self.verbose) as progress:
                _score_part(loaded, queries, ids, scores, self._budget(loaded), progress.update)
            self._note(ids)
        return scores

    def describe(self) -> dict:
        """What makes these scores what they are; fetches the files, loads no weights."""
        settled = self.settled()
        max_length = self._length(self.max_length, settled.max_doc_length, "max_length")
        facts = {"pair_form": settled.pair_form, "max_length": max_length}
        for name in ("pair_query_tokens", "pair_doc_tokens"):
            if getattr(settled, name) is not None:
                facts[name] = getattr(settled, name)
        return {**super().describe(), **facts}

    def _score_pairs(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        """Scores, float32 [n], of pairs that lie query by query."""
        loaded = self.open()
        max_length = self._length(self.max_length, self.checkpoint.max_doc_length, "max_length")
        scores, budget, start, truncated = np.full(len(pairs), np.nan, dtype=np.float32), self._budget(loaded), 0, 0
        parts = (list(zip(*pairs[part], strict=True)) for part in _portions(pairs))
        tokenised = ((part[0], self._tokens.pairs(*part, self.instruction, max_length)) for part in parts)
        with tqdm(total=len(pairs), desc="rerank", unit="pair", disable=not self.verbose) as progress:
            for queries, ids in ahead(tokenised):
                filled = scores[start : start + len(queries)]
                budget = _score_part(loaded, queries, ids, filled, budget, progress.update)
                self._note(ids)
                start, truncated = start + len(queries), truncated + ids.truncated
        self._count(truncated, len(pairs), "pairs", max_length)
        return scores


def _score_part(
    loaded: loading.Loaded, queries: Sequence[Hashable], ids: Ids, scores: np.ndarray, budget: int, done
) -> int:
    """Fill `scores` [n], NaN so far, of pairs that lie query by query; returns the budget that fitted into memory."""
    head, on_cpu = _head(loaded), loaded.device.type == "cpu"
    way = loaded.engine.way_for(int(ids.lengths.max()))
    groups = _groups(queries)
    shared = np.array([_shared(ids.rows[group]) if way.continues else 0 for group in groups])

    @torch.inference_mode()
    def step(batch: np.ndarray) -> None:
        """Read the prefixes of some queries, then the rest of their pairs."""
        nonlocal budget
        rows = [ids.rows[groups[i].start][: shared[i]] for i in batch if shared[i]]
        known = way.prefixes(Pack(rows, loaded.device, fill=on_cpu)) if rows else None
        sizes = [groups[i].stop - groups[i].start for i in batch]
        places = np.concatenate([np.arange(groups[i].start, groups[i].stop) for i in batch])
        offsets = np.repeat(shared[batch], sizes)
        belongs = np.repeat(np.where(shared[batch] > 0, np.cumsum(shared[batch] > 0) - 1, -1), sizes)
        waiting = np.isnan(scores[places])  # the others were scored before memory ran out
        places, offsets, belongs = places[waiting], offsets[waiting], belongs[waiting]

        def score(part: np.ndarray) -> None:
            rest = [ids.rows[places[i]][offsets[i] :] for i in part]
            types = None if ids.segments is None else [ids.segments[places[i]] for i in part]
            pack = Pack(rest, loaded.device, types=types, prefixes=belongs[part], offsets=offsets[part], fill=on_cpu)
            scores[places[part]] = head(way, pack, known).float().cpu().numpy()

        try:
            budget = for_each_batch(ids.lengths[places] - offsets, budget, score, done)
        except MemoryError as error:
            if len(batch) == 1:
                raise
            raise torch.OutOfMemoryError("out of memory beside the prefixes of several queries") from error

    for_each_batch(np.maximum(shared, 1), budget, step)
    return budget


def _portions(pairs: list[tuple[str, str]]) -> Iterator[slice]:
    """`portions` of pairs that lie query by query; where letters set the bounds, these lie between queries."""
    letters = np.array([len(query) + len(doc) for query, doc in pairs])
    groups = _groups([query for query, _ in pairs])
    for whole in portions([int(letters[group].sum()) for group in groups]):
        start, stop = groups[whole][0].start, groups[whole][-1].stop
        for part in portions(letters[start:stop].tolist()):
            yield slice(start + part.start, start + part.stop)


def _groups(queries: Sequence[Hashable]) -> list[slice]:
    """Where each run of equal queries lies."""
    edges = [i for i in range(len(queries)) if not i or queries[i] != queries[i - 1]] + [len(queries)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _shared(rows: list[list[int]]) -> int:
    """How many first ids all rows have in common, one id of each left over; 0 for a single row, which has nobody to share with.

    Ids are compared, not texts: whatever a tokenizer does where query and document meet, each row is read as it is.
    """
    if len(rows) == 1:
        return 0
    low, high = min(rows), max(rows)  # all others lie between them and share what these two share
    limit = min(map(len, rows)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), limit)


def _head(loaded: loading.Loaded) -> Callable[..., torch.Tensor]:
    """What makes scores [n] of a way, a pack and its prefixes."""
    model = loaded.model
    if loaded.checkpoint.head == "choice":
        towards = direction(model, answer_ids(loaded.tokenizer))
        return lambda way, pack, known: way.pooled(pack, "last", known).float() @ towards
    if hasattr(model, "score"):
        return lambda way, pack, known: model.score(way.pooled(pack, "last", known))[:, 0]
    if model.config.model_type == "bert":
        return lambda way, pack, _: model.classifier(model.base_model.pooler(way.pooled(pack, "first")[:, None]))[:, 0]
    # other BERT-likes read their own heads
    return lambda way, pack, _: model(**padded(pack, model.config.pad_token_id)).logits[:, 0]
