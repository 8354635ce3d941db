"""`rader evaluate`: measures of runs against judgements, with confidence intervals, tests and a whole report.

Any measure of ir-measures by its name, several between blanks or commas. Means are taken over the judged queries, so that a
query without an answer counts as nothing, and is told of. Folders in place of files give a table over collections, and
their average: `rader evaluate qrels runs` takes `runs/pony.trec.gz` for `qrels/pony.tsv`.
"""

import argparse
import os

from rader_ir.bright_sources import mixed_states
from rader_ir.cli import options
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import intervals
from rader_ir.files import replacing
from rader_ir.measures import parsed
from rader_ir.reports.averages import AVERAGES
from rader_ir.reports.folder import main_tables, write
from rader_ir.reports.inputs import (
    files_of,
    lacking,
    measured,
    read_collections,
    read_runs,
    shown_documents,
    texts_of,
    unjudged,
    without_runs,
)
from rader_ir.reports.labels import labelled
from rader_ir.runs import without


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Judgements, runs, measures, and what is compared, shown and written."""
    parser.add_argument("qrels", metavar="QRELS", help="judgements: query, 0, document, relevance; or a folder of such")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="[LABEL=]TREC run (.gz too), or a folder of such")
    parser.add_argument("--measures", default="nDCG@10 R@100", help='names of ir-measures (default "%(default)s")')
    parser.add_argument("--average", choices=AVERAGES, default="macro", help="over collections (default: %(default)s)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals (default %(default)s)")
    parser.add_argument(
        "--seed", type=options.seed, default=0, help="of bootstrap and randomisation (default %(default)s)"
    )
    group = parser.add_argument_group("comparison")
    options.add_comparison(group, baseline="RUN")
    group = parser.add_argument_group("report")
    group.add_argument("--latex", metavar="FILE", help="write the tables to this file, for LaTeX")
    group.add_argument(
        "--out", metavar="DIR", help="write a report: tables, values by query, wins and losses, pictures"
    )
    group.add_argument(
        "--queries",
        metavar="QUERIES",
        help=f"{options.TEXTS}, or a folder: texts for the report; excluded_ids are obeyed",
    )
    group.add_argument("--docs", metavar="DOCS", help=f"{options.TEXTS}, or a folder: documents' texts for the report")
    options.add_fields(parser)
    parser.set_defaults(out_folder=True)


def run(args: argparse.Namespace) -> dict:
    """Prints the tables; the figures hold each run's means and intervals, and what was written where."""
    compared = options.comparison(args)
    if args.out:
        options.require(["matplotlib"], "a report with pictures", "eval")
    wanted = parsed(args.measures)  # an unknown one is told before files are read
    qrels = read_collections(args.qrels)
    paths, baseline = labelled(args.runs, args.baseline)
    runs = {label: read_runs(path, qrels) for label, path in paths.items()}
    queries, excluded, told = _queries(args, qrels)
    results, notes = measured(runs, qrels, wanted, excluded=excluded)
    kept = {
        label: {name: without(run, excluded.get(name, {})) for name, run in found.items()}
        for label, found in runs.items()
    }
    documents, more = _documents(args, qrels, kept)
    notes += [f"{label}: {remark}." for label, path in paths.items() for remark in unjudged(path, qrels)]
    notes += [f"{remark}." for remark in without_runs(runs, qrels) + mixed_states(qrels) + told + more]
    chosen = {name: getattr(args, name) for name in ("average", "confidence", "seed")} | compared
    measures = list(dict.fromkeys(m for each in results.values() for values in each.values() for m in values))
    tables = main_tables(results, measures, baseline=baseline, notes=notes, **chosen)
    print("\n\n\n".join(table.text() for table in tables))
    if args.latex:
        with replacing(args.latex) as file:
            file.write("\n\n".join(table.latex() for table in tables) + "\n")
    if args.out:
        given = {"queries": queries, "documents": documents, "runs": kept, "qrels": qrels}
        write(results, args.out, measures=measures, baseline=baseline, notes=notes, **given, **chosen)
    return _figures(args, qrels, results, notes, tables)


def _queries(args: argparse.Namespace, qrels: dict) -> tuple[dict, dict, list[str]]:
    """{collection: {query_id: text}}, {collection: {query_id: excluded doc_ids}}, and what to say of queries without text."""
    texts, excluded = {}, {}
    sources, notes = _sources(args.queries, qrels)
    for name, source in sources.items():
        texts[name], excluded[name] = read_queries(source, fields=args.query_fields)
        notes += lacking(qrels[name], texts[name], source, "judged queries")
    return texts, excluded, notes


def _documents(args: argparse.Namespace, qrels: dict, runs: dict) -> tuple[dict, list[str]]:
    """{collection: {doc_id: text}} of what wins and losses may show, and what to say of documents without text."""
    if not (args.out and args.baseline):
        return {}, []  # nothing would show them
    texts = {}
    sources, notes = _sources(args.docs, qrels)
    for name, source in sources.items():
        shown = shown_documents(qrels[name], [run[name] for run in runs.values() if name in run])
        texts[name] = texts_of(shown, read_documents(source, fields=args.fields))
        notes += lacking(shown, texts[name], source, "relevant and first documents")
    return texts, notes


def _sources(path: str | None, qrels: dict) -> tuple[dict, list[str]]:
    """{collection: source of its texts}, and what to say of collections that a folder lacks."""
    if path is None:
        return {}, []
    if not os.path.isdir(path):
        if len(qrels) > 1:
            raise ValueError(f"{path} is no folder, as the judgements are; give a folder with a file for each of them")
        return dict.fromkeys(qrels, path), []
    files = files_of(path)
    return {name: files[name] for name in qrels if name in files}, lacking(qrels, files, path, "judged collections")


def _figures(args: argparse.Namespace, qrels: dict, results: dict, notes: list[str], tables: list) -> dict:
    told = {
        system: {name: intervals(values, confidence=args.confidence, seed=args.seed) for name, values in found.items()}
        for system, found in results.items()
    }
    if len(qrels) == 1:
        told = {system: found for system, by_collection in told.items() for found in by_collection.values()}
    figures = {"queries": sum(map(len, qrels.values())), "runs": told, "notes": notes}
    figures["tables"] = [table.to_json() for table in tables]
    return figures | {name: getattr(args, name) for name in ("latex", "out") if getattr(args, name)}
