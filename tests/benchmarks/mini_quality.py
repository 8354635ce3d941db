"""The mini checkpoints against their base, with paired tests, on collections whose queries they never saw.

    python -m tests.benchmarks.mini_quality [--data ../shared/data] [--work DIR] [--only NAME ...] [--no-rerank]

Dense retrieval by `minilm` and by `mini-retriever`, and BM25's first 100 reranked by the cosines of `minilm` and by
`mini-reranker`; nDCG@10. A difference comes with its 95 % bootstrap interval over queries and the p of a paired t-test. The
cross-encoder takes most of the time, about an hour on two cores.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from scipy.stats import ttest_rel

from rader_ir.bm25 import BM25
from rader_ir.checkpoints import MINI_RERANKER, MINI_RETRIEVER, SMALL_RETRIEVER
from rader_ir.encoder import Encoder
from rader_ir.evaluation import bootstrap_interval, per_query
from rader_ir.index_writer import build_index
from rader_ir.rerank import open_reranker
from rader_ir.rerank_file import rerank_file
from rader_ir.runs import Run, cut, read_run
from tests.benchmarks.collections import DATA, SETTINGS, Loaded, Setting, load

MEASURE = "nDCG@10"
COLLECTIONS = ("stacks_theorems", "theoremqa", "scifact", "bright_theoq_mini")
RERANKED = ("stacks_theorems", "theoremqa")
BM25_FIRST, BASE_RERANK, MINI_RERANK = "bm25", f"bm25 % 100 >> {SMALL_RETRIEVER}", f"bm25 % 100 >> {MINI_RERANKER}"
PAIRS = ((SMALL_RETRIEVER, MINI_RETRIEVER), (BM25_FIRST, MINI_RERANK), (BASE_RERANK, MINI_RERANK))


def dense_runs(setting: Setting, loaded: Loaded, work: Path) -> Iterator[tuple[str, Run]]:
    """The two encoders' rankings."""
    for name in (SMALL_RETRIEVER, MINI_RETRIEVER):
        encoder = Encoder(name, verbose=False)
        index = build_index(work / f"{setting.name}-{name}", loaded.documents, encoder)
        yield name, index.retrieve(loaded.queries, encoder, excluded=loaded.excluded)


def reranked_runs(setting: Setting, loaded: Loaded, work: Path) -> Iterator[tuple[str, Run]]:
    """BM25 and its first 100, reranked twice."""
    bm25 = BM25.build(loaded.documents, blank_ids="allow")
    lexical = bm25.retrieve(loaded.queries, excluded=loaded.excluded)
    yield BM25_FIRST, lexical
    for name, system, checkpoint in (
        (BASE_RERANK, "biencoder", SMALL_RETRIEVER),
        (MINI_RERANK, "rader", MINI_RERANKER),
    ):
        out = work / f"{setting.name}-{checkpoint}.trec"
        if out.is_file():
            yield name, read_run(out)
            continue
        reranker = open_reranker(system, checkpoint=checkpoint)
        yield name, rerank_file(cut(lexical, 100), loaded.queries, loaded.documents, reranker, out, verbose=True)


def difference(base: Mapping[str, float], other: Mapping[str, float]) -> dict:
    """What `other` gains over `base`, query by query: mean, 95 % interval, p."""
    gains = {query_id: other.get(query_id, 0.0) - value for query_id, value in base.items()}
    low, high = bootstrap_interval(list(gains.values()))
    p = ttest_rel([other.get(query_id, 0.0) for query_id in base], list(base.values())).pvalue
    return {"gain": sum(gains.values()) / len(gains), "low": low, "high": high, "p": float(p)}


def rows(setting: Setting, loaded: Loaded, work: Path, rerank: bool) -> Iterator[dict]:
    """One row per pair of systems that were run."""
    runs = dict(dense_runs(setting, loaded, work))
    if rerank and setting.name in RERANKED:
        runs |= dict(reranked_runs(setting, loaded, work))
    values = {name: per_query(run, loaded.qrels, MEASURE)[MEASURE] for name, run in runs.items()}
    means = {name: sum(found.values()) / len(found) for name, found in values.items()}
    for base, other in PAIRS:
        if base in runs and other in runs:
            told = {"base": base, "base value": means[base], "system": other, "value": means[other]}
            yield {"collection": setting.name, **told, **difference(values[base], values[other])}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real collections")
    parser.add_argument(
        "--work", type=Path, help="where indexes and runs are kept and taken from; a temporary folder by default"
    )
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS, default=COLLECTIONS, help="names of collections")
    parser.add_argument("--no-rerank", action="store_true", help="leave out the rerankers")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        print(
            f"| collection | base | {MEASURE} | system | {MEASURE} | gain [95 %] | p |\n|---|---|---|---|---|---|---|"
        )
        for setting in SETTINGS:
            if setting.name not in options.only or setting.query_fields != ("text",):
                continue
            for row in rows(setting, load(setting, options.data), options.work or Path(scratch), not options.no_rerank):
                made.append(row)
                gain = f"{row['gain']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
                cells = (
                    row["base"],
                    f"{row['base value']:.4f}",
                    row["system"],
                    f"{row['value']:.4f}",
                    gain,
                    f"{row['p']:.4f}",
                )
                print("| " + " | ".join((row["collection"], *cells)) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
