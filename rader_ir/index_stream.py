"""The stream that an index is written from, checked document by document and cut into chunks.

A chunk is known by a digest of its ids and contents, so a call that is made again finds out whether it got the same
documents without encoding them. Contents are texts or ready vectors; a reader for each says what is wrong with one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from rader_ir.index_folder import DOC_IDS
from rader_ir.index_ids import DocIds, id_problem

Reader = Callable[
    [object], tuple[object, bytes]
]  # a content -> the content in its proper type, the bytes it is known by


@dataclass(frozen=True)
class Chunk:
    """Documents that are kept together; `start` documents of the stream come before them."""

    start: int
    doc_ids: list[str]
    digest: bytes
    vectors: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Stream:
    """Documents as chunks, each checked: (doc_id, content) pairs go in, `Chunk`s come out.

    Attributes:
        documents: the pairs.
        chunk: number of documents in a chunk; the last one may be shorter.
        blanks: whether doc ids may hold blanks inside.
        read: judges a content; raises ValueError.
        encode: makes vectors [n, d] of a chunk's contents.
    """

    documents: Iterable[tuple[str, object]]
    chunk: int
    blanks: bool
    read: Reader
    encode: Callable[[list], np.ndarray]

    def __iter__(self) -> Iterator[Chunk]:
        documents, start = iter(self.documents), 0
        while batch := list(islice(documents, self.chunk)):
            digest, contents = blake2b(digest_size=16), []
            for number, (doc_id, content) in enumerate(batch, start=start + 1):
                contents.append(self._checked(number, doc_id, content, digest))
            doc_ids = [doc_id for doc_id, _ in batch]
            yield Chunk(start, doc_ids, digest.digest(), lambda contents=contents: self.encode(contents))
            start += len(batch)

    def _checked(self, number: int, doc_id: str, content, digest) -> object:
        if problem := id_problem(doc_id, blanks=self.blanks):
            raise ValueError(f"doc id {doc_id!r} of document {number} {problem}")
        try:
            content, known_by = self.read(content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"document {doc_id!r} (number {number}): {error}") from error
        for part in (doc_id.encode(), known_by):
            digest.update(len(part).to_bytes(8, "little") + part)
        return content


def text_reader(*, empty: bool) -> Reader:
    """Takes texts; those without a visible character only where `empty` is true."""

    def read(text) -> tuple[str, bytes]:
        if not isinstance(text, str):
            raise ValueError(f"its text is {text!r}, expected a string; repair or drop the document")
        if not empty and not text.strip():
            raise ValueError(
                "its text is empty; drop the document, or pass empty_texts='allow' to encode it all the same"
            )
        return text, text.encode()

    return read


def vector_reader(dimension: int) -> Reader:
    """Takes finite vectors of one dimension, as float32."""

    def read(vector) -> tuple[np.ndarray, bytes]:
        vector = np.asarray(vector, np.float32)
        if vector.shape != (dimension,):
            raise ValueError(f"its vector has shape {vector.shape}, expected ({dimension},)")
        if not np.isfinite(vector).all():
            raise ValueError("its vector holds NaN or infinity; encode the document again or drop it")
        return vector, vector.tobytes()

    return read


def encoded(chunk: Chunk, dimension: int) -> np.ndarray:
    """The vectors of a chunk, float32 [n, dimension], checked for shape and for NaN; errors name the document."""
    vectors = np.ascontiguousarray(chunk.vectors(), np.float32)
    if vectors.shape != (expected := (len(chunk.doc_ids), dimension)):
        raise ValueError(
            f"the encoder gave vectors of shape {vectors.shape}, expected {expected}, for documents "
            f"{chunk.doc_ids[0]!r} to {chunk.doc_ids[-1]!r}"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise ValueError(
            f"the encoder gave NaN or infinity for document {chunk.doc_ids[bad]!r} (number {chunk.start + bad + 1}); "
            "try another dtype, or drop the document"
        )
    return vectors


class Kept:
    """Chunks that an earlier call kept, with their ids behind `base` others in `folder`; a repeated call brings the same."""

    def __init__(self, folder: Path, ledger: np.ndarray, base: int = 0):
        self._folder, self._base = folder, base
        self._digests = [digest.tobytes() for digest in ledger["digest"]]
        self._starts = [0, *ledger["documents"].tolist()]

    def repeated_by(self, chunk: Chunk) -> bool:
        """Whether a stream that begins with this chunk seems to be the one kept here."""
        return chunk.digest in self._digests[:1]

    def skip(self, chunks: Iterator[Chunk]) -> None:
        """Take the kept chunks off the stream without encoding them; raise ValueError where it brings others."""
        for number, digest in enumerate(self._digests):
            chunk = next(chunks, None)
            if chunk is None:
                raise self._refusal(f"the documents end before the {self._starts[-1]} that {self._folder} holds")
            if digest != chunk.digest:
                raise self._refusal(self._difference(number, chunk))

    def require_all(self, chunks: Iterator[Chunk]) -> None:
        """Raise ValueError unless the stream is what is kept, no less and no more."""
        self.skip(chunks)
        if next(chunks, None) is not None:
            raise self._refusal(self._more())

    def _more(self) -> str:
        return f"the documents go on after the {self._starts[-1]} that {self._folder} holds"

    def _difference(self, number: int, chunk: Chunk) -> str:
        start, end = self._starts[number : number + 2]
        ids = DocIds(self._folder / DOC_IDS, self._base + end)[self._base + start :].tolist()
        for position, (kept, came) in enumerate(zip(ids, chunk.doc_ids, strict=False)):
            if kept != came:
                return f"document {chunk.start + position + 1} is {came!r}, but {self._folder} holds {kept!r} there"
        if len(ids) < len(chunk.doc_ids):
            return self._more()
        if len(ids) > len(chunk.doc_ids):
            return f"the documents end with {chunk.doc_ids[-1]!r}, but {self._folder} holds more"
        return f"a text or vector among documents {ids[0]!r} to {ids[-1]!r} changed since {self._folder} was written"

    @staticmethod
    def _refusal(difference: str) -> ValueError:
        return ValueError(
            f"{difference}; repeat the call with its first documents, delete that folder to start anew, "
            "or give other documents alone with append=True once it is finished"
        )
