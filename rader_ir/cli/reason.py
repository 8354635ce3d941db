"""`rader reason`: questions in, what a language model reasons about each of them out, as queries for `search` and `bm25`.

A line of the new file has the text that searches, the question and the reasoning, and what else the question's line had, such as
`excluded_ids`. `rader rerank` takes the questions' own file, as the paper does. Replies lie beside the new file, so the same call
goes on where a killed one stopped, and ends with the same bytes. Where every question fails, for another reason than that the
model refuses it, the call ends as bad input does, and no file is written.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rader_ir.cli import lm_options, options
from rader_ir.corpus import FIELDS, QUERY_ID_FIELDS, read_queries
from rader_ir.files import replacing
from rader_ir.records import jsonl_records, record_id

LIBRARIES = ("aiohttp",)  # of the extra `lm`
JSONL = (".jsonl", ".jsonl.gz")
SHOWN = 5  # queries without reasoning that are named
# Fields of a question's line that its new line has otherwise, or not at all, lest they be read as its text
_REPLACED = {"query_id", "query", "question", "reasoning", "failure", *FIELDS}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Questions, model, and how it is asked."""
    parser.add_argument("queries", metavar="QUERIES", help=options.TEXTS)
    parser.add_argument("--out", required=True, metavar="FILE", help="queries to write, .jsonl or .jsonl.gz")
    told = "put the question before the reasoning (default: the reasoning alone, as in the paper)"
    parser.add_argument("--expand", action="store_true", help=told)
    options.add_fields(parser, documents=False)
    group = lm_options.add_lm(parser)
    told = f"keep replies in this file, and take them from it (default: OUT{lm_options.REPLIES})"
    group.add_argument("--lm-cache", metavar="FILE", help=told)
    group.add_argument("--prompts", metavar="FILE", help="TOML file of your own wording")
    group.add_argument("--temperature", type=float, metavar="T", help="of replies (the prompt's own, else 0)")
    group.add_argument("--top-p", type=float, default=1.0, metavar="P", help="mass that is drawn from (%(default)s)")
    told = "of a reply (the prompt's own, 2048); what runs into them counts as far as it goes"
    group.add_argument("--reply-tokens", type=options.positive, metavar="N", help=told)
    told = "requests for one question, while there is no reasoning (%(default)s)"
    group.add_argument("--asks", type=options.positive, default=2, metavar="N", help=told)
    group.add_argument("--seed", type=options.seed, default=0, help="of all replies (%(default)s)")


def run(args: argparse.Namespace) -> dict:
    """Reads, asks, writes."""
    options.require(LIBRARIES, "asking a language model", "lm")
    replies = _checked(args)
    from rader_ir.lm.cache import Cached
    from rader_ir.lm.loops import run as run_loop
    from rader_ir.lm.steady import Spent
    from rader_ir.reasoning import Plan, check_reasoned

    plan = Plan(args.prompts, args.temperature, args.top_p, args.reply_tokens, args.asks, args.seed)
    budget, lm = lm_options.budget(args), lm_options.opened(args, answer_retries=0)
    queries, excluded = read_queries(args.queries, fields=args.query_fields)
    if not queries:
        raise ValueError(f"{args.queries} holds no query; give at least one")
    asyncio.run(lm_options.look(lm))  # before anything is written
    lm = Cached(lm, replies)
    progress = _Progress(queries, quiet=args.quiet)
    try:
        found = dict(zip(queries, run_loop(_reasoned(queries, lm, plan, budget, args, progress)), strict=True))
    except Spent as spent:
        return _spent(str(spent), progress, lm, args)
    check_reasoned(found.values())  # before an earlier file is replaced
    _write(found, excluded, args)
    _tell_of_failures(found, args)
    return {**_figures(found), **_used(lm), "out": args.out}


