"""Options of `rader rerank` for the systems that ask a language model, and what their calls cost."""

import argparse
import inspect
from importlib import import_module

from rader_ir.cli import options
from rader_ir.cli.lm_options import REPLIES
from rader_ir.rerank import ASKING, SYSTEMS, open_reranker

# By option of the engine, its flag where that is another: type and words
_PLAIN = {
    "concurrency": (options.positive, "N", "calls at a time (64; of local: 8)"),
    "timeout": (float, "SECONDS", "of one attempt at a server (300)"),
    "retries": (int, "N", "of a call that a server failed to answer (5)"),
    "temperature": (float, "T", "of replies (the prompt's own, else 0)"),
    "top_p": (float, "P", "probability mass that is drawn from (1; llm-rating 0.9)"),
    "max_tokens": (options.positive, "N", "of a reply (the prompt's own)"),
    "asks": (options.positive, "N", "requests for one answer, while none can be read (3)"),
    "context": (options.positive, "N", "tokens of prompt and reply together (what the model tells)"),
    "passage_words": (options.positive, "N", "words kept of a passage (what fits; dear-listwise and icr 300)"),
    "query_words": (options.positive, "N", "words kept of a query (what fits)"),
    "method": (
        str,
        "NAME",
        "rankgpt: listwise, whole, setwise, tournament, pairs; llm-rating: written, expected; icr: ie, qa, bare",
    ),
    "children": (
        options.positive,
        "N",
        "rank-r1: one less than the passages of a call (19, or what the named checkpoint learned)",
    ),
    "window": (
        options.positive,
        "N",
        "rankgpt, dear-listwise: passages of a call (20); icr: of a prompt (all that fit)",
    ),
    "stride": (options.positive, "N", "rankgpt, dear-listwise: from one window to the next (10); icr: half a window"),
    "top": (options.positive, "N", "rank-r1, rankgpt: documents that choices put in order (10)"),
    "first": (options.positive, "N", "documents that are compared; the rest stay behind them (all; dear-listwise 30)"),
    "seed": (options.seed, "N", "of all that chance decides (0)"),
}
# By option, its flag where other verbs mean something else by that name
_FLAGS = {
    "cache": "lm_cache",
    "prompt": "prompts",
    "method": "ask_by",
    "max_tokens": "reply_tokens",
    "first": "compared",
}
_SWITCHES = {
    "shuffle": "show passages in an order that chance decides",
    "plain": "llm-rating: send a text to be continued, without a chat around it",
}
NAMES = list(dict.fromkeys(["lm", "lm_model", "api_key_env", *_FLAGS, *_PLAIN, *_SWITCHES]))
_OF_CHECKPOINTS = ("passage_length", "passage_stride", "passages", "padding", "instruction", *options.MODEL_OPTIONS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how it is asked."""
    group = parser.add_argument_group(f"language model (--system {', '.join(ASKING)})")
    group.add_argument("--lm", metavar="URL", help="a server's URL, ending in /v1; or local:FOLDER, vllm:FOLDER")
    group.add_argument("--lm-model", metavar="NAME", help="the name under which the server has it")
    group.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable that holds the server's key")
    told = f"keep replies in this file, and take them from it (default: OUT{REPLIES})"
    group.add_argument("--lm-cache", metavar="FILE", help=told)
    group.add_argument("--prompts", metavar="FILE", help="TOML file of your own wording")
    for name, (kind, metavar, words) in _PLAIN.items():
        group.add_argument(flag(name), type=kind, metavar=metavar, help=words)
    for name, words in _SWITCHES.items():
        group.add_argument(f"--{name}", action="store_true", default=None, help=words)


def check(args: argparse.Namespace) -> None:
    """Refuse options of the other kind of system.

    Raises:
        ValueError: names the flag.
    """
    asks = args.system in ASKING
    foreign = given(args, _OF_CHECKPOINTS if asks else NAMES)
    if args.system == "prorank":  # a model that scores pairs, and is asked in words
        foreign.pop("prompt", None)
    if args.system == "prorank-lm":  # the other way round
        foreign.pop("instruction", None)
    if foreign:
        told = "a model that scores pairs" if asks else f"systems that ask a language model: {', '.join(ASKING)}"
        raise ValueError(f"{flag(next(iter(foreign)))} is for {told}; leave it out with --system {args.system}")
    if asks and args.lm is None:
        raise ValueError(
            f"--system {args.system} asks a language model; give --lm URL and --lm-model NAME, or --lm local:FOLDER"
        )
    if args.task and asks and args.system not in ("llm-rating", "prorank-lm"):
        raise ValueError(f"--task chooses no wording of --system {args.system}; leave it out, or give --prompts")


def opened(args: argparse.Namespace):
    """The reranker, checked but without its model.

    Raises:
        ValueError: an option that this system has not, or a value out of range.
    """
    found = {"cache": f"{args.out}{REPLIES}", **given(args, NAMES)}
    if args.system == "prorank-lm":
        found["instruction"] = options.instruction(args)
    elif args.task:
        found["task"] = args.task
    module, name = SYSTEMS[args.system]
    judge = import_module("rader_ir.rerank.judge").Judge
    known = {*inspect.signature(getattr(import_module(module), name)).parameters, *inspect.signature(judge).parameters}
    if strange := [option for option in found if option not in known]:
        raise ValueError(f"{flag(strange[0])} is no option of --system {args.system}; leave it out")
    return open_reranker(args.system, **found)


def given(args: argparse.Namespace, names) -> dict:
    """What was given of some options, by the names that the engine has for them."""
    found = {name: getattr(args, _FLAGS.get(name, name), None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def flag(name: str) -> str:
    """The flag of an option."""
    return f"--{_FLAGS.get(name, name).replace('_', '-')}"


class Totals:
    """A reranker whose statistics are summed over calls.

    Args:
        reranker: one of `ASKING`.
    """

    def __init__(self, reranker):
        from rader_ir.rerank.ranking import Statistics

        self.reranker, self.total = reranker, Statistics()

    def score(self, queries, docs):
        """As the reranker's."""
        scores = self.reranker.score(queries, docs)
        self.total = sum(self.reranker.statistics, self.total)
        return scores

    def fingerprint(self) -> str:
        """The reranker's."""
        return self.reranker.fingerprint()

    @property
    def truncated(self) -> int:
        """Passages cut so far."""
        return self.reranker.truncated

    def figures(self) -> dict[str, int]:
        """What the calls of this process cost; finished groups of an earlier one are not in it."""
        names = ("calls", "further", "malformed", "failed", "tokens_in", "tokens_out")
        return {name: getattr(self.total, name) for name in names}
