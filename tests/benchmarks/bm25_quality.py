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
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.corpus import read_queries
from rader_ir.evaluation import evaluate
from rader_ir.java import find_java
from rader_ir.runs import Qrels, Run, cut, read_qrels, without
from tests.benchmarks.collections import DATA, MEASURES, SETTINGS, Loaded, load

THEOREMS = {"lucene": (0.0229, 0.1206), "bright": (0.049, None)}  # measured with Lucene; RaDeR, Table 1


def ours(loaded: Loaded) -> Run:
    """Our ranking, 1000 deep."""
    return BM25.build(loaded.documents, blank_ids="allow").retrieve(loaded.queries, excluded=loaded.excluded)


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
        run = ours(loaded)
        print(row(setting.title, run, loaded.qrels, setting.bm25))
        if options.lucene:
            reference = lucene(loaded)
            shared = f"Lucene, shares {same_top(run, reference):.3f} of top 10"
            print(row(f"  {shared}", reference, loaded.qrels, setting.bm25))
    qrels = read_qrels(options.data / "bright" / "qrels" / "theoremqa_theorems.tsv")
    for variant, run in theorems(options.data).items():
        print(row(f"bright_theot_bow, variant {variant}", run, qrels, THEOREMS[variant]))


if __name__ == "__main__":
    main()
