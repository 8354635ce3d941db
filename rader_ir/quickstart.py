"""From a fresh installation to retrieval on a real collection: which theorem helps with this question?

TheoremQA (arXiv:2305.12524) gives 354 theorems and 537 questions; both come with the package. BM25, a small dense
retriever, the same one trained by the recipe of `rader train mini` (which never saw these questions), BM25 reranked by the
small retriever's vectors, and its hybrid with BM25 rank all theorems for each question, and are measured. The trained
reranker, which reads question and theorem together and so takes longer, is shown on one question.
"""

from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.checkpoints import MINI_RERANKER, MINI_RETRIEVER, SMALL_RETRIEVER
from rader_ir.corpus import read_documents, read_queries
from rader_ir.encoder import Encoder
from rader_ir.evaluation import per_query
from rader_ir.fusion import interpolate
from rader_ir.index_writer import build_index
from rader_ir.reports.tables import measures_table
from rader_ir.rerank import Reranker, open_reranker
from rader_ir.runs import Qrels, Run, cut, ranked, read_qrels, write_run

DATA = Path(__file__).parent / "data" / "theoremqa"
MEASURES = ("nDCG@10", "R@100", "RR@10")
CHECKPOINT, TRAINED = SMALL_RETRIEVER, MINI_RETRIEVER
DEPTH, RERANKED = 1000, 100


def load() -> tuple[dict[str, str], dict[str, str], Qrels]:
    """The collection of this package: theorems {doc_id: name and text}, questions {query_id: text}, judgements."""
    documents = dict(read_documents(DATA / "corpus.jsonl.gz"))
    queries, _ = read_queries(DATA / "queries.jsonl.gz")
    return documents, queries, read_qrels(DATA / "qrels.tsv")


def quickstart(out: str | Path = "rader-quickstart", *, device: str | None = None, verbose: bool = True) -> dict:
    """Indexes the theorems three times, runs five systems, measures them, and writes indexes and TREC runs into `out`.

    Returns:
        documents, queries: counts; values: {system: {measure: {query_id: value}}}; example: one question with what each
        system, and the trained reranker of BM25's first 100, ranked first; truncated: texts that were cut at the model's 256
        tokens; out: the folder.
    """
    documents, queries, qrels = load()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    encoder, trained = (Encoder(name, device=device, verbose=verbose) for name in (CHECKPOINT, TRAINED))
    lexical = _bm25(folder / "bm25", documents).retrieve(queries, depth=DEPTH)
    dense = build_index(folder / "dense", documents.items(), encoder).retrieve(queries, encoder, depth=DEPTH)
    learned = build_index(folder / TRAINED, documents.items(), trained).retrieve(queries, trained, depth=DEPTH)
    reranker = open_reranker("biencoder", checkpoint=CHECKPOINT, device=device, verbose=verbose)
    runs = {
        "bm25": lexical,
        "dense": dense,
        TRAINED: learned,
        "bm25-rerank": _reranked(cut(lexical, RERANKED), documents, queries, reranker),
        "hybrid": interpolate(dense, lexical, alpha=0.5, normalise="zscore", depth=DEPTH),
    }
    for name, run in runs.items():
        write_run(run, folder / f"{name}.trec", tag=name)
    example = _example(documents, queries, qrels, runs)
    cross_encoder = open_reranker("rader", checkpoint=MINI_RERANKER, device=device, verbose=verbose)
    asked = {example["query_id"]: cut(lexical, RERANKED).get(example["query_id"], {})}
    scored = _reranked(asked, documents, queries, cross_encoder)
    example["first"] |= _first(documents, example["query_id"], {MINI_RERANKER: scored})
    return {
        "collection": "TheoremQA",
        "documents": len(documents),
        "queries": len(queries),
        "values": {name: per_query(run, qrels, MEASURES) for name, run in runs.items()},
        "example": example,
        "truncated": encoder.truncated,
        "out": str(folder),
    }


def report(result: dict) -> str:
    """What `quickstart` found, for reading: the collection, a table with 95 % intervals, one question, the files."""
    example = result["example"]
    right = ", ".join(example["relevant"].values())
    width = max(map(len, example["first"]))
    firsts = [f"  {name:{width}}  {_answer(first, example['relevant'])}" for name, first in example["first"].items()]
    return "\n".join(
        [
            f"TheoremQA: {result['documents']} theorems, {result['queries']} questions; means with 95 % intervals",
            measures_table(result["values"]).text(),
            "",
            f"Question {example['query_id']}: {example['question']}",
            f"Its theorem: {right}. Ranked first:",
            *firsts,
            "",
            f"Runs and indexes lie in {result['out']}",
        ]
    )


def _answer(first: dict[str, str], relevant: dict[str, str]) -> str:
    """`Lah number (right)`, or a dash for a system that found nothing."""
    return ", ".join(name + " (right)" * (doc_id in relevant) for doc_id, name in first.items()) or "-"


def _bm25(folder: Path, documents: dict[str, str]) -> BM25:
    """The BM25 index in `folder`, made by the first call."""
    if folder.exists():
        return BM25.load(folder)
    bm25 = BM25.build(documents.items())
    bm25.save(folder)
    return bm25


def _reranked(run: Run, documents: dict[str, str], queries: dict[str, str], reranker: Reranker) -> Run:
    candidates = {query_id: list(scores) for query_id, scores in run.items()}
    texts = [[documents[doc_id] for doc_id in doc_ids] for doc_ids in candidates.values()]
    scored = reranker.score([queries[query_id] for query_id in candidates], texts)
    return {
        query_id: dict(zip(doc_ids, map(float, scores), strict=True))
        for (query_id, doc_ids), scores in zip(candidates.items(), scored, strict=True)
    }


def _example(documents: dict[str, str], queries: dict[str, str], qrels: Qrels, runs: dict[str, Run]) -> dict:
    """What each system ranked first for the first question on which they disagree and one of them is right."""
    for query_id in queries:
        first = _first(documents, query_id, runs)
        answers = {doc_id for found in first.values() for doc_id in found}
        right = {doc_id for doc_id, relevance in qrels[query_id].items() if relevance > 0}
        if len(answers) > 1 and answers & right:
            break
    return {
        "query_id": query_id,
        "question": queries[query_id],
        "relevant": {doc_id: _name(documents[doc_id]) for doc_id in sorted(right)},
        "first": first,
    }


def _first(documents: dict[str, str], query_id: str, runs: dict[str, Run]) -> dict[str, dict[str, str]]:
    """{system: {doc_id: name}} of the document that each ranked first, {} where it found none."""
    found = {name: ranked(run.get(query_id, {}), 1) for name, run in runs.items()}
    return {name: {doc_id: _name(documents[doc_id]) for doc_id, _ in rows} for name, rows in found.items()}


def _name(document: str) -> str:
    return document.partition("\n")[0]
