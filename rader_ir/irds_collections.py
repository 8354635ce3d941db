"""MS MARCO passages, TREC Deep Learning and BEIR as `Collection`s, by ir_datasets or from a folder in BEIR's layout.

Measures are those that papers lead with. Lengths are RepLLaMA's (arXiv:2310.08319; Tevatron's example of it): queries of 32 and
passages of 196 tokens on MS MARCO, as it was trained, 512 and 512 on BEIR.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from rader_ir.bright_sources import irds_documents
from rader_ir.collection import Collection
from rader_ir.corpus import downloading, load_irds
from rader_ir.mteb_layout import has_texts, read_judged, read_texts, texts_digest
from rader_ir.runs import Qrels


class Protocol(NamedTuple):
    """How papers measure a set: measures, tokens of query and document, whether a query's own document is left out."""

    measures: tuple[str, ...]
    max_query_length: int
    max_doc_length: int
    without_itself: bool = False


# Binary measures of the Deep Learning tracks count a passage from grade 2 on: grade 1 is on the topic without an answer.
_DL = Protocol(("nDCG@10", "R(rel=2)@1000", "RR(rel=2)@10"), 32, 196)
PROTOCOLS = {
    "msmarco-dev-small": Protocol(("RR@10", "R@1000", "nDCG@10"), 32, 196),
    "trec-dl-2019": _DL,
    "trec-dl-2020": _DL,
}
DATASETS = {
    "msmarco-dev-small": "msmarco-passage/dev/small",
    "trec-dl-2019": "msmarco-passage/trec-dl-2019/judged",
    "trec-dl-2020": "msmarco-passage/trec-dl-2020/judged",
    "beir/msmarco": "beir/msmarco/dev",  # BEIR measures on dev; `test` of ir_datasets is TREC DL 2019
}
# In ArguAna and Quora queries are documents too; BEIR drops, of every set, the document that has the query's id.
BEIR = Protocol(("nDCG@10", "R@100"), 512, 512, without_itself=True)


def collection(name: str, *, source: str | Path = "irds") -> Collection:
    """A set as a `Collection` of its name.

    Args:
        name: "msmarco-dev-small", "trec-dl-2019", "trec-dl-2020", or "beir/NAME" with a name of ir_datasets, whose test
            queries are taken ("beir/scifact", "beir/cqadupstack/android"; "beir/fiqa/dev" names other queries).
        source: "irds", or a folder with the set's files in the layout of BEIR or MTEB (see `mteb_layout`).

    Raises:
        ValueError: an unknown name; broken files.
        FileNotFoundError: the folder lacks a table.
        ModuleNotFoundError: "irds" without ir_datasets.
    """
    protocol = PROTOCOLS.get(name) or (BEIR if name.startswith("beir/") else None)
    if protocol is None:
        raise ValueError(f"collection {name!r} is unknown; choose {', '.join(PROTOCOLS)} or beir/NAME")
    if source == "irds":
        dataset = dataset_of(name)
        queries, qrels = _judged_in_irds(dataset)
        documents, corpus, version = partial(irds_documents, dataset), None, f"ir_datasets {dataset}"
    else:
        queries, qrels = read_judged(source)
        there = has_texts(source)
        documents, corpus = (partial(each, source) if there else None for each in (read_texts, texts_digest))
        version = "folder"
    return Collection(
        name=name,
        queries=queries,
        qrels=qrels,
        excluded={query_id: frozenset({query_id}) for query_id in queries} if protocol.without_itself else {},
        documents=documents,
        corpus=corpus,
        measures=protocol.measures,
        version=version,
        max_query_length=protocol.max_query_length,
        max_doc_length=protocol.max_doc_length,
    )


def dataset_of(name: str) -> str:
    """The dataset of ir_datasets that a collection is: the first of NAME/test and NAME that has judgements.

    Raises:
        ValueError: ir_datasets has none of that name, or none with judgements.
    """
    if name in DATASETS:
        return DATASETS[name]
    for candidate in (f"{name}/test", name):
        try:
            if load_irds(candidate).has_qrels():
                return candidate
        except ValueError:
            continue
    raise ValueError(
        f"ir_datasets has no judged dataset {name!r} nor '{name}/test'; see https://ir-datasets.com/beir.html"
    )


def _judged_in_irds(name: str) -> tuple[dict[str, str], Qrels]:
    dataset, qrels = load_irds(name), {}
    with downloading(name):
        for judgement in dataset.qrels_iter():
            qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = judgement.relevance
        return {query.query_id: query.text for query in dataset.queries_iter() if query.query_id in qrels}, qrels
