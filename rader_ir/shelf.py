"""The indexes of a corpus on a shelf: each is made when first asked for, kept on the disk, and shared by whoever asks again.

A corpus goes by a digest of its documents. Two collections over the same ones, as BRIGHT's aops and theoremqa_questions are,
or one collection under several kinds of queries, find the same vectors; a corpus that changed finds none.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.collection import Documents, short
from rader_ir.index import Index
from rader_ir.index_writer import build_index

NO_DOCUMENTS = (
    "collection {!r} comes without documents, which BM25, dense, hybrid and rerank systems read; give data "
    "with documents, or runs (run:FOLDER)"
)


class Shelf:
    """The indexes of one corpus.

    Args:
        documents: opens the corpus, as an iterator of (doc_id, text); None where there is none, which is an error once an
            index is asked for.
        folder: of all shelves; this corpus takes `NAME-DIGEST` below it.
        name: of the collection, for the folder and for messages.
        wanted: doc_ids that should be among the documents, see `absent`.
        verbose: whether to show progress bars.
    """

    def __init__(
        self,
        documents: Documents | None,
        folder: str | Path,
        *,
        name: str,
        wanted: Iterable[str] = (),
        verbose: bool = False,
    ):
        self._documents, self.folder, self.name, self.verbose = documents, Path(folder), name, verbose
        self._wanted = frozenset(wanted)

    def documents(self) -> Iterator[tuple[str, str]]:
        """A new stream of the documents.

        Raises:
            ValueError: the collection has none.
        """
        if self._documents is None:
            raise ValueError(NO_DOCUMENTS.format(self.name))
        return self._documents()

    @property
    def place(self) -> Path:
        """Where the indexes of these documents are, whichever collection they were made for; reads the documents once."""
        digest, _ = self._told
        there = sorted(self.folder.glob(f"*-{digest}"))
        return there[0] if there else self.folder / f"{short(self.name)}-{digest}"

    def dense(self, encoder) -> Index:
        """The index of the vectors that the encoder makes; goes on with a half-written one.

        Args:
            encoder: as for `build_index`, with a `fingerprint()`.
        """
        _, count = self._told
        return build_index(
            self.place / f"dense-{encoder.fingerprint()}",
            self.documents(),
            encoder,
            formats=["flex"],  # one copy of the vectors; nobody else reads the folder
            blank_ids="allow",
            empty_texts="allow",
            total=count,
            verbose=self.verbose,
        )

    def bm25(self, variant: str) -> BM25:
        """The BM25 index of a variant, with k1 and b as BRIGHT and Lucene's reproductions have them (0.9 and 0.4)."""
        folder = self.place / f"bm25-{variant}"
        if folder.exists():
            try:
                return BM25.load(folder)
            except (ValueError, FileNotFoundError):
                print(f"rader: {folder} is damaged; it is made anew", file=sys.stderr, flush=True)
                shutil.rmtree(folder)
        made = BM25.build(self._watched("bm25"), variant=variant, blank_ids="allow")
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.save(folder)
        except OSError:
            if not folder.exists():  # else another call that shares the shelf was first
                raise
        return made

    def absent(self) -> int:
        """How many of the doc_ids wanted are not among the documents, which are read once at most."""
        return len(self._read[1])

    def drop(self) -> None:
        """Delete the indexes of these documents, if any are there."""
        if "_read" in self.__dict__:  # else nothing was made here
            shutil.rmtree(self.place, ignore_errors=True)

    def same(self, other: "Shelf") -> bool:
        """Whether the other shelf is for the documents that indexes were made of here; reads them, unless it did before."""
        return "_read" in self.__dict__ and other._documents is not None and self._told == other._told

    @property
    def _told(self) -> tuple[str, int]:
        """A digest of the documents in their order, 16 hexadecimal digits, and their number."""
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[tuple[str, int], set[str]]:
        """What is told of the documents, and the doc_ids wanted that are not among them."""
        digest, count, absent = hashlib.sha256(), 0, set(self._wanted)
        for doc_id, text in self._watched("documents"):
            digest.update(f"{len(doc_id)} {len(text)} {doc_id}{text}".encode(errors="surrogatepass"))
            count += 1
            absent.discard(doc_id)
        return (digest.hexdigest()[:16], count), absent

    def _watched(self, what: str) -> Iterator[tuple[str, str]]:
        from tqdm import tqdm

        return iter(tqdm(self.documents(), desc=f"{self.name}: {what}", unit="doc", disable=not self.verbose))
