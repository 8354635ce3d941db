"""IDCM: long documents, of which a strong model reads only the windows that a light selector finds best (arXiv:2105.09816).

Of a document of 2,000 tokens the selector reads 40 windows and the strong model 4. The selector learns from the strong model
(`rader train idcm`), so the strong model may be any cross-encoder; which windows were read is told beside the score.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from rader_ir import loading
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.idcm import (
    MISSING,
    Embed,
    Selector,
    aggregate,
    choose,
    embedder,
    frames,
    read_config,
    read_weights,
    select_scores,
)
from rader_ir.idcm_texts import Document, Query, WindowTexts
from rader_ir.text_model import check_texts
from rader_ir.tokens import TextTokens, portions
from rader_ir.weights import weights_id


@dataclass(frozen=True)
class Reading:
    """What was read of a document for a query.

    Attributes:
        score: of the document; higher is better.
        windows: places of the windows that the strong model read, best first, of equal ones the earlier.
        scores: the strong model's, float32, in the order of `windows`.
        snippets: their texts.
        total: windows that the document has.
    """

    score: float
    windows: tuple[int, ...]
    scores: np.ndarray
    snippets: tuple[str, ...]
    total: int


class IDCM:
    """Scores of long documents by their best windows.

    Args:
        checkpoint: a folder that `rader train idcm` or `rader_ir.idcm.write_idcm` made.
        strong: another strong model than the folder names; its embeddings must be those that the selector learned with.
        passages: windows of a document that the strong model reads, in place of the folder's; as many as the longest document
            has, and every window is read.
        missing: how documents with few windows count, in place of the folder's (see `rader_ir.idcm.IDCMConfig`).
        max_query_length, max_doc_length: in tokens, in place of the folder's.
        options: as `CrossEncoder`: device, dtype, batch_tokens, instruction, forms, revision, verbose.

    Raises:
        FileNotFoundError, ValueError: no such folder, or a value out of range.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike,
        *,
        strong: str | os.PathLike | None = None,
        passages: int | None = None,
        missing: str | None = None,
        max_query_length: int | None = None,
        max_doc_length: int | None = None,
        **options,
    ):
        if missing not in (None, *MISSING):
            raise ValueError(f"missing is {missing!r}; choose {', '.join(map(repr, MISSING))}")
        if "max_length" in options:
            raise ValueError("max_length cuts pairs, and windows have a length already; give max_doc_length")
        self.checkpoint = os.fspath(checkpoint)
        given = dict(
            passages=passages, missing=missing, max_query_length=max_query_length, max_doc_length=max_doc_length
        )
        given = {name: value for name, value in given.items() if value is not None}
        self.config = replace(read_config(self.checkpoint), **given)
        self.strong = self.config.strong if strong is None else os.fspath(strong)
        self.model = CrossEncoder(self.strong, **options)
        self.windows_read = self.windows_seen = 0  # by the strong model, and by anyone
        self._truncated = 0
        self._light: tuple[loading.Loaded, Selector, torch.Tensor] | None = None

    @property
    def truncated(self) -> int:
        """Queries and documents cut so far."""
        return self._truncated

    @property
    def work(self) -> tuple[int, int]:
        """Windows that the strong model has read so far, and the tokens in them with their queries'."""
        return self.model.work

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; higher is better."""
        return [np.array([one.score for one in found], dtype=np.float32) for found in self.read(queries, docs)]

    def read(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[list[Reading]]:
        """Each query's documents, in the order given, with their scores and the windows that made them.

        Equal pairs are read once.

        Raises:
            ValueError: lists that do not fit each other, or windows that leave no room for any query.
        """
        if len(queries) != len(docs):
            raise ValueError(
                f"{len(queries)} queries were given with {len(docs)} lists of documents; give one list for each"
            )
        check_texts(queries, "query")
        for texts in docs:
            check_texts(texts, "document")
        wanted: dict[str, dict[str, Reading | None]] = {}
        for query, texts in zip(queries, docs, strict=True):
            if len(texts):
                wanted.setdefault(query, {}).update(dict.fromkeys(texts))
        names = list(wanted)
        for part in portions([len(query) + sum(map(len, wanted[query])) for query in names]):
            self._fill({query: wanted[query] for query in names[part]})
        return [[wanted[query][text] for text in texts] for query, texts in zip(queries, docs, strict=True)]

    def _fill(self, wanted: dict[str, dict[str, Reading | None]]) -> None:
        """Read the documents of some queries; the readings go into `wanted`."""
        loaded, selector, weights = self._open()
        tokens = TextTokens(loaded.tokenizer, loaded.checkpoint)
        texts = WindowTexts(tokens, self.config, self.model.instruction)
        queries = texts.queries(list(wanted), loading.longest_text(loaded.files))
        unique = list(dict.fromkeys(text for found in wanted.values() for text in found))
        docs = texts.documents(unique)
        self._truncated += sum(text.truncated for text in (*queries, *docs))
        place = {text: i for i, text in enumerate(unique)}
        pairs = [(i, place[text]) for i, found in enumerate(wanted.values()) for text in found]
        chosen = self._chosen(selector, embedder(loaded.model), queries, docs, pairs, loaded)
        scores = self._strong_scores(texts, queries, docs, pairs, chosen)
        values = _aggregated(scores, weights, self.config.missing)
        names = list(wanted)
        for (query, doc), windows, own, value in zip(pairs, chosen, scores, values.tolist(), strict=True):
            order = np.argsort(-own, kind="stable")
            best = tuple(windows[order].tolist())
            snippets = tuple(docs[doc].snippet(window) for window in best)
            reading = Reading(value, best, own[order], snippets, len(docs[doc].windows))
            wanted[names[query]][unique[doc]] = reading

    def _strong_scores(
        self,
        texts: WindowTexts,
        queries: list[Query],
        docs: list[Document],
        pairs: list[tuple[int, int]],
        chosen: list[np.ndarray],
    ) -> list[np.ndarray]:
        """The strong model's scores of each pair's chosen windows."""
        read = [(*pair, window) for pair, windows in zip(pairs, chosen, strict=True) for window in windows.tolist()]
        self.windows_read += len(read)
        self.windows_seen += sum(len(docs[doc].windows) for _, doc in pairs)
        ids = texts.pairs([(queries[query], docs[doc], window) for query, doc, window in read])
        scores = self.model.score_ids([query for query, _, _ in read], ids)
        return np.split(scores, np.cumsum([len(windows) for windows in chosen])[:-1])

    def _chosen(
        self,
        selector: Selector,
        embed: Embed,
        queries: list[Query],
        docs: list[Document],
        pairs: list[tuple[int, int]],
        loaded: loading.Loaded,
    ) -> list[np.ndarray]:
        """The windows of each pair that the strong model reads, in the document's order."""
        most, config = self.config.passages, self.config
        chosen = [np.arange(len(docs[doc].windows)) for _, doc in pairs]
        long = [i for i, windows in enumerate(chosen) if len(windows) > most]
        if long:
            needed = list(dict.fromkeys(pairs[i][1] for i in long))
            place, pad_id = {doc: i for i, doc in enumerate(needed)}, loaded.tokenizer.pad_token_id
            framed = [frames(docs[doc].ids, config.core, config.overlap, pad_id) for doc in needed]
            asked = [(pairs[i][0], place[pairs[i][1]]) for i in long]
            own = [query.ids for query in queries]
            for i, scores in zip(long, select_scores(selector, embed, own, framed, asked, loaded.device), strict=True):
                chosen[i] = choose(scores, most)
        return chosen

    def _open(self) -> tuple[loading.Loaded, Selector, torch.Tensor]:
        loaded = self.model.open()
        if self._light is None or self._light[0] is not loaded:
            one = torch.zeros((1, 1), dtype=torch.int64, device=loaded.device)
            dimension = embedder(loaded.model)(one).shape[-1]
            selector, weights = read_weights(self.checkpoint, self.config, dimension)
            if self.config.missing == "renormalise" and not weights.cumsum(0).all():
                raise ValueError(
                    f"missing is 'renormalise', and the first weights of {self.checkpoint} sum to 0; choose 'zero' or 'mean'"
                )
            self._light = loaded, selector.to(loaded.device), weights
        return self._light

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        told = f"{self.config!r} {weights_id(Path(self.checkpoint).expanduser())} {self.model.fingerprint()}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def unload(self) -> None:
        """Free the models."""
        self.model.unload()
        self._light = None


def _aggregated(scores: Sequence[np.ndarray], weights: torch.Tensor, missing: str) -> np.ndarray:
    """Documents' scores, float32 [n], from those of their windows."""
    filled = np.zeros((len(scores), max(map(len, scores))), dtype=np.float32)
    mask = np.zeros(filled.shape, dtype=bool)
    for row, own in enumerate(scores):
        filled[row, : len(own)], mask[row, : len(own)] = own, True
    return aggregate(torch.from_numpy(filled), torch.from_numpy(mask), weights, missing).numpy()
