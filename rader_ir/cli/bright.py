"""`rader bright`: systems on the tasks of BRIGHT, from documents to the table of a paper, in a call that can be made again.

Each task's queries, judgements, instruction and exclusions are its published ones. Of every system and task a run and its
figures stay in the folder; what is finished there is not done again, and a killed call goes on where it was.
"""

import argparse

from rader_ir import bright
from rader_ir.cli import experiments, options
from rader_ir.pipelines import all_given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where BRIGHT comes from, which of it, and the systems."""
    group = parser.add_argument_group("BRIGHT")
    group.add_argument(
        "--data", default="irds", metavar="irds|hub|DIR", help="where it comes from (default: %(default)s, ir_datasets)"
    )
    group.add_argument(
        "--splits",
        type=options.names,
        metavar="A,B",
        help="its tasks, such as biology,pony (default: all, or all with pages)",
    )
    group.add_argument(
        "--queries",
        default="original",
        metavar="NAME",
        help=f"the question, or what a language model reasoned about it: {', '.join(bright.QUERIES)} (default: %(default)s); "
        "not read where all systems are runs",
    )
    group.add_argument("--long", action="store_true", help="whole pages instead of passages")
    group.add_argument(
        "--qrels",
        default="plain",
        metavar="plain|fixed",
        help="judgements as published (default), or as corrected later for five tasks, whose average is "
        "theirs alone (OUT/report-fixed)",
    )
    group.add_argument("--revision", metavar="COMMIT", help="with --data hub: another commit of its data set")
    group.add_argument("--no-instruction", action="store_true", help="queries without their task's instruction")
    group.add_argument(
        "--rerank-queries",
        choices=("original", "same"),
        default="original",
        help="what rerankers read: the question, as published, or what the first stage read (default: %(default)s)",
    )
    experiments.add_arguments(parser)


def run(args: argparse.Namespace) -> dict:
    """Runs what is not done yet, measures, and reports."""
    tasks = args.splits or [task for task in bright.TASKS if not args.long or bright.has_long(task)]
    for task in tasks:
        bright.instruction(task, long=args.long)  # an unknown one is told before anything is made
    where = {"source": args.data, "long": args.long, "revision": args.revision}
    bright.check_queries(args.queries)
    searched = None if all_given(args.systems) else args.queries
    chosen = {"queries": searched, "qrels": args.qrels, "instruction": not args.no_instruction}
    collections = (bright.collection(task, **where, **chosen) for task in tasks)

    def questions(collection):
        task = collection.name.removeprefix("bright/").removesuffix("-long")
        return bright.load(task, **where).queries

    rewritten = searched not in (None, "original") and args.rerank_queries == "original"
    figures = experiments.run(args, collections, questions if rewritten else None)
    return {"tasks": len(tasks), **figures}
