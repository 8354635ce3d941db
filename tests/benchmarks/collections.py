"""The real collections that quality is measured on, with the figures to agree with.

The anchors were measured once with Lucene (BM25, k1 0.9, b 0.4), all-MiniLM-L6-v2 (256 tokens, exhaustive) and their
z-scored sum at alpha 0.5, over the first 1000 of each; `../shared/data/README.md` beside the repository tells how.
"""

from dataclasses import dataclass
from pathlib import Path

from rader_ir.corpus import read_documents, read_queries
from rader_ir.runs import Qrels, read_qrels

MEASURES = ("nDCG@10", "R@100")
DATA = Path(__file__).parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Setting:
    """A collection as it was measured: its folder, its files, the fields that make a query, the anchors of MEASURES."""

    name: str
    queries: str
    qrels: str
    query_fields: tuple[str, ...]
    bm25: tuple[float, float]
    minilm: tuple[float, float]
    hybrid: tuple[float, float]

    @property
    def title(self) -> str:
        """Collection and query fields."""
        return f"{self.name}, {' + '.join(self.query_fields)}"


_TEST = ("queries.test.jsonl", "qrels/test.tsv")
_ALL = ("queries.jsonl", "qrels.tsv")
SETTINGS = (
    Setting("scifact", *_TEST, ("text",), (0.6789, 0.9253), (0.6451, 0.9250), (0.7387, 0.9617)),
    Setting("theoremqa", *_ALL, ("text",), (0.5010, 0.9106), (0.6562, 0.9721), (0.6343, 0.9814)),
    Setting("stacks_theorems", *_TEST, ("text",), (0.2323, 0.6211), (0.2821, 0.7435), (0.2816, 0.7390)),
    Setting("stacks_theorems", *_TEST, ("text", "proof"), (0.3042, 0.6778), (0.3482, 0.8123), (0.3709, 0.7951)),
    Setting("bright_theoq_mini", *_ALL, ("text",), (0.2689, 0.6731), (0.3646, 0.6457), (0.3707, 0.7430)),
    Setting("hotpotqa_500", *_ALL, ("text",), (0.7828, 0.9800), (0.7914, 0.9620), (0.8546, 0.9910)),
)


@dataclass(frozen=True)
class Loaded:
    """A collection in memory: (doc_id, text) pairs, queries, excluded ids, judgements."""

    documents: list[tuple[str, str]]
    queries: dict[str, str]
    excluded: dict[str, frozenset[str]]
    qrels: Qrels


def load(setting: Setting, data: Path = DATA) -> Loaded:
    """Read a collection from the folder `data`."""
    folder = data / setting.name
    queries, excluded = read_queries(folder / setting.queries, fields=setting.query_fields)
    documents = list(read_documents(folder / "corpus.jsonl.gz"))
    return Loaded(documents, queries, excluded, read_qrels(folder / setting.qrels))
