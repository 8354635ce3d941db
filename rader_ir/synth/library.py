"""The library of a synthesis: documents that are searched by their text and read by a model through their summaries.

Searches of all trees arrive one by one and are done in batches by one thread, while the trees go on. Anything that ranks
documents can search: BM25, a dense index, or a function of the caller's (`retrieval`).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from rader_ir.lm import Generates, Sampling
from rader_ir.lm.batches import Batches
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.runs import ranked
from rader_ir.synth.asking import PAPER
from rader_ir.synth.retrieval import Hits, Search
from rader_ir.synth.summaries import Summaries, Summary


class Library:
    """Documents, a search over them and their summaries, to be entered by `async with`.

    Args:
        documents: text by doc_id.
        search: from texts and a number k to k or fewer (doc_id, score) pairs for each, as `retrieval` describes it.
        summaries: file of summaries that are made already, and to which new ones are added; None keeps them in memory.
        prompt: of summaries; None takes ours.
        sampling: of summaries, for what the prompt leaves open.
        batch: texts searched at a time.

    Raises:
        ValueError: no documents, or a batch below 1.
    """

    def __init__(
        self,
        documents: Mapping[str, str],
        search: Search,
        *,
        summaries: str | Path | None = None,
        prompt: Prompt | None = None,
        sampling: Sampling = PAPER,
        batch: int = 64,
    ):
        if not documents or batch < 1:
            raise ValueError(f"{len(documents)} documents, batches of {batch}; give at least one of each")
        self.documents, self.searches, self.batch = documents, search, batch
        prompt = load_prompts()["summary"] if prompt is None else prompt
        self.summaries = Summaries(summaries, prompt=prompt, sampling=sampling)
        self._thread: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"<Library of {len(self.documents)} documents searched by {self.name}>"

    @property
    def name(self) -> str:
        """Of the search: its `name`, or that of the function."""
        return getattr(self.searches, "name", None) or getattr(
            self.searches, "__qualname__", type(self.searches).__name__
        )

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any document; their order counts for nothing."""
        told = hashlib.sha256()
        for doc_id in sorted(self.documents):
            told.update(json.dumps([doc_id, self.documents[doc_id]]).encode())
        return told.hexdigest()[:16]

    async def __aenter__(self) -> "Library":
        self.summaries.open()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._batches = Batches(self._found, size=self.batch, thread=self._thread)
        return self

    async def __aexit__(self, *_) -> None:
        thread, self._thread = self._thread, None
        thread.shutdown(wait=True, cancel_futures=True)
        await self.summaries.close()

    async def search(self, text: str, k: int) -> Hits:
        """The k documents that fit best, or fewer: (doc_id, score), best first, ties by doc_id.

        Raises:
            ValueError: the search gave another number of lists, a document that is not here, or a score that is no number.
        """
        if self._thread is None:
            raise RuntimeError(f"{self!r} is not open; use it inside `async with`")
        return await self._batches.result((text, k))

    async def summary(self, doc_id: str, lm: Generates) -> Summary:
        """How a model reads a document; see `Summaries.of`.

        Raises:
            KeyError: no such document.
        """
        if self._thread is None:
            raise RuntimeError(f"{self!r} is not open; use it inside `async with`")
        return await self.summaries.of(doc_id, self.documents[doc_id], lm)

    def _found(self, jobs: Sequence[tuple[str, int]]) -> list[Hits]:
        """Of a batch; texts that want equally many are searched together."""
        found: dict[tuple[str, int], Hits] = {}
        for k in sorted({k for _, k in jobs}):
            texts = list(dict.fromkeys(text for text, wanted in jobs if wanted == k))
            lists = self.searches(texts, k)
            if len(lists) != len(texts):
                raise ValueError(
                    f"{self.name} gave {len(lists)} lists for {len(texts)} texts; it must give one for each"
                )
            found |= {(text, k): self._checked(hits, k) for text, hits in zip(texts, lists, strict=True)}
        return [found[job] for job in jobs]

    def _checked(self, hits: Hits, k: int) -> Hits:
        scores = {doc_id: float(score) for doc_id, score in hits}
        for doc_id, score in scores.items():
            if doc_id not in self.documents:
                raise ValueError(
                    f"{self.name} found {doc_id!r}, which is none of the {len(self.documents)} documents; index this corpus"
                )
            if not math.isfinite(score):
                raise ValueError(f"{self.name} gave {doc_id!r} the score {score}; expected a finite number")
        return ranked(scores, k)
