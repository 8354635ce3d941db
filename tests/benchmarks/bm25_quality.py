"""BM25 without Java against the recorded anchors, and with --lucene against Lucene's own ranking of the same texts.

    python -m tests.benchmarks.bm25_quality [--lucene] [--data ../shared/data]

Needs the folder of real collections; --lucene needs pyserini 1.6 and Java 21 or later. The last rows rank BRIGHT's
theoremqa_theorems, of which bags of terms are public, by both variants.
"""

import argparse
import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import evaluate
from rader_ir.java import find_java
from rader_ir.runs import Qrels, Run, cut, read_qrels, without

MEASURES = ("nDCG@10", "R@100")
DATA = Path(__file__).parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Setting:
    """A collection as it was measured: its folder, its files, the fields that make a query, the anchors of MEASURES."""

    name: str
    queries: str
    qrels: str
    query_fields: tuple[str, ...]
    anchors: tuple[float, float]


SETTINGS = (
    Setting("scifact", "queries.test.jsonl", "qrels/test.tsv", ("text",), (0.6789, 0.9253)),
    Setting("theoremqa", "queries.jsonl", "qrels.tsv", ("text",), (0.5010, 0.9106)),
    Setting("stacks_theorems", "queries.test.jsonl", "qrels/test.tsv", ("text",), (0.2323, 0.6211)),
    Setting("stacks_theorems", "queries.test.jsonl", "qrels/test.tsv", ("text", "proof"), (0.3042, 0.6778)),
    Setting("bright_theoq_mini", "queries.jsonl", "qrels.tsv", ("text",), (0.2689, 0.6731)),
    Setting("hotpotqa_500", "queries.jsonl", "qrels.tsv", ("text",), (0.7828, 0.9800)),
)
THEOREMS = {"lucene": (0.0229, 0.1206), "bright": (0.049, None)}  # measured with Lucene; RaDeR, Table 1


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


def ours(loaded: Loaded) -> Run:
    """Our ranking, 1000 deep."""
    return BM25.build(loaded.documents).retrieve(loaded.queries, excluded=loaded.excluded)


def lucene(loaded: Loaded, *, depth: int = 1000) -> Run:
    """Lucene's ranking of the same texts through pyserini, in this process; k1 0.9, b 0.4, its English analyser."""
    os.environ["JAVA_HOME"] = str(find_java().home)
    os.environ.setdefault("OPENAI_API_KEY", "unused")
    from pyserini.index.lucene import LuceneIndexer
    from pyserini.search.lucene import LuceneSearcher

    most = max(map(len, loaded.excluded.values()), default=0)
    with tempfile.TemporaryDirectory() as folder:
        indexer = LuceneIndexer(folder, threads=1)
        for doc_id, text in loaded.documents:
            indexer.add_doc_dict({"id": doc_id, "contents": text})
        indexer.close()
        searcher = LuceneSearcher(folder)
        searcher.set_bm25(0.9, 0.4)
        hits = {query_id: searcher.search(text, k=depth + most) for query_id, text in loaded.queries.items()}
        run = {query_id: {hit.docid: float(hit.score) for hit in found} for query_id, found in hits.items()}
        searcher.close()
    return cut(without(run, loaded.excluded), depth)


def theorems(data: Path = DATA) -> dict[str, Run]:
    """BRIGHT's theoremqa_theorems ranked by each variant, from the public bags of terms, as {variant: run}."""
    with gzip.open(data / "bright_theot_bow" / "bow.jsonl.gz", "rt", encoding="utf-8") as lines:
        bags = [(record["doc_id"], record["tf"]) for record in map(json.loads, lines)]
    queries, excluded = read_queries(data / "bright" / "topics" / "theoremqa_theorems.jsonl.gz", fields=["query"])
    return {
        variant: BM25.build_tokens(bags, variant=variant).retrieve(queries, excluded=excluded) for variant in THEOREMS
    }


def same_top(first: Run, second: Run, depth: int = 10) -> float:
    """Mean share of the first `depth` documents that both rankings have."""
    shares = [
        len(set(rows) & set(cut(second, depth)[query_id])) / max(len(rows), 1)
        for query_id, rows in cut(first, depth).items()
    ]
    return sum(shares) / len(shares)


def row(name: str, run: Run, qrels: Qrels, anchors: tuple[float, float | None]) -> str:
    """One line of the table: what was measured, each measure beside its anchor."""
    values: Mapping[str, float] = evaluate(run, qrels, MEASURES)
    cells = [
        f"{values[measure]:.4f} ({'-' if anchor is None else f'{anchor:.4f}'})"
        for measure, anchor in zip(MEASURES, anchors, strict=True)
    ]
    return f"| {name:42} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lucene", action="store_true", help="rank the same texts with Lucene through pyserini")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real collections")
    options = parser.parse_args()
    print(f"| {'collection, measured (anchor)':42} | {' | '.join(f'{measure:15}' for measure in MEASURES)} |")
    for setting in SETTINGS:
        loaded = load(setting, options.data)
        run, name = ours(loaded), f"{setting.name}, {' + '.join(setting.query_fields)}"
        print(row(name, run, loaded.qrels, setting.anchors))
        if options.lucene:
            reference = lucene(loaded)
            shared = f"Lucene, shares {same_top(run, reference):.3f} of top 10"
            print(row(f"  {shared}", reference, loaded.qrels, setting.anchors))
    qrels = read_qrels(options.data / "bright" / "qrels" / "theoremqa_theorems.tsv")
    for variant, run in theorems(options.data).items():
        print(row(f"bright_theot_bow, variant {variant}", run, qrels, THEOREMS[variant]))


if __name__ == "__main__":
    main()
