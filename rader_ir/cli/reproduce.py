"""`rader reproduce`: measure a folder of runs and compare with the figures that they should give.

The expected figures are a JSON table, {collection: {measure: figure}}, next to whose runs and judgements lie under the same
names; or the record of RaDeR's released score files, which has a "model". The exit status is 1 where a figure differs.
"""

import argparse
from pathlib import Path

from rader_ir.cli import options
from rader_ir.reproduce import Check, check_table, checked_table, read_expected, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs, the figures and the judgements."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="runs as NAME.trec or NAME.json (.gz too); of RaDeR's score files the folder that holds the model's",
    )
    parser.add_argument(
        "--expected", required=True, metavar="FILE", help='JSON {name: {measure: figure}}; "mean" is over all names'
    )
    parser.add_argument("--qrels", required=True, metavar="DIR", help="judgements as NAME.tsv (.gz too)")
    parser.add_argument(
        "--queries", metavar="DIR", help="queries as NAME.jsonl (.gz too): their excluded_ids are obeyed"
    )
    parser.add_argument(
        "--decimals",
        type=options.positive,
        metavar="N",
        help="digits that the figures of a table are rounded to (default: as many as the longest has)",
    )


def run(args: argparse.Namespace) -> dict:
    """Prints what agrees and what differs; the figures hold every check that fails."""
    content, decimals = read_expected(args.expected)
    if "model" in content:
        checks, note = _released(content, args)
    else:
        table = checked_table(content, args.expected)
        given = {"decimals": args.decimals or decimals, "queries": args.queries}
        checks, note = check_table(table, args.folder, args.qrels, **given), ""
    print(report(checks), *filter(None, [note]), sep="\n")
    failed = [check for check in checks if not check.agrees]
    lacking = sum(check.found is None for check in failed)
    counts = {"figures": len(checks), "differ": len(failed) - lacking, "without_run": lacking}
    return {**counts, "failed": [check._asdict() for check in failed], "status": int(bool(failed))}


def _released(content: dict, args: argparse.Namespace) -> tuple[list[Check], str]:
    from rader_ir.released import check_released, without_retrieval

    if args.decimals:
        raise ValueError("--decimals is for a table; RaDeR's released figures have five, leave it out")
    if args.queries:
        raise ValueError(
            "--queries is for a table; RaDeR's released figures are of their lists as they are, leave it out"
        )
    folder = Path(args.folder) / str(content["model"])
    if not folder.is_dir():
        raise FileNotFoundError(f"{args.folder} holds no folder {content['model']}; give the folder that holds it")
    checks = check_released(folder, args.qrels, content)
    lacking = without_retrieval(folder)
    return checks, f"No retrieval run, so ratings alone: {', '.join(lacking)}" if lacking else ""
