"""`rader rag`: questions with known answers, asked with and without documents, and the right answers counted.

Systems are `none`, `bm25`, `dense:INDEX`, `run:FILE`, `gold` and `trees:DIR`, each perhaps behind `LABEL=`. The folder holds the
table (report.txt, .md, .tex, .json) and every answer (answers/LABEL.jsonl); the same call goes on where a killed one stopped.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from rader_ir.cli import lm_options, options
from rader_ir.cli.search import encoder_of
from rader_ir.corpus import read_documents
from rader_ir.files import replacing
from rader_ir.pipelines import parted
from rader_ir.runs import read_qrels, read_run

LIBRARIES = ("aiohttp", "math_verify")  # of the extra `lm`
PLAIN, WITH_PLACE = ("none", "bm25", "gold"), ("dense", "run", "trees")
KNOWN = "none, bm25, gold, dense:INDEX, run:FILE, trees:DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Questions, systems, model, and how answers are drawn and compared."""
    parser.add_argument("problems", metavar="PROBLEMS", help="JSONL file of questions with answers (.gz too)")
    parser.add_argument("--answers", metavar="FILE", help="answers by id, where PROBLEMS, as BRIGHT's topics, has none")
    parser.add_argument("--corpus", metavar="DOCS", help=f"the documents' texts: {options.TEXTS}")
    parser.add_argument("--qrels", metavar="QRELS", help="documents of the system gold (default: the problems' own)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make, or to go on with")
    parser.add_argument("--latex", metavar="FILE", help="write the table to this file too, for LaTeX")
    options.add_fields(parser, queries=False)
    group = parser.add_argument_group("systems")
    group.add_argument("--systems", nargs="+", required=True, metavar="[LABEL=]NAME", help=f"of {KNOWN}")
    group.add_argument("--baseline", metavar="LABEL", help="that others are compared with (default: the first)")
    group.add_argument("--k", type=options.positive, default=5, metavar="N", help="documents shown (%(default)s)")
    group.add_argument("--characters", type=options.positive, metavar="N", help="of a document that are shown (all)")
    group.add_argument("--votes", type=options.positive, metavar="N", help="also ask N times, for the majority")
    _add_drawing(parser)
    options.add_instruction(parser)
    options.add_model(parser, default="that of dense:INDEX")
    parser.set_defaults(out_folder=True)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    group = lm_options.add_lm(parser)
    group.add_argument("--temperature", type=float, default=0.0, metavar="T", help="of single replies (%(default)s)")
    vote = "of replies that vote (%(default)s)"
    group.add_argument("--vote-temperature", type=float, default=0.8, metavar="T", help=vote)
    group.add_argument("--top-p", type=float, default=0.95, metavar="P", help="mass that is drawn from (%(default)s)")
    group.add_argument("--prompts", metavar="FILE", help="TOML file of your own wording")
    group.add_argument("--seed", type=options.seed, default=0, help="of all replies (%(default)s)")
    told = "relative, of answers that are rounded (0.001; TheoremQA's own evaluation has 0.04)"
    group.add_argument("--tolerance", type=float, metavar="X", help=told)
    group.add_argument("--processes", type=options.positive, default=1, metavar="N", help="formulas compared at a time")


def run(args: argparse.Namespace) -> dict:
    """Retrieves, asks, marks, prints the table."""
    options.require(LIBRARIES, "answers' evaluation", "lm")
    out = Path(args.out).expanduser()
    named = [parsed(name) for name in args.systems]
    asking = any(kind != "trees" for _, kind, _ in named)
    if asking and args.lm is None:
        raise ValueError("--lm is missing; give the language model that is asked (only trees:DIR asks none)")
    from rader_ir.lm.loops import run as run_loop
    from rader_ir.problems import read_answers, read_problems
    from rader_ir.rag import measure
    from rader_ir.rag.evaluation import LATEX, REPLIES, REPORT

    plan = _plan(args)
    _check_places(args, named)
    try:
        problems, left = read_problems(args.problems, known=read_answers(args.answers) if args.answers else None)
    except ValueError as error:
        if args.answers or "no answer" not in str(error):
            raise
        raise ValueError(f"{error}; answers by id may stand in a file of their own (--answers FILE)") from error
    lm_options.tell_left_out(left, verb="rag", quiet=args.quiet)
    lm = _model(args, out / REPLIES) if asking else None
    systems = _systems(args, named, problems)
    given = {"lm": lm, "texts": _texts(args, systems), "plan": plan, "left": left, "verbose": not args.quiet}
    told = run_loop(measure(problems, systems, out, **given))
    print((out / REPORT).read_text(encoding="utf-8"), end="")
    if args.latex:
        with replacing(args.latex) as file:
            file.write((out / LATEX).read_text(encoding="utf-8"))
    used = told["used"]
    ended = {"stopped_by_budget": used["stopped"]} if used["stopped"] else {}
    return {
        "questions": told["questions"],
        "left_out": told["left_out"],
        "systems": told["systems"],
        **{name: used[name] for name in ("calls", "tokens_in", "tokens_out", "cost", "failed") if name in used},
        **ended,
        **{name: getattr(args, name) for name in ("latex", "out") if getattr(args, name)},
    }


