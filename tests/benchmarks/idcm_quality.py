"""IDCM against scoring every window: nDCG@10 and the share of windows that the strong model reads, on long and short documents.

    python -m tests.benchmarks.idcm_quality --data ../shared/data [--strong NAME] [--work DIR] [--only NAME ...] [--queries N]

BM25's first documents are reranked by the strong model over all windows and over the k that a selector chose. The selector is
trained here, on queries that are not measured (scifact's training queries, the lessons' image descriptions), without labels.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.checkpoints import MINI_RERANKER
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import bootstrap_interval, per_query
from rader_ir.examples import Example, Passage
from rader_ir.records import jsonl_records
from rader_ir.rerank.idcm import IDCM
from rader_ir.runs import Qrels, Run, cut, read_qrels
from rader_ir.train.idcm import train_idcm
from rader_ir.train.idcm_settings import IDCMOptions
from tests.benchmarks.collections import DATA

MEASURE = "nDCG@10"
EVERY = 10**6  # windows of a document: more than any has


@dataclass(frozen=True)
class Setting:
    """A collection: its files, how its windows are cut, the k of each row, and how many training queries suffice."""

    name: str
    queries: str
    qrels: str
    training: str
    core: int
    overlap: int
    passages: tuple[int, ...]


SETTINGS = (
    Setting("scifact", "queries.test.jsonl", "qrels/test.tsv", "queries.train.jsonl", 64, 9, (2, 4)),
    Setting(
        "interleaved_lessons", "question_queries.jsonl", "question_qrels.tsv", "image_queries.jsonl", 150, 21, (2, 4)
    ),
)


def documents(folder: Path) -> dict[str, str]:
    """{doc_id: text}; of a lesson its headings, texts and captions in their order."""
    if (folder / "corpus.jsonl.gz").is_file():
        return dict(read_documents(folder / "corpus.jsonl.gz"))
    found = {}
    for _, record in jsonl_records(folder / "documents.jsonl"):
        parts = [record["title"]]
        for section in record["sections"]:
            parts.append(section["heading"])
            parts += [segment.get("text") or segment.get("caption") or "" for segment in section["segments"]]
        found[record["doc_id"]] = "\n".join(filter(None, parts))
    return found


def lessons_of(queries: dict[str, str], run: Run, texts: dict[str, str], count: int) -> list[Example]:
    """BM25's first documents of some queries; which of them is called positive has no meaning for a selector."""
    made = []
    for query_id, scores in list(run.items())[:count]:
        first, *others = [Passage(doc_id, texts[doc_id]) for doc_id in list(scores)[:3]]
        others = [passage for passage in others if passage.text != first.text]
        made.append(Example(query_id, queries[query_id], (first,), tuple(others)))
    return made


def reranked(reranker: IDCM, queries: dict[str, str], run: Run, texts: dict[str, str]) -> tuple[Run, float, float]:
    """The new run, the share of windows that the strong model read, and the seconds."""
    begin, read, seen, made = time.perf_counter(), reranker.windows_read, reranker.windows_seen, {}
    for query_id, candidates in run.items():
        [scores] = reranker.score([queries[query_id]], [[texts[doc_id] for doc_id in candidates]])
        made[query_id] = dict(zip(candidates, scores.tolist(), strict=True))
    share = (reranker.windows_read - read) / (reranker.windows_seen - seen)
    return made, share, time.perf_counter() - begin


def rows(setting: Setting, data: Path, work: Path, options: argparse.Namespace) -> Iterator[dict]:
    """Every window first, then each k, with its difference from that and a 95 % interval over queries."""
    folder = data / setting.name
    texts, qrels = documents(folder), read_qrels(folder / setting.qrels)
    index = BM25.build(texts.items(), blank_ids="allow")
    training, _ = read_queries(folder / setting.training)
    taught = lessons_of(training, index.retrieve(training, depth=3), texts, options.training)
    held = max(1, len(taught) // 8)
    told = dict(core=setting.core, overlap=setting.overlap, missing="renormalise", max_query_length=64)
    steps = dict(epochs=options.epochs, negatives=2, batch_size=8, accumulation=1, warmup_steps=10)
    steps |= dict(selector_learning_rate=options.learning_rate, log_steps=50)
    given = IDCMOptions(options.strong, **told, **steps, passages=min(setting.passages), loss=options.loss)
    out = work / f"{setting.name}-{options.loss}"
    if not out.is_dir():
        train_idcm(given, examples=taught[held:], dev=taught[:held], out=out)
    queries, _ = read_queries(folder / setting.queries)
    queries = dict(list(queries.items())[: options.queries])
    candidates = cut(index.retrieve(queries), options.depth)
    measured = {query_id: qrels[query_id] for query_id in candidates if query_id in qrels}
    full: dict[str, float] = {}
    for passages in (EVERY, *setting.passages):
        run, share, seconds = reranked(IDCM(out, passages=passages), queries, candidates, texts)
        values = mean_of(run, measured)
        full = full or values
        gains = [value - full[query_id] for query_id, value in values.items()]
        low, high = bootstrap_interval(gains)
        yield {
            "collection": setting.name,
            "k": "all" if passages == EVERY else passages,
            MEASURE: sum(values.values()) / len(values),
            "bm25": sum(found := [*mean_of(candidates, measured).values()]) / len(found),
            "difference": sum(gains) / len(gains),
            "low": low,
            "high": high,
            "share of windows": share,
            "seconds": seconds,
            "queries": len(values),
        }


def mean_of(run: Run, qrels: Qrels) -> dict[str, float]:
    """MEASURE by query."""
    return per_query(run, qrels, MEASURE)[MEASURE]


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The options of a call."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real collections")
    parser.add_argument("--work", type=Path, help="where selectors are kept; a temporary folder by default")
    parser.add_argument("--strong", default=MINI_RERANKER, help="the strong model")
    parser.add_argument("--only", nargs="*", help="names of collections")
    parser.add_argument("--queries", type=int, help="measure so many queries; all by default")
    parser.add_argument("--training", type=int, default=800, help="queries that the selector learns from")
    parser.add_argument("--epochs", type=int, default=6, help="of the selector")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="of the selector")
    parser.add_argument("--loss", default="ndcg2", help="of the selector")
    parser.add_argument("--depth", type=int, default=20, help="documents of BM25 that are reranked")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args(words)


def main() -> None:
    """Print the table."""
    options, made = parsed(), []
    with tempfile.TemporaryDirectory() as scratch:
        print(
            f"| collection | k | BM25 | {MEASURE} | difference [95 %] | windows read | seconds |\n|---|---|---|---|---|---|---|"
        )
        for setting in SETTINGS:
            if options.only and setting.name not in options.only:
                continue
            for row in rows(setting, options.data, options.work or Path(scratch), options):
                made.append(row)
                gain = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
                cells = (
                    f"{row['k']}",
                    f"{row['bm25']:.4f}",
                    f"{row[MEASURE]:.4f}",
                    gain,
                    f"{row['share of windows']:.3f}",
                    f"{row['seconds']:.0f}",
                )
                print("| " + " | ".join((row["collection"], *cells)) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
