"""`rader evaluate`: measures of runs against judgements, with confidence intervals.

Any measure of ir-measures by its name, several between blanks. Means are taken over the judged queries, so that a
query without an answer counts as nothing; the 95 % intervals come from resampling these queries.
"""

import argparse

from rader_ir.evaluation import intervals, per_query
from rader_ir.reports.tables import measures_table
from rader_ir.runs import read_qrels, read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Judgements, runs and measures."""
    parser.add_argument("qrels", metavar="QRELS", help="judgements: query, 0, document, relevance")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="TREC runs (.gz too)")
    parser.add_argument("--measures", default="nDCG@10 R@100", help='names of ir-measures (default "%(default)s")')


def run(args: argparse.Namespace) -> dict:
    """Prints the table; the figures hold each run's means and intervals."""
    qrels = read_qrels(args.qrels)
    values = {path: per_query(read_run(path), qrels, args.measures) for path in args.runs}
    print(measures_table(values).text())
    return {"queries": len(qrels), "runs": {path: intervals(each) for path, each in values.items()}}
