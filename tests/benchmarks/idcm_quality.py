"""IDCM against scoring every window: nDCG@10 and the share of windows that the strong model reads, on long and short documents.

    python -m tests.benchmarks.idcm_quality --data ../shared/data [--strong NAME] [--work DIR] [--only NAME ...] [--queries N]

BM25's first documents are reranked by the strong model over all windows and over the k that a selector chose. The selector is
trained here, on queries that are not measured (scifact's training queries, the lessons' image descriptions and headings), without
labels. With --keep the strong model's scores of all windows go into a file of --work, and selectors by several losses are
measured on them: such rows have no seconds.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from rader_ir.bm25 import BM25
from rader_ir.checkpoints import MINI_RERANKER
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import bootstrap_interval, per_query
from rader_ir.examples import Example, Passage
from rader_ir.records import jsonl_records
from rader_ir.rerank.idcm import IDCM
from rader_ir.runs import Qrels, Run, cut, read_qrels
from rader_ir.seeded import shuffled
from rader_ir.train.card import CARD
from rader_ir.train.idcm import train_idcm
from rader_ir.train.idcm_settings import RECALL, IDCMOptions
from tests.benchmarks.collections import DATA

MEASURE = "nDCG@10"
EVERY = 10**6  # windows of a document: more than any has
AT_ONCE = 16  # queries, in whose documents the selector reads each window once; what a kill can lose


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
        "interleaved_lessons", "question_queries.jsonl", "question_qrels.tsv", "image_queries.jsonl", 210, 21, (4,)
    ),
)


class Keeping(IDCM):
    """An IDCM whose strong model scores all windows of a document at once, into a file where other calls find them.

    Args:
        checkpoint, options: as `IDCM`.
        kept: the file; None reads and writes none, which is `IDCM` itself.
    """

    def __init__(self, checkpoint: Path, *, kept: Path | None, **options):
        super().__init__(checkpoint, **options)
        self.kept, self.known = kept, {}
        for line in kept.read_text("utf-8").splitlines(keepends=True) if kept and kept.is_file() else ():
            if line.endswith("]}\n"):  # else a kill cut it short
                record = json.loads(line)
                self.known[record["key"]] = np.array(record["scores"], dtype=np.float32)

    def _strong_scores(self, texts, queries, docs, pairs, chosen):
        if self.kept is None:
            return super()._strong_scores(texts, queries, docs, pairs, chosen)
        keys = [self._key(queries[query].ids, docs[doc].ids) for query, doc in pairs]
        lacking = [place for place, key in enumerate(keys) if key not in self.known]
        read, seen = self.windows_read, self.windows_seen
        if lacking:
            some = [pairs[place] for place in lacking]
            every = [np.arange(len(docs[doc].windows)) for _, doc in some]
            found = super()._strong_scores(texts, queries, docs, some, every)
            self._write({keys[place]: scores for place, scores in zip(lacking, found, strict=True)})
        self.windows_read = read + sum(map(len, chosen))
        self.windows_seen = seen + sum(len(docs[doc].windows) for _, doc in pairs)
        return [self.known[key][windows] for key, windows in zip(keys, chosen, strict=True)]

    def _key(self, *ids: list[int]) -> str:
        told = [self.model.fingerprint(), self.config.core, self.config.overlap, self.config.ends, *ids]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]

    def _write(self, found: dict[str, np.ndarray]) -> None:
        self.known |= found
        lines = [json.dumps({"key": key, "scores": scores.tolist()}) + "\n" for key, scores in found.items()]
        torn = self.kept.is_file() and not self.kept.read_bytes().endswith(b"\n")
        with self.kept.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + "".join(lines))


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


def training_queries(folder: Path, name: str) -> dict[str, str]:
    """{query_id: text} of queries to learn from: those of the file `name`, and headings of lessons, which need no labels either.

    Headings of one word, and those that several sections have ("Solution", "Challenge 1"), ask for nothing. Both kinds are in
    one order by a seed, so that any number of them is of all lessons.
    """
    queries, _ = read_queries(folder / name)
    if (folder / "documents.jsonl").is_file():
        sections = [part for _, record in jsonl_records(folder / "documents.jsonl") for part in record["sections"]]
        counts = Counter(section["heading"] for section in sections)
        once = [heading for heading, count in counts.items() if count == 1 and len(heading.split()) > 1]
        queries |= {f"heading-{place}": heading for place, heading in enumerate(once)}
        queries = dict(shuffled(list(queries.items()), "training"))
    return queries


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
    for start in range(0, len(run), AT_ONCE):
        part = list(run)[start : start + AT_ONCE]
        found = reranker.score([queries[query_id] for query_id in part], [[texts[doc] for doc in run[i]] for i in part])
        made |= {i: dict(zip(run[i], scores.tolist(), strict=True)) for i, scores in zip(part, found, strict=True)}
    share = (reranker.windows_read - read) / (reranker.windows_seen - seen)
    return made, share, time.perf_counter() - begin


def rows(setting: Setting, data: Path, work: Path, options: argparse.Namespace) -> Iterator[dict]:
    """Every window first, then each k, with its difference from that and a 95 % interval over queries."""
    folder = data / setting.name
    texts, qrels = documents(folder), read_qrels(folder / setting.qrels)
    index = BM25.build(texts.items(), blank_ids="allow")
    asked = set(read_queries(folder / setting.queries)[0].values())
    training = training_queries(folder, setting.training)
    training = {query_id: text for query_id, text in training.items() if text not in asked}
    taught = lessons_of(training, index.retrieve(training, depth=3), texts, options.training)
    held = max(1, len(taught) // 8)
    told = dict(core=setting.core, overlap=setting.overlap, missing="renormalise", max_query_length=64)
    steps = dict(epochs=options.epochs, negatives=2, batch_size=8, accumulation=1, warmup_steps=10)
    steps |= dict(selector_learning_rate=options.learning_rate, log_steps=50)
    outs, kept = {}, work / f"{setting.name}.windows.jsonl" if options.keep else None
    for loss in options.loss:
        outs[loss] = work / f"{setting.name}-{loss}"
        if not outs[loss].is_dir():
            given = IDCMOptions(options.strong, **told, **steps, passages=min(setting.passages), loss=loss)
            lessons = dict(examples=taught[held:], dev=taught[:held], teacher=work / f"{setting.name}.teacher.jsonl")
            train_idcm(given, out=outs[loss], **lessons)
    queries, _ = read_queries(folder / setting.queries)
    queries = dict(list(queries.items())[: options.queries])
    candidates = cut(index.retrieve(queries), options.depth)
    measured = {query_id: qrels[query_id] for query_id in candidates if query_id in qrels}
    full: dict[str, float] = {}
    ways = [(options.loss[0], EVERY), *product(options.loss, setting.passages)]
    for loss, passages in ways:
        reranker = Keeping(outs[loss], kept=kept, passages=passages)
        run, share, seconds = reranked(reranker, queries, candidates, texts)
        values = mean_of(run, measured)
        full = full or values
        gains = [value - full[query_id] for query_id, value in values.items()]
        low, high = bootstrap_interval(gains)
        yield {
            "collection": setting.name,
            "loss": "" if passages == EVERY else loss,
            "k": "all" if passages == EVERY else passages,
            "recall": None if passages == EVERY else dev_recall(outs[loss]),
            MEASURE: sum(values.values()) / len(values),
            "bm25": sum(found := [*mean_of(candidates, measured).values()]) / len(found),
            "difference": sum(gains) / len(gains),
            "low": low,
            "high": high,
            "share of windows": share,
            "seconds": None if options.keep else seconds,
            "queries": len(values),
        }


def dev_recall(folder: Path) -> float:
    """The share of the strong model's best 3 windows that the selector chooses, on the queries held out of its training."""
    return json.loads((folder / "training" / CARD).read_text("utf-8"))["figures"][RECALL]["chosen"]


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
    parser.add_argument("--loss", nargs="+", default=["ndcg2"], help="of the selectors")
    parser.add_argument("--keep", action="store_true", help="keep the strong model's scores in --work")
    parser.add_argument("--depth", type=int, default=20, help="documents of BM25 that are reranked")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args(words)


def main() -> None:
    """Print the table."""
    options, made = parsed(), []
    with tempfile.TemporaryDirectory() as scratch:
        print(
            f"| collection | loss | recall on dev | k | BM25 | {MEASURE} | difference [95 %] | windows read | seconds |"
        )
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        for setting in SETTINGS:
            if options.only and setting.name not in options.only:
                continue
            for row in rows(setting, options.data, options.work or Path(scratch), options):
                made.append(row)
                gain = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
                cells = (
                    row["loss"],
                    "" if row["recall"] is None else f"{row['recall']:.3f}",
                    f"{row['k']}",
                    f"{row['bm25']:.4f}",
                    f"{row[MEASURE]:.4f}",
                    gain,
                    f"{row['share of windows']:.3f}",
                    "-" if row["seconds"] is None else f"{row['seconds']:.0f}",
                )
                print("| " + " | ".join((row["collection"], *cells)) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
