"""A test collection: queries, judgements, exclusions and documents under one name, with the protocol of its papers.

BRIGHT's tasks, RAR-b, MS MARCO, TREC DL and BEIR differ in where they come from and in how they are measured; whoever runs
systems on them sees this one type. Documents are opened when they are asked for, since many are larger than memory.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rader_ir.runs import Qrels

Documents = Callable[[], Iterator[tuple[str, str]]]  # opens a corpus, as (doc_id, text) pairs


def short(name: str) -> str:
    """The last part of a collection's name, which its files and columns go by: "bright/pony" -> "pony"."""
    return name.rpartition("/")[2]


@dataclass(frozen=True)
class Collection:
    """What a system needs to be run and measured.

    Attributes:
        name: such as "bright/pony" or "beir/scifact".
        queries: {query_id: text}, without instruction.
        qrels: {query_id: {doc_id: relevance}}.
        excluded: {query_id: doc_ids} that must leave a list before it is cut.
        documents: opens the corpus, as an iterator of (doc_id, text); None where only runs can be measured.
        corpus: a digest of the files that `documents` reads, for documents that may change; None where the version fixes them.
        instruction: put before each query by models that were trained with one, letter for letter.
        measures: of ir_measures, as papers report this collection, the leading one first.
        version: revision and variant of queries and judgements, in words; part of what results are kept by.
        judged: "fixed" where the judgements are a later correction of the published ones, with which they share no average.
        max_query_length, max_doc_length: tokens that the published protocol keeps; None leaves it to the checkpoint.
    """

    name: str
    queries: dict[str, str]
    qrels: Qrels
    excluded: dict[str, frozenset[str]] = field(default_factory=dict)
    documents: Documents | None = None
    corpus: Callable[[], str] | None = None
    instruction: str = ""
    measures: tuple[str, ...] = ("nDCG@10",)
    version: str = ""
    judged: str = ""
    max_query_length: int | None = None
    max_doc_length: int | None = None

    def relevant(self) -> set[str]:
        """The documents that are relevant to any query."""
        return {doc_id for judged in self.qrels.values() for doc_id, grade in judged.items() if grade > 0}

    def key(self) -> str:
        """A digest (16 hexadecimal digits) of queries, judgements and exclusions; equal for every order of them."""
        excluded = {query_id: sorted(doc_ids) for query_id, doc_ids in self.excluded.items()}
        content = json.dumps([self.queries, self.qrels, excluded], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]
