"""Texts to token ids to batches: the end token kept under truncation, lengths sorted, batches bounded by tokens.

RaDeR's models read the state of an end token that is appended after the cut (Tevatron's `append_eos`), so a text is cut to one
token less than its limit. Batches hold texts of similar length and a fixed number of tokens, padding included; one that does
not fit into memory is halved and tried again, and nothing that was computed is lost.
"""

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from rader_ir.checkpoints import Checkpoint
from rader_ir.neutral import harmless, written
from rader_ir.passages import windows
from rader_ir.prompts import fill

T = TypeVar("T")
_TEXTS_AT_ONCE, _LETTERS_AT_ONCE = 4096, 1 << 22  # a million tokens or so, 150 bytes each while they are made
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


@dataclass(frozen=True)
class Ids:
    """Token ids of each text, how many texts were cut to fit, and for BERT's pairs which segment each token is of."""

    rows: list[list[int]]
    truncated: int
    segments: list[list[int]] | None = None

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(row) for row in self.rows], dtype=np.int64)


class TextTokens:
    """Token ids as one checkpoint wants them.

    Args:
        tokenizer: a fast tokenizer of transformers; its own special tokens (a beginning token, [CLS] and [SEP]) are kept.
        checkpoint: forms and end-token policy.

    Raises:
        ValueError: an end token is to be appended, and the tokenizer has none.
    """

    def __init__(self, tokenizer, checkpoint: Checkpoint):
        self.tokenizer, self.checkpoint = tokenizer, checkpoint
        bare = self._encode(["a"])[0]
        dressed = tokenizer("a")["input_ids"]
        start = next(i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare)
        self.head, self.tail = dressed[:start], dressed[start + len(bare) :]
        self._bare = _cleaner(tokenizer, checkpoint)
        if checkpoint.eos == "append":
            if tokenizer.eos_token_id is None:
                raise ValueError(f"checkpoint {checkpoint.name!r} appends an end token, and its tokenizer has none")
            if self.tail[-1:] != [tokenizer.eos_token_id]:
                self.tail = [*self.tail, tokenizer.eos_token_id]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        try:
            return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        except TypeError:  # what cannot be written as UTF-8 never reaches the tokenizer
            for text in texts:
                written(text)
            raise

    def texts(self, texts: Sequence[str], max_length: int) -> Ids:
        """Ids of whole texts, forms already filled, cut on the right to `max_length` with the end kept.

        Raises:
            ValueError: a text without any token.
        """
        room = max_length - len(self.head) - len(self.tail)
        bodies = self._encode(texts)
        rows = [self.head + body[:room] + self.tail for body in bodies]
        if not all(rows):
            raise ValueError(
                f"text {texts[rows.index([])]!r} has no tokens, and checkpoint {self.checkpoint.name!r} adds none of its own; "
                "leave the text out, or give the checkpoint an end token (eos: append)"
            )
        return Ids(rows, sum(len(body) > room for body in bodies))

    def shortened(self, queries: Sequence[str], instruction: str, max_length: int) -> dict[str, str]:
        """{query: what is read of it} in a pair: a query, with what stands around it, takes three quarters of the tokens at most.

        Raises:
            ValueError: an instruction that takes all of them.
        """
        lead = (self.checkpoint.pair_form or "{instruction}{query}").partition("{document}")[0]
        before = len(fill(lead.partition("{query}")[0], instruction=instruction))
        limit = max_length * 3 // 4
        read = {query: query for query in queries}
        leads = [fill(lead, instruction=instruction, query=query) for query in read]
        for query, text, ids in zip(list(read), leads, self._encode(leads), strict=True):
            if len(ids) > limit:
                read[query] = query[: self._cut(text, before, before + len(query), len(ids) - limit) - before]
        return read

    def _cut(self, text: str, start: int, stop: int, excess: int) -> int:
        """Where `text` ends without the last `excess` tokens of its part from `start` to `stop`."""
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = [end for begin, end in offsets["offset_mapping"] if start < end and begin < stop]
        if len(ends) <= excess:
            raise ValueError(
                f"the instruction leaves no room for query and document ({text[:60]!r}...); shorten it or raise max_length"
            )
        return min(ends[-1 - excess], stop)

    def pairs(self, queries: Sequence[str], docs: Sequence[str], instruction: str, max_length: int) -> Ids:
        """Ids of each query and document in the checkpoint's `pair_form`; the document is cut, and a long query (`shortened`).

        Where the form holds special tokens, those that a query or a document holds become blanks; a language model that is asked
        for an answer reads them without whatever else could pass for its prompt (`rader_ir.neutral.harmless`).
        """
        queries, queries_short = self._bounded(queries, self.checkpoint.pair_query_tokens)
        docs, docs_short = self._bounded(docs, self.checkpoint.pair_doc_tokens)
        read = self.shortened(queries, instruction, max_length)
        cut = zip(queries_short, docs_short, (read[query] != query for query in queries), strict=True)
        short = [any(parts) for parts in cut]
        queries = [read[query] for query in queries]
        form = self.checkpoint.pair_form
        if form is None:
            return self._tokenizer_pairs([instruction + query for query in queries], docs, max_length, short)
        lead, _, rest = form.partition("{document}")
        leads = {query: fill(lead, instruction=instruction, query=query) for query in dict.fromkeys(queries)}
        whole = [leads[query] + doc + rest for query, doc in zip(queries, docs, strict=True)]
        room = max_length - len(self.head) - len(self.tail)
        bodies = self._encode(whole)
        rest_ids = self._encode([rest])[0] if rest else []
        for i, body in enumerate(bodies):
            if len(body) > room:
                # past the cut the words after the document are tokenised on their own
                uncut = self._encode([leads[queries[i]] + docs[i]])[0] if rest else body
                bodies[i] = uncut[: room - len(rest_ids)] + rest_ids
                short[i] = True
        return Ids([self.head + body + self.tail for body in bodies], sum(short))

    def _bounded(self, texts: Sequence[str], most: int | None) -> tuple[Sequence[str], list[bool]]:
        """The texts without special tokens that could pass for the form's, cut to `most` tokens of their own; which were cut."""
        if self._bare is None and most is None:
            return texts, [False] * len(texts)
        cut: set[str] = set()
        bare = {text: self._bare(text) if self._bare else text for text in dict.fromkeys(texts)}
        if most is not None and bare:
            options = dict(add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            blank = [f" {text}" for text in bare.values()]  # as they stand behind "query:"
            for text, places in zip(list(bare), self.tokenizer(blank, **options)["offset_mapping"], strict=True):
                if len(places) > most:
                    bare[text] = bare[text][: places[most - 1][1] - 1]
                    cut.add(text)
        return [bare[text] for text in texts], [text in cut for text in texts]

    def passages(self, texts: Sequence[str], length: int, stride: int | None) -> list[list[str]]:
        """Each text cut into passages of `length` tokens that begin every `stride` tokens and reach its end."""
        options = dict(add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = self.tokenizer(list(texts), **options)["offset_mapping"] if len(texts) else []
        return [
            [
                text[places[start][0] : places[end - 1][1]]
                for start, end in windows(len(places), length, stride or length)
            ]
            or [text]
            for text, places in zip(texts, offsets, strict=True)
        ]

    def _tokenizer_pairs(self, queries: Sequence[str], docs: Sequence[str], max_length: int, short: list[bool]) -> Ids:
        # cut here, since a tokenizer that cuts keeps the limit as its state, which other threads would read
        made = self.tokenizer(list(queries), list(docs), return_token_type_ids=True, verbose=False)
        rows, segments = made["input_ids"], made["token_type_ids"]
        for i, row in enumerate(rows):
            excess = len(row) - max_length
            if excess > 0:
                stop = max(place for place, text in enumerate(made.sequence_ids(i)) if text == 1) + 1
                for cut in (row, segments[i]):
                    del cut[stop - excess : stop]
                short[i] = True
        return Ids(rows, sum(short), segments if "token_type_ids" in self.tokenizer.model_input_names else None)


def _cleaner(tokenizer, checkpoint: Checkpoint) -> Callable[[str], str] | None:
    """What takes special tokens out of a text, if the pairs' form holds some itself, so that a document could write them too."""
    tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    if not any(token in (checkpoint.pair_form or "") for token in tokens):
        return None
    if checkpoint.head == "choice":
        return partial(harmless, special=tuple(tokens))
    marks = re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)))
    return lambda text: marks.sub(" ", text)


def batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Positions grouped into batches of similar length, longest first.

    A batch's longest text times its size stays within `budget` tokens; a longer text is a batch of its own.

    >>> [batch.tolist() for batch in batches(np.array([3, 9, 4, 2]), 10)]
    [[1], [2, 0], [3]]
    """
    order = np.argsort(-lengths, kind="stable")
    groups, start = [], 0
    while start < len(order):
        size = max(1, budget // max(1, int(lengths[order[start]])))
        groups.append(order[start : start + size])
        start += size
    return groups


def for_each_batch(
    lengths: np.ndarray,
    budget: int,
    step: Callable[[np.ndarray], None],
    done: Callable[[int], object] = lambda count: None,
) -> int:
    """Call `step` with the positions of each batch; halve a batch that does not fit into memory.

    Args:
        lengths: tokens of each text.
        budget: tokens of a batch.
        step: computes and stores one batch.
        done: is told the size of each batch that was.

    Returns:
        The budget that fitted.

    Raises:
        MemoryError: a single text does not fit.
    """
    waiting = batches(lengths, budget)[::-1]
    while waiting:
        batch = waiting.pop()
        if len(batch) > 1 and int(lengths[batch[0]]) * len(batch) > budget:  # the budget has shrunk meanwhile
            waiting += np.array_split(batch, 2)[::-1]
            continue
        if fits(step, batch):
            done(len(batch))
            continue
        longest = int(lengths[batch].max())
        if len(batch) == 1:
            raise MemoryError(f"one text of {longest} tokens does not fit into memory; lower the maximum length")
        budget = max(longest, longest * len(batch) // 2)
        waiting += np.array_split(batch, 2)[::-1]
    return budget


def portions(letters: Sequence[int]) -> Iterator[slice]:
    """Texts of so many letters in portions, in order, to tokenise one while the one before it is read.

    A portion has 4096 texts and 4 million letters at most; a longer text is one of its own.
    """
    start = total = 0
    for i, size in enumerate(letters):
        if i - start == _TEXTS_AT_ONCE or (i > start and total + size > _LETTERS_AT_ONCE):
            yield slice(start, i)
            start, total = i, 0
        total += size
    if start < len(letters):
        yield slice(start, len(letters))


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made by a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as worker:
        end = object()
        item = worker.submit(next, items, end)
        while (ready := item.result()) is not end:
            item = worker.submit(next, items, end)
            yield ready


def fits(step: Callable[[T], object], work: T) -> bool:
    """Do `step(work)`; False, with memory freed, where it did not fit."""
    try:
        step(work)
        return True
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:  # other devices' allocators have no error of their own
        if not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False
