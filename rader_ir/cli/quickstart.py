"""`rader quickstart`: the shortest way from an installation to figures on a real collection.

Needs the small checkpoint (the extra `mini`), no network and no Java; `rader_ir.quickstart` says what is run.
"""

import argparse

from rader_ir.cli import options
from rader_ir.evaluation import intervals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder for the results, and where the model runs."""
    parser.add_argument(
        "--out", default="rader-quickstart", metavar="DIR", help="folder of runs and indexes (%(default)s)"
    )
    options.add_device(parser)


def run(args: argparse.Namespace) -> dict:
    """Runs the systems and prints the report."""
    from rader_ir.quickstart import quickstart, report

    result = quickstart(args.out, device=args.device, verbose=not args.quiet)
    print(report(result))
    values = result.pop("values")
    return {**result, "systems": {name: intervals(each) for name, each in values.items()}}
