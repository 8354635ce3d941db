"""Options of the verbs that ask a language model: which one, how patiently, at what price and up to which budget.

As with `options`, a flag has one name, one meaning and one default everywhere, and nothing here imports a model library.
"""

import argparse
import os
import sys

from rader_ir.cli import options

SHOWN = 10  # problems left out that are told of one by one
REPLIES = ".replies.sqlite"  # behind the name of the file that is written: where replies are kept


def add_lm(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The flags that name a model and say how it is reached; gives their group, to which a verb may add its own."""
    group = parser.add_argument_group("language model")
    group.add_argument("--lm", metavar="URL", help="a server's URL, ending in /v1; or local:FOLDER, vllm:FOLDER")
    group.add_argument("--lm-model", metavar="NAME", help="the name under which the server has it")
    group.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable that holds the server's key")
    group.add_argument(
        "--concurrency", type=options.positive, default=64, metavar="N", help="calls at a time (%(default)s)"
    )
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="of one attempt at a server (300)")
    group.add_argument("--retries", type=int, metavar="N", help="of a call that a server failed to answer (5)")
    prices = {"nargs": 2, "default": (0.0, 0.0), "metavar": ("IN", "OUT")}
    group.add_argument("--prices", type=float, **prices, help="of a million tokens read, written")
    for name, kind in (("calls", int), ("tokens", int), ("hours", float)):
        group.add_argument(f"--max-{name}", type=kind, metavar="N", help=f"ask no more after so many {name}")
    return group


def opened(args: argparse.Namespace, **more):
    """The model that the words of a call name, not entered yet; `more` is for `open_lm`.

    Raises:
        ValueError: an address of no known kind, a URL without a name, a key that the environment lacks.
    """
    from rader_ir.lm import open_lm

    given = {"concurrency": args.concurrency, "prices": tuple(args.prices)}
    given |= {name: getattr(args, name) for name in ("timeout", "retries") if getattr(args, name) is not None}
    return open_lm(args.lm, model=args.lm_model, api_key=_key(args.api_key_env), **given, **more)


async def look(lm) -> None:
    """Make sure that a server is there and has the model; what runs in this process is left alone."""
    if hasattr(lm, "check"):
        async with lm:
            pass


def tell_left_out(left: list[str], *, verb: str, quiet: bool) -> None:
    """Which problems are left out, on stderr, the first of them one by one; the report has all."""
    if quiet:
        return
    for line in left[:SHOWN]:
        print(f"rader {verb}: left out: {line}", file=sys.stderr)
    if len(left) > SHOWN:
        print(f"rader {verb}: left out: {len(left) - SHOWN} more; report.json lists them", file=sys.stderr)


def budget(args: argparse.Namespace):
    """What this call may use.

    Raises:
        ValueError: a limit that is not above 0.
    """
    from rader_ir.lm.steady import Budget

    return Budget(args.max_calls, args.max_tokens, args.max_hours)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise ValueError(f"--api-key-env {variable}: the environment has no such variable, or it is empty; export it")
    return os.environ[variable]
