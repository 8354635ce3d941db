"""ICR: in-context reranking by attention (arXiv:2410.02642). All documents stand in one prompt; where the search looks decides.

Nothing is generated: documents are read once, then the search and, in its place, one that says nothing ("N/A"). What that one
attends to is taken off, since it goes by places and not by meaning; a document's score is the sum of the rest on its tokens
(section 3). One forward over all documents and two short ones per query, against a call per window where models write orders.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.orderings import sliding_window
from rader_ir.prompts import load_prompts
from rader_ir.rerank.comparison import check_lists
from rader_ir.rerank.icr_text import LEAST, NEUTRAL, Text, Wording, check_prompt, fitting
from rader_ir.rerank.ranking import Ranking, Statistics, falling

if TYPE_CHECKING:
    from rader_ir.attention import AttentionReader

DEFAULT = "mistralai/Mistral-7B-Instruct-v0.2"  # one of the paper's two
METHODS = ("ie", "qa", "bare")
UNBOUNDED = 10**9  # tokens, where neither the model nor the user says how many it reads


class ICR:
    """Scores by attention: a document's is its share of what the search looks at, so they compare within one query only.

    Args:
        checkpoint: an instruct model, see `rader_ir.attention.AttentionReader`.
        method: the wording: "ie" (find what is of use for the search), "qa" (answer the question), "bare" (no task).
        chat: whether the model's chat template goes around it; None: if it has one.
        prompt: a TOML file of your own wording, laid out as `prompts/icr.toml`; None takes ours.
        calibrated: whether the attention of the neutral search is taken off.
        layers: (first, last + 1) of the layers that count; those behind are not computed (Selective-ICR, arXiv:2602.22591, takes
            four in the middle). None takes all.
        heads: pairs (layer, head) that count, in place of layers (CoRe heads, arXiv:2510.02219).
        passage_words, query_words: pieces kept of a document (the paper's 300) and of a query; None keeps what fits.
        context: tokens of a prompt at most; None takes what the model has positions for.
        window: documents of a prompt at most; None takes all that fit with `LEAST` tokens each. Where there are more, windows go
            from the end to the front and only their orders count: sums of different prompts do not compare.
        stride: documents from one window to the next; None takes half a window.
        revision, device, dtype: as `AttentionReader`.
        verbose: show progress.

    Attributes:
        truncated: documents cut so far.
        statistics: of the last call, one for each query.

    Raises:
        ValueError, FileNotFoundError: a setting out of range, an unknown name, a folder or file that is not there.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT,
        *,
        method: str = "ie",
        chat: bool | None = None,
        prompt: str | os.PathLike | None = None,
        calibrated: bool = True,
        layers: tuple[int, int] | None = None,
        heads: Sequence[tuple[int, int]] | None = None,
        passage_words: int | None = 300,
        query_words: int | None = None,
        context: int | None = None,
        window: int | None = None,
        stride: int | None = None,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        if method not in METHODS:
            raise ValueError(f"method {method!r} is unknown; choose {', '.join(map(repr, METHODS))}")
        sizes = dict(passage_words=passage_words, query_words=query_words, context=context, stride=stride)
        _check_sizes({**sizes, "window": window})
        check_choice(layers, heads)
        find_checkpoint(checkpoint, revision=revision)  # says at once what is no name
        self.checkpoint, self.method, self.chat, self.prompt = checkpoint, method, chat, prompt
        self.calibrated, self.layers, self.heads = calibrated, layers, heads
        self.passage_words, self.query_words, self.context = passage_words, query_words, context
        self.window, self.stride, self.verbose = window, stride, verbose
        self.revision, self.device, self.dtype = revision, device, dtype
        self._prompt = check_prompt(load_prompts(prompt, name="icr", sections=(method,))[method])
        self._model: AttentionReader | None = None
        self._wording: Wording | None = None
        self.truncated = 0
        self.statistics: list[Statistics] = []

    @property
    def model(self) -> "AttentionReader":
        """Whose attention is read; made, not loaded, when it is first asked for."""
        if self._model is None:
            from rader_ir.attention import AttentionReader  # here, so that making a reranker needs no torch

            given = dict(revision=self.revision, device=self.device, dtype=self.dtype)
            self._model = AttentionReader(self.checkpoint, layers=self.layers, heads=self.heads, **given)
        return self._model

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given: sums of attention, or n, n - 1, ..., 1 from windows.

        Args:
            queries: n texts.
            docs: n lists of texts, each in the order of an earlier ranking; the first stands nearest to the search.

        Raises:
            ValueError: numbers of queries and lists that differ, a context too small for two passages, or no finite numbers.
            FileNotFoundError: a model that cannot be had.
        """
        return [ranking.scores for ranking in self.rank(queries, docs)]

    def rank(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[Ranking]:
        """As `score`, with the order and what it cost; ties keep the order given."""
        check_lists(queries, docs)
        pairs = zip(queries, docs, strict=True)
        if self.verbose:
            from tqdm import tqdm

            pairs = tqdm(list(pairs), desc="rerank", unit="query")
        rankings = [self._ranked(query, texts) for query, texts in pairs]
        self.statistics = [ranking.statistics for ranking in rankings]
        self.truncated += sum(each.shortened for each in self.statistics)
        return rankings

    def _ranked(self, query: str, texts: Sequence[str]) -> Ranking:
        one, began = _Query(Statistics(), set()), time.perf_counter()
        scores = self._scores(query, texts, one) if texts else np.empty(0, dtype=np.float32)
        one.statistics.shortened = len(one.cut)
        one.statistics.seconds = time.perf_counter() - began
        return Ranking(best_first(scores), scores, [""] * len(texts), one.statistics)

    def _scores(self, query: str, texts: Sequence[str], one: "_Query") -> np.ndarray:
        wording = self._opened()
        kept = [wording.harmless(text, self.passage_words) for text in texts]
        if self.passage_words is not None:
            one.cut.update(i for i, text in enumerate(texts) if kept[i] != wording.harmless(text, None))
        lengths = [len(wording.passage(i, text)) for i, text in enumerate(kept, start=1)]
        plan = Plan.of(wording, wording.query(query, self.query_words), lengths, self._context())
        size = min(plan.window, self.window or plan.window)
        everyone = list(range(len(texts)))
        if len(texts) <= size:
            return self._read(plan, kept, everyone, one)
        ordering, answers = sliding_window(len(texts), size, min(self.stride or size // 2, size)), None
        while True:
            try:
                windows = ordering.send(answers)
            except StopIteration as end:
                return falling(end.value)
            answers = [best_first(self._read(plan, kept, window, one)) for window in windows]

    def _read(self, plan: "Plan", kept: Sequence[str], positions: Sequence[int], one: "_Query") -> np.ndarray:
        """Scores of some documents together in one prompt, float32 [positions]. The first of them stands last."""
        wording, shown = self._opened(), positions[::-1]
        passages = [wording.passage(i, kept[position]) for i, position in enumerate(shown, start=1)]
        most = fitting([len(passage) for passage in passages], plan.room - len(shown) * len(wording.separator))
        one.cut.update(position for position, ids in zip(shown, passages, strict=True) if len(ids) > most)
        text = wording.text(plan.query, [passage[:most] for passage in passages])
        endings = [text.neutral, text.ending] if self.calibrated else [text.ending]
        masses = self.model.masses(text.ids, endings)
        one.statistics.calls += 1
        one.statistics.tokens_in += len(text.ids) + sum(map(len, endings))
        return scores_of(text, masses[-1], masses[0] if self.calibrated else None)[::-1]

    def _opened(self) -> Wording:
        if self._wording is None:
            self._wording = Wording(self.model.tokenizer, self._prompt, chat=self.chat)
        return self._wording

    def _context(self) -> int:
        return min(self.context or UNBOUNDED, self.model.context or UNBOUNDED)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores; fetches the files, loads no weights."""
        sizes = [self.passage_words, self.query_words, self.context, self.window, self.stride]
        return json.dumps([self.model.fingerprint(), repr(self._prompt), self.chat, self.calibrated, *sizes])

    def unload(self) -> None:
        """Free the model."""
        if self._model is not None:
            self._model.unload()
        self._wording = None


@dataclass(frozen=True)
class _Query:
    """What one query costs: `cut` holds the positions of documents that were cut."""

    statistics: Statistics
    cut: set[int]


@dataclass(frozen=True)
class Plan:
    """How one query fits the context.

    Attributes:
        query: its token ids, cut where not even two passages would have room beside it.
        room: tokens for passages and what separates them.
        window: passages that a prompt holds, each whole or with `LEAST` tokens.
    """

    query: list[int]
    room: int
    window: int

    @classmethod
    def of(cls, wording: Wording, query: list[int], lengths: Sequence[int], context: int) -> "Plan":
        """The plan for passages of `lengths` tokens.

        Raises:
            ValueError: a context that does not hold two passages and a few words of the query.
        """
        count, neutral = len(lengths), len(wording.query(NEUTRAL))
        free = context - wording.fixed(count)
        each = max(min(length, LEAST) for length in lengths) + len(wording.separator)
        if free - max(len(query), neutral) < min(count, 2) * each:
            query = query[: max(0, free - min(count, 2) * each)]
            if len(query) < neutral:
                raise ValueError(
                    f"a context of {context} tokens holds no two passages beside the prompt's {context - free} and the query; "
                    "take a larger context, shorter passages (passage_words) or a shorter prompt"
                )
        room = free - max(len(query), neutral)
        whole = sum(min(length, LEAST) for length in lengths) + count * len(wording.separator) <= room
        return cls(query, room, count if whole else room // each)


def scores_of(text: Text, mass: np.ndarray, neutral: np.ndarray | None) -> np.ndarray:
    """Documents' scores from what a search attends to, less what the neutral one does.

    Args:
        text: the prompt.
        mass: [n], attention to the tokens of the prompt; more tokens behind these do not count.
        neutral: likewise of the neutral search, or None.

    Returns:
        float32 [passages].
    """
    size = len(text.ids)
    left = mass[:size].astype(np.float64) - (0.0 if neutral is None else neutral[:size])
    return np.array([document_score(left[start:end]) for start, end in text.spans], dtype=np.float32)


def document_score(values: np.ndarray) -> float:
    """The sum over a document's tokens, without those that lie more than two standard deviations (n - 1) below their mean.

    A token alone has no deviation and counts.

    >>> document_score(np.array([1.0] * 9 + [-9.0])), document_score(np.array([-3.0]))
    (9.0, -3.0)
    """
    if len(values) > 1:
        values = values[values >= values.mean() - 2 * values.std(ddof=1)]
    return float(values.sum())


def best_first(scores: np.ndarray) -> list[int]:
    """Positions by score, the highest first; ties keep their order."""
    return sorted(range(len(scores)), key=lambda position: -scores[position])


def check_choice(layers, heads) -> None:
    """Raise ValueError unless `layers` is None or (first, last + 1), and `heads` None or pairs (layer, head) in its place."""
    if layers is not None:
        right = isinstance(layers, tuple | list) and len(layers) == 2 and all(type(layer) is int for layer in layers)
        if not right or not 0 <= layers[0] < layers[1]:
            raise ValueError(f"layers is {layers!r}; give (first, last + 1), counted from 0, such as (14, 18), or None")
        if heads is not None:
            raise ValueError("layers and heads were given; heads name their layers, so leave layers out")
    if heads is not None:
        pairs = [tuple(pair) for pair in heads]
        if not pairs or any(len(pair) != 2 or any(type(n) is not int or n < 0 for n in pair) for pair in pairs):
            raise ValueError(f"heads is {heads!r}; give pairs (layer, head), counted from 0, at least one, or None")


def _check_sizes(sizes: dict[str, int | None]) -> None:
    least = {"window": 2}
    for name, value in sizes.items():
        if value is not None and value < least.get(name, 1):
            raise ValueError(f"{name} is {value}; give a whole number of at least {least.get(name, 1)}, or None")
