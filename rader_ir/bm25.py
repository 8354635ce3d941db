"""BM25 without Java: Lucene's weighting and analysis, and BRIGHT's query-weighted variant.

bm25s (Lù 2024, arXiv:2407.03618) computes the weight of every term in every document once; a query sums those of its
terms. `lucene` counts a term as often as the query repeats it, as Lucene does; `bright` weights the query like a
document, as BRIGHT's BM25 (arXiv:2407.12883) does by gensim's LuceneBM25Model: rare terms of a long query then decide.
Lengths of documents are exact here, where Lucene keeps them in one byte: scores and ties differ a little from Lucene's own.
"""

import json
import math
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path

import bm25s
import numpy as np

from rader_ir.analysis import analyse
from rader_ir.index_ids import id_problem
from rader_ir.runs import Run, ranked

VARIANTS = ("lucene", "bright")
_META = "rader_bm25.json"


class BM25:
    """A BM25 index: made by `build`, `build_tokens` or `load`, searched by `retrieve`, kept by `save`."""

    def __init__(self, model: bm25s.BM25, *, doc_ids: list[str], variant: str, mean_length: float):
        self.doc_ids, self.variant, self.mean_length = doc_ids, variant, mean_length
        self._model = model

    def __len__(self) -> int:
        return len(self.doc_ids)

    def __repr__(self) -> str:
        return f"<BM25 {self.variant}, k1={self._model.k1}, b={self._model.b}, {len(self)} documents>"

    @property
    def settings(self) -> dict:
        """The variant, k1 and b that the index was built with."""
        return {"variant": self.variant, "k1": self._model.k1, "b": self._model.b}

    @classmethod
    def build(
        cls,
        documents: Iterable[tuple[str, str]],
        *,
        variant: str = "lucene",
        k1: float = 0.9,
        b: float = 0.4,
        blank_ids: str = "refuse",
    ) -> "BM25":
        """Index (doc_id, text) pairs by Lucene's English analysis.

        Args:
            documents: the collection, read once.
            variant: "lucene", or "bright" for queries weighted like documents (idf squared, repeats saturated).
            k1: how fast repeats of a term saturate, 0 or more.
            b: how much a long document pays, from 0 to 1.
            blank_ids: "refuse" or "allow" blanks inside doc ids (BRIGHT has them; such TREC runs need tabs).

        Raises:
            ValueError: a doc_id twice or unfit for a file, no document with a term, an unknown variant, k1 or b out of range.
            TypeError: a text that is no string.
        """
        if blank_ids not in ("refuse", "allow"):
            raise ValueError(f"blank_ids {blank_ids!r} is unknown; choose 'refuse' or 'allow'")
        blanks = blank_ids == "allow"
        analysed = ((_fit(doc_id, blanks), _analysed(doc_id, text)) for doc_id, text in documents)
        return cls.build_tokens(analysed, variant=variant, k1=k1, b=b)

    @classmethod
    def build_tokens(
        cls,
        documents: Iterable[tuple[str, Iterable[str] | Mapping[str, int]]],
        *,
        variant: str = "lucene",
        k1: float = 0.9,
        b: float = 0.4,
    ) -> "BM25":
        """Index documents whose terms are ready: lists of them, or bags {term: count}; the rest as in `build`.

        Queries are analysed as ever, so the terms must come from the same analysis.
        """
        _check(variant, k1, b)
        vocabulary: dict[str, int] = {}
        rows: dict[str, array] = {}
        for doc_id, terms in documents:
            if doc_id in rows:
                raise ValueError(f"document id {doc_id!r} stands twice; give each document an id of its own")
            bag = Counter(terms).elements() if isinstance(terms, Mapping) else terms
            rows[doc_id] = array("i", [vocabulary.setdefault(term, len(vocabulary)) for term in bag])
        if not vocabulary:
            raise ValueError(f"none of the {len(rows)} documents holds a term; give texts with words that are indexed")
        if variant == "lucene":  # where a document without terms does not count; for gensim it does
            rows = {doc_id: terms for doc_id, terms in rows.items() if terms}
        model = bm25s.BM25(method="lucene", k1=k1, b=b)
        model.index((list(rows.values()), vocabulary), create_empty_token=False, show_progress=False)
        mean_length = sum(map(len, rows.values())) / len(rows)
        return cls(model, doc_ids=list(rows), variant=variant, mean_length=mean_length)

    def retrieve(
        self,
        queries: Mapping[str, str],
        *,
        depth: int = 1000,
        excluded: Mapping[str, Collection[str]] | None = None,
    ) -> Run:
        """Rank the documents that share a term with the query, for each of {query_id: text}.

        Args:
            queries: the texts; one without a known term gets an empty list.
            depth: documents kept per query, counted after the excluded ones are gone; ties go by doc_id.
            excluded: {query_id: doc_ids} that must not be ranked.

        Raises:
            ValueError: a depth below 1.
            TypeError: a query that is no string.
        """
        excluded = excluded or {}
        return {
            query_id: self._ranked(_analysed(query_id, text), depth, excluded.get(query_id, ()))
            for query_id, text in queries.items()
        }

    def save(self, folder: str | Path) -> None:
        """Write the index to a new or empty folder, which appears whole or not at all.

        Raises:
            FileExistsError: the folder holds something.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; give a new folder, or remove this one")
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
        meta = {"variant": self.variant, "mean_length": self.mean_length, "doc_ids": self.doc_ids}
        try:
            self._model.save(unfinished, show_progress=False)
            (unfinished / _META).write_text(json.dumps(meta), encoding="utf-8")
            os.replace(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: str | Path) -> "BM25":
        """Open a saved index; its weights stay on disk and are mapped into memory.

        Raises:
            FileNotFoundError: the folder holds no BM25 index.
            ValueError: the index lacks files or they do not fit together.
        """
        folder = Path(folder)
        if not (folder / _META).is_file():
            raise FileNotFoundError(
                f"{folder} holds no BM25 index (no {_META}); write one by BM25.build(...).save(...)"
            )
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            model = bm25s.BM25.load(folder, mmap=True, show_progress=False)
            index = cls(model, **meta)
            _check_whole(index)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ValueError(f"{folder} is a half-written or damaged BM25 index ({error}); build it again") from error
        return index

    def _ranked(self, terms: list[str], depth: int, excluded: Collection[str]) -> dict[str, float]:
        scores = self._scores(self._weights(Counter(terms)))
        scores[[self._positions[doc_id] for doc_id in excluded if doc_id in self._positions]] = 0
        found = np.flatnonzero(scores)
        if len(found) > depth > 0:
            lowest = np.partition(scores[found], -depth)[-depth]
            found = found[scores[found] >= lowest]  # with those that tie with the last one
        return dict(ranked({self.doc_ids[position]: float(scores[position]) for position in found}, depth))

    def _weights(self, terms: Counter) -> dict[int, float]:
        """{number of a known term: its weight in the query}."""
        vocabulary = self._model.vocab_dict
        counts = {vocabulary[term]: count for term, count in terms.items() if term in vocabulary}
        if self.variant == "lucene":
            return counts
        k1, b = self._model.k1, self._model.b
        # gensim drops unknown terms before it takes the query's length.
        saturation = k1 * (1 - b + b * sum(counts.values()) / self.mean_length)
        return {term: self._idf(term) * count / (count + saturation) for term, count in counts.items()}

    def _idf(self, term: int) -> float:
        starts = self._model.scores["indptr"]
        return math.log((len(self) + 1) / (starts[term + 1] - starts[term] + 0.5))

    def _scores(self, weights: Mapping[int, float]) -> np.ndarray:
        """The score of every document, float64 [n]; 0 where no term of the query stands in it."""
        columns = self._model.scores
        scores = np.zeros(len(self))
        for term, weight in weights.items():
            column = slice(*columns["indptr"][term : term + 2])
            scores[columns["indices"][column]] += weight * columns["data"][column]  # a document stands once per column
        return scores

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {doc_id: position for position, doc_id in enumerate(self.doc_ids)}


def _fit(doc_id: str, blanks: bool) -> str:
    if problem := id_problem(doc_id, blanks=blanks):
        raise ValueError(f"doc id {doc_id!r} {problem}")
    return doc_id


def _analysed(name: str, text: str) -> list[str]:
    if not isinstance(text, str):
        raise TypeError(f"the text of {name!r} is {text!r}; expected a string")
    return analyse(text)


def _check(variant: str, k1: float, b: float) -> None:
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r} is unknown; choose {' or '.join(map(repr, VARIANTS))}")
    if not 0 <= k1 < math.inf:
        raise ValueError(f"k1 is {k1}; expected a finite number from 0 on, such as 0.9")
    if not 0 <= b <= 1:
        raise ValueError(f"b is {b}; expected a number from 0 to 1, such as 0.4")


def _check_whole(index: BM25) -> None:
    """Raise ValueError unless ids, terms and weights of a loaded index fit together."""
    columns = index._model.scores
    if index.variant not in VARIANTS or len(index) != columns["num_docs"]:
        raise ValueError(f"{len(index)} ids of variant {index.variant!r} for {columns['num_docs']} documents")
    starts, terms = columns["indptr"], len(index._model.vocab_dict)
    if len(starts) != terms + 1 or not starts[-1] == len(columns["data"]) == len(columns["indices"]):
        raise ValueError(f"{terms} terms, {len(starts) - 1} columns, {len(columns['data'])} weights")
