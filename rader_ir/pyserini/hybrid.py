"""`python -m rader_ir.pyserini hybrid dense ... sparse ... fusion ... run ...`: FAISS and Lucene's BM25, fused.

The score is alpha * dense + (1 - alpha) * BM25, each normalised per query (arXiv:2505.18405); Pyserini's own hybrid
adds without normalising, weighs the other side, and fails on lists of one score. Both lists come from Pyserini's
searchers; excluded documents leave them before they are cut.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rader_ir.fusion import NORMALISATIONS, interpolate
from rader_ir.pyserini import sections
from rader_ir.pyserini.agreement import check_index
from rader_ir.pyserini.environment import prepare
from rader_ir.pyserini.search import ALLOW_MISMATCH, BATCH, instruction_of
from rader_ir.pyserini.topics import Excluded, excluded_of, read_topics
from rader_ir.runs import Run, cut, without, write_run

SECTIONS = ("dense", "sparse", "fusion", "run")


def main(argv: Sequence[str]) -> None:
    """Search both indexes as `argv` says, fuse, and write a TREC run.

    Raises:
        PyseriniUnavailable: Lucene needs Pyserini and Java; `rader bm25` and `rader fuse` need neither.
        ValueError: the dense index records another encoder.
    """
    args = parse(argv)
    if args.encoder and not args.allow_mismatch:
        from rader_ir.encoder import Encoder

        check_index(Encoder(args.encoder), args.dense_index)
    prepare()
    queries, _ = read_topics(args.topics, args.topics_format)
    excluded = excluded_of(args.topics, args.excluded_ids)
    deeper = args.depth + max(map(len, excluded.values()), default=0)
    dense = search_dense(args, queries, deeper)
    sparse = search_sparse(args, queries, deeper)
    fused = fuse(dense, sparse, excluded, args)
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    write_run(fused, args.output, tag="hybrid")


def parse(argv: Sequence[str]) -> Namespace:
    """Options of all sections; a flag that is not one of them ends the program with the usage."""
    usage = "python -m rader_ir.pyserini hybrid dense --index DIR --encoder CHECKPOINT sparse --index LUCENE_DIR "
    usage += "fusion [--alpha 0.5] [--normalise zscore] run --topics FILE --output FILE [--excluded-ids FILE]"
    parsers = {
        name: ArgumentParser(f"hybrid {name}".strip(), usage=usage, allow_abbrev=False) for name in ("", *SECTIONS)
    }
    add = parsers["dense"].add_argument
    add("--index", dest="dense_index", required=True)
    encoder = parsers["dense"].add_mutually_exclusive_group(required=True)
    encoder.add_argument("--encoder")
    encoder.add_argument("--encoded-queries")
    add("--device")
    add("--fp16", action="store_true")
    add("--task", help="BRIGHT task whose instruction is put before every query")
    add("--allow-mismatch", action="store_true", help=ALLOW_MISMATCH)
    add = parsers["sparse"].add_argument
    add("--index", dest="sparse_index", required=True)
    add("--bm25qs", action="store_true", help="BM25 weights on the query's side too, as BRIGHT's own BM25 has")
    add("--k1", type=float, default=0.9)
    add("--b", type=float, default=0.4)
    add = parsers["fusion"].add_argument
    add("--alpha", type=float, default=0.5, help="weight of the dense score")
    add("--normalise", choices=list(NORMALISATIONS), default="zscore")
    add("--hits", dest="depth", type=int, default=1000, help="length of each list before fusion")
    add = parsers["run"].add_argument
    add("--topics", required=True)
    add("--topics-format", default="default")
    add("--output", required=True)
    add("--hits", type=int, default=1000)
    add("--threads", type=int, default=1)
    add("--batch-size", type=int, default=BATCH)
    add("--excluded-ids", help="file of lines `qid docid`, or queries with excluded_ids; else those of the topics file")
    args, unknown = sections.parse(parsers, sections.split(argv, SECTIONS))
    for name, words in unknown.items():
        if words:
            parsers[name].error(f"{name} does not know {' '.join(words)}")
    return args


def search_dense(args: Namespace, queries: dict[str, str], depth: int) -> Run:
    """`depth` documents of each query by inner product, from Pyserini's FaissSearcher."""
    from pyserini.search.faiss import FaissSearcher

    from rader_ir.pyserini.encoders import RaDeRQueryEncoder

    instruction = instruction_of(args.task)
    encoder = RaDeRQueryEncoder(
        args.encoder, None, args.encoded_queries, args.device, fp16=args.fp16, instruction=instruction
    )
    searcher = FaissSearcher(args.dense_index, encoder)
    run: Run = {}
    for qids in batches(list(queries), args.batch_size):
        hits = searcher.batch_search([queries[qid] for qid in qids], qids, depth, args.threads)
        run.update(as_run(hits))
    return run


def search_sparse(args: Namespace, queries: dict[str, str], depth: int) -> Run:
    """`depth` documents of each query by BM25, from Lucene."""
    from pyserini.search.lucene import JQuerySideBm25QueryGenerator, LuceneSearcher

    searcher = LuceneSearcher(args.sparse_index)
    searcher.set_bm25(args.k1, args.b)
    weighted = JQuerySideBm25QueryGenerator(args.k1, args.b, searcher.index_reader.reader) if args.bm25qs else None
    run: Run = {}
    for qids in batches(list(queries), args.batch_size):
        texts = [queries[qid] for qid in qids]
        run.update(as_run(searcher.batch_search(texts, qids, depth, args.threads, query_generator=weighted)))
    return run


def as_run(hits) -> Run:
    """{query_id: {doc_id: score}} of {query_id: hits}."""
    return {str(qid): {hit.docid: float(hit.score) for hit in found} for qid, found in hits.items()}


def batches(qids: list[str], size: int) -> list[list[str]]:
    """`qids` in lists of at most `size`."""
    return [qids[start : start + size] for start in range(0, len(qids), size)]


def fuse(dense: Run, sparse: Run, excluded: Excluded, args: Namespace) -> Run:
    """Interpolate both runs without their excluded documents, and cut to `--hits`."""
    fused = interpolate(
        without(dense, excluded),
        without(sparse, excluded),
        alpha=args.alpha,
        normalise=args.normalise,
        depth=args.depth,
    )
    return cut(fused, args.hits)