def _checked(args: argparse.Namespace) -> Path:
    """Where replies are kept.

    Raises:
        ValueError: no model, an output that no verb could read, one file for both.
    """
    if args.lm is None:
        raise ValueError("--lm is missing; give the language model that is asked")
    if not args.out.endswith(JSONL):
        raise ValueError(f"--out {args.out} cannot be read as queries; let it end in {' or '.join(JSONL)}")
    if Path(args.out).is_dir():
        raise ValueError(f"--out {args.out} is a folder; give a file")
    replies = Path(args.lm_cache or f"{args.out}{lm_options.REPLIES}")
    if replies.absolute() == Path(args.out).absolute():
        raise ValueError(f"--lm-cache and --out are both {args.out}; choose two files")
    return replies


class _Progress:
    """How many different questions are done, with a bar on stderr unless `quiet`."""

    def __init__(self, queries: Mapping[str, str], *, quiet: bool):
        self.total, self.done, self.quiet = len(set(queries.values())), 0, quiet

    def __enter__(self) -> "_Progress":
        from tqdm import tqdm

        self._bar = tqdm(total=self.total, desc="reasoning", unit="query", disable=self.quiet)
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def step(self) -> None:
        """One more."""
        self.done += 1
        self._bar.update()


async def _reasoned(queries: Mapping[str, str], lm, plan, budget, args: argparse.Namespace, progress: _Progress):
    from rader_ir.lm.steady import Steady, within
    from rader_ir.reasoning import reason

    async with lm:
        watched = within(Steady(lm), budget, width=args.concurrency)
        with progress:
            return await reason(list(queries.values()), watched, plan, width=args.concurrency, done=progress.step)


def _write(found: Mapping, excluded: Mapping[str, frozenset[str]], args: argparse.Namespace) -> None:
    records = {}
    if args.queries.endswith(JSONL) and not args.queries.startswith("irds:"):
        records = {record_id(record, QUERY_ID_FIELDS, where): record for where, record in jsonl_records(args.queries)}
    with replacing(args.out) as file:
        for query_id, reasoned in found.items():
            row = {"query_id": query_id, "text": reasoned.query(expand=args.expand), "question": reasoned.question}
            row |= {"reasoning": reasoned.reasoning} | ({"failure": reasoned.failure} if reasoned.failure else {})
            row |= {"excluded_ids": sorted(excluded[query_id])} if query_id in excluded else {}
            kept = records.get(query_id, {}).items()
            row |= {name: value for name, value in kept if name not in _REPLACED}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _tell_of_failures(found: Mapping, args: argparse.Namespace) -> None:
    """On stderr, which queries stay questions."""
    from rader_ir.reasoning import failures

    failed = [query_id for query_id, each in found.items() if each.failure]
    if failed and not args.quiet:
        kinds = ", ".join(f"{kind} {count}" for kind, count in failures(found.values()).items())
        named = ", ".join(failed[:SHOWN]) + (", …" if len(failed) > SHOWN else "")
        print(
            f"rader reason: {len(failed)} of {len(found)} queries got no reasoning and stay the question ({kinds}): {named}",
            file=sys.stderr,
        )


def _figures(found: Mapping) -> dict:
    from rader_ir.reasoning import failures

    return {
        "queries": len(found),
        "failed": sum(each.failure is not None for each in found.values()),
        "cut_off": sum(each.cut_off for each in found.values()),
        "failures": failures(found.values()),
    }


def _used(lm) -> dict:
    """What this call used; replies from the file cost nothing."""
    totals = lm.meter.totals()
    return {name: totals[name] for name in ("calls", "tokens_in", "tokens_out", "cost")} | {"cached": lm.hits}


def _spent(limit: str, progress: _Progress, lm, args: argparse.Namespace) -> dict:
    """The figures of a call that a budget ended, and on stderr how to go on."""
    if not args.quiet:
        done = f"{progress.done} of {progress.total} different questions"
        print(
            f"rader reason: the budget of {limit} is spent after {done}; {args.out} is not written yet, replies are kept: "
            "make the same call again, and it goes on",
            file=sys.stderr,
        )
    return {"questions": progress.total, "reasoned": progress.done, **_used(lm), "stopped_by_budget": limit}