def parsed(name: str) -> tuple[str, str, str]:
    """(label, kind, place) of a system as it is named on the command line.

    Raises:
        ValueError: a system of no known kind.
    """
    label, rest = parted(name)
    kind, colon, place = rest.partition(":")
    if not (kind in PLAIN and not colon) and not (kind in WITH_PLACE and place):
        raise ValueError(f"system {name!r} is unknown; choose of {KNOWN}, perhaps behind LABEL=")
    if not label:
        label = Path(place).name.partition(".")[0] if place else kind
    return label, kind, place


def _check_places(args: argparse.Namespace, named: Sequence[tuple[str, str, str]]) -> None:
    """What can be told without the model, before it is asked whether it is there.

    Raises:
        ValueError: no corpus, and a system that shows documents.
        FileNotFoundError: a file or folder that is not there.
    """
    shown = [kind for _, kind, _ in named if kind not in ("none", "trees")]
    if shown and args.corpus is None:
        raise ValueError(f"--corpus is missing; the system {shown[0]!r} shows the texts of documents")
    files = [args.problems, args.answers, args.qrels, args.corpus, *(place for _, _, place in named)]
    for path in files:
        if path and not path.startswith("irds:") and not Path(path).exists():
            raise FileNotFoundError(f"{path}: no such file or folder")


def _plan(args: argparse.Namespace):
    from rader_ir.equivalence import TOLERANCE
    from rader_ir.lm import Sampling
    from rader_ir.rag import Plan

    for temperature in (args.temperature, args.vote_temperature):
        Sampling(temperature, args.top_p)  # what is wrong with them is said before anything is read
    return Plan(
        seed=args.seed,
        prompts=args.prompts,
        sampling=Sampling(top_p=args.top_p),
        characters=args.characters,
        tolerance=TOLERANCE if args.tolerance is None else args.tolerance,
        processes=args.processes,
        under_way=args.concurrency,
        budget=lm_options.budget(args),
        baseline=args.baseline,
    )


def _model(args: argparse.Namespace, replies: Path):
    from rader_ir.lm.cache import Cached

    lm = lm_options.opened(args)
    asyncio.run(lm_options.look(lm))  # before the corpus, which may be large, is read
    return Cached(lm, replies)


def _systems(args: argparse.Namespace, named, problems) -> list:
    from rader_ir.rag import Given, System, voting

    systems = []
    for label, kind, place in named:
        if kind == "trees":
            from rader_ir.synth.tree_answers import tree_answers

            systems.append(Given(label, *tree_answers(place, problems)))
            continue
        documents = None if kind == "none" else _documents(args, kind, place, problems)
        single = System(label, documents, temperature=args.temperature)
        systems.append(single)
        if args.votes and args.votes > 1:
            systems.append(voting(single, args.votes, temperature=args.vote_temperature))
    return systems


def _documents(args: argparse.Namespace, kind: str, place: str, problems) -> dict:
    """The ids of the documents that each problem is shown."""
    from rader_ir.problems import read_exclusions
    from rader_ir.rag import gold, top

    if kind == "gold":
        return gold(problems, read_qrels(args.qrels) if args.qrels else None)
    excluded = read_exclusions(args.problems)
    return top(_run(args, kind, place, problems, excluded), problems, args.k, excluded=excluded)


def _run(args: argparse.Namespace, kind: str, place: str, problems, excluded) -> dict:
    if kind == "run":
        return read_run(place)
    queries = {problem.problem_id: problem.question for problem in problems}
    if kind == "bm25":
        from rader_ir.bm25 import BM25

        index = BM25.build(read_documents(args.corpus, fields=args.fields), blank_ids="allow")
        return index.retrieve(queries, depth=args.k, excluded=excluded)
    from rader_ir.index import Index

    index = Index(place)
    encoder = encoder_of(index, args, instruction=options.instruction(args))
    return index.retrieve(queries, encoder, depth=args.k, excluded=excluded)


def _texts(args: argparse.Namespace, systems) -> dict[str, str]:
    from rader_ir.rag import texts_of

    shown = any(getattr(system, "documents", None) for system in systems)
    return texts_of(read_documents(args.corpus, fields=args.fields), systems) if shown else {}
