"""All rerankers over one first stage: what they find, and what it takes: python examples/compare_rerankers.py --simulated

Each system reranks the same first documents of BM25. A table tells nDCG@10 with its interval and a paired test against BM25,
and calls, tokens, malformed answers and seconds; pictures draw quality against each kind of cost. By default the questions are
TheoremQA's, which come with the package; with --corpus, --topics and --qrels they are yours. Two small models need no download.
A system whose model is not given is left out. The same call again goes on behind the last finished group of queries; to have
seconds measured anew take another --out.

    python examples/compare_rerankers.py --lm http://127.0.0.1:8000/v1 --lm-model NAME --icr FOLDER --dear FOLDER --prorank FOLDER
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from dataclasses import asdict, replace
from functools import partial, reduce
from itertools import product
from operator import add
from pathlib import Path

import pandas as pd

from pyterrier_rader import (
    Bm25Retriever,
    DeARListwiseReranker,
    DeARReranker,
    ICRReranker,
    IDCMReranker,
    LLMRatingReranker,
    ProRankReranker,
    RaDeREncoder,
    RaDeRReranker,
    RankGPTReranker,
    RankR1Reranker,
    TextLoader,
)
from pyterrier_rader.costs import measured, warmed
from rader_ir import quickstart
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import per_query
from rader_ir.files import replacing
from rader_ir.lm import Reply, TokenScores
from rader_ir.reports.comparison import as_json, compare, comparison_table
from rader_ir.reports.costs import Cost, cost_table, shared_kind
from rader_ir.reports.folder import write_tables
from rader_ir.reports.plots import tradeoff
from rader_ir.runs import read_qrels, write_run

MEASURE, FIRST, SIMULATED = "nDCG@10", "bm25", " (simulated)"
PICTURES = ("seconds", "calls", "tokens")

# Systems that ask a language model, from `lm` and its options; `rankgpt-pairs` only where it is named, for n * (n - 1) calls
ASKING = {
    "llm-rating": partial(LLMRatingReranker, method="written"),
    "llm-rating-expected": partial(LLMRatingReranker, method="expected"),
    "rank-r1": RankR1Reranker,
    "rankgpt-listwise": partial(RankGPTReranker, method="listwise"),
    "rankgpt-whole": partial(RankGPTReranker, method="whole"),
    "rankgpt-setwise": partial(RankGPTReranker, method="setwise"),
    "rankgpt-tournament": partial(RankGPTReranker, method="tournament"),
    "rankgpt-pairs": partial(RankGPTReranker, method="pairs"),
    "dear-listwise": DeARListwiseReranker,
}
# Systems of a model in this process: the option that names it, and what makes them
READING = {
    "biencoder": ("biencoder", lambda name, **options: RaDeREncoder(name, **options).text_scorer()),
    "rader": ("rader", RaDeRReranker),
    "dear-pointwise": ("dear", lambda name, **options: DeARReranker(stage="pointwise", checkpoint=name, **options)),
    "prorank": ("prorank", ProRankReranker),
    "icr": ("icr", ICRReranker),
    "idcm": ("idcm", IDCMReranker),
}
BOTH = "dear-both"  # a model in this process, then a language model
SYSTEMS = [*READING, *ASKING, BOTH]
SAID = (
    "Simulated: no language model, a rule on shared words answers. Calls and tokens in are the systems' own; the quality is the "
    "rule's, and tokens out and seconds are left empty."
)


class WordOverlap:
    """In place of a language model: the passage with most of the query's words is best. It keeps `Generates` and
    `ScoresTokens` of `rader_ir.lm`, reads prompts as the package words them, and takes four letters for a token."""

    identity = "simulated by word overlap"

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def generate(self, messages, *, sampling, seed) -> Reply:
        """An answer in the form that the prompt asks for."""
        prompt, shares = self._shares(messages)
        order = sorted(range(len(shares)), key=lambda place: -shares[place])
        if "Relevance score: X" in prompt:
            text = f"Relevance score: {round(5 * shares[0])}"
        elif "<answer>" in prompt:
            text = f"<think></think><answer>[{order[0] + 1}]</answer>"
        else:
            text = " > ".join(f"[{place + 1}]" for place in (order[:1] if "by its label" in prompt else order))
        return Reply(text=text, tokens_in=len(prompt) // 4, tokens_out=len(text) // 4)

    async def score_tokens(self, messages, *, tokens) -> TokenScores:
        """Digits are the less likely the further they are from the share."""
        prompt, shares = self._shares(messages)
        logprobs = tuple(-2 * abs(int(token) - 5 * shares[0]) for token in tokens)
        return TokenScores(logprobs=logprobs, tokens_in=len(prompt) // 4, tokens_out=1)

    @staticmethod
    def _shares(messages) -> tuple[str, list[float]]:
        """The whole prompt, and of the query's longer words the share that each passage has."""
        asked = messages[-1]["content"]
        query = re.search(r'^(?:The search is: |Question: |Someone searches for this: ")(.*)', asked, re.M)[1]
        passages = re.findall(r"^(?:\[\d+\] |Document: )(.*)", asked, re.M)
        wanted, *words = (set(re.findall(r"\w{4,}", text.lower())) for text in (query, *passages))
        shares = [len(wanted & own) / max(1, len(wanted)) for own in words]
        return "\n".join(each["content"] for each in messages), shares


def collection(args) -> tuple[dict[str, str], pd.DataFrame, dict, dict]:
    """Documents {docno: text}, a frame of drawn topics, their judgements, and documents excluded for each."""
    if args.corpus:
        documents, (queries, excluded) = dict(read_documents(args.corpus)), read_queries(args.topics)
        qrels = read_qrels(args.qrels)
    else:
        (documents, queries, qrels), excluded = quickstart.load(), {}
    judged = sorted(queries.keys() & qrels.keys())
    drawn = sorted(random.Random(args.seed).sample(judged, max(0, min(args.queries, len(judged)))))
    if len(drawn) < 2:
        sys.exit(f"{len(drawn)} judged queries were drawn of {len(queries)}; a comparison needs 2 or more")
    topics = pd.DataFrame([(qid, queries[qid]) for qid in drawn], columns=["qid", "query"])
    excluded = {qid: excluded[qid] for qid in drawn if qid in excluded}
    return documents, topics, {qid: qrels[qid] for qid in drawn}, excluded


def opened(args) -> tuple[dict, dict[str, str]]:
    """The transformers of the systems whose models are given, and the option that each of the others lacks."""
    lm = dict(lm=args.lm, lm_model=args.lm_model, api_key_env=args.api_key_env)
    if args.simulated:
        lm = dict(lm=WordOverlap())
    found, lacking = {}, {}
    for name in args.systems or [each for each in SYSTEMS if each != "rankgpt-pairs"]:
        option = READING[name][0] if name in READING else "dear" if name == BOTH and not args.dear else "lm"
        if lm["lm"] is None if option == "lm" else not getattr(args, option):
            lacking[name] = f"--{option}"
        elif name in READING:
            found[name] = READING[name][1](getattr(args, option), device=args.device)
        elif name in ASKING:
            found[name] = ASKING[name](**lm)
        else:
            found[name] = DeARReranker(checkpoint=args.dear, device=args.device, **lm)
    return found, lacking


def reranked(reranker, rows: pd.DataFrame, path: Path, size: int) -> tuple[dict, Cost]:
    """The run of a system and its cost, each group of `size` queries kept in `path` as soon as it is done."""
    told = rows[["qid", "query", "docno", "text"]].to_json(orient="values")
    key = hashlib.sha256(f"{reranker.fingerprint()} {told}".encode()).hexdigest()
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    groups = kept["groups"] if kept.get("key") == key else []
    done = {qid for group in groups for qid in group["run"]}
    waiting = [qid for qid in dict.fromkeys(rows["qid"]) if qid not in done]
    if waiting:
        warmed(reranker, rows)
    for start in range(0, len(waiting), size):
        part = rows[rows["qid"].isin(waiting[start : start + size])]
        found, cost = measured(reranker, part)
        cost = replace(cost, tokens_out=None, seconds=None) if is_simulated(reranker) else cost
        groups.append({"run": as_run(found), "cost": asdict(cost)})
        with replacing(path) as file:
            json.dump({"key": key, "groups": groups}, file)
    reranker.unload()
    return reduce(dict.__or__, (group["run"] for group in groups)), reduce(add, (Cost(**g["cost"]) for g in groups))


def as_run(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """{qid: {docno: score}} of result rows."""
    scores = rows["score"].astype(float)
    return {qid: dict(zip(own["docno"], scores[own.index], strict=True)) for qid, own in rows.groupby("qid")}


def is_simulated(reranker) -> bool:
    """Whether a rule answers in place of a language model."""
    return isinstance(getattr(reranker, "lm", None), WordOverlap)


def report(out: Path, runs: dict, costs: dict[str, Cost], qrels: dict, simulated: list[str], args) -> str:
    """Writes tables, pictures and report.json, and gives the table as text."""
    values = {name: per_query(run, qrels, MEASURE) for name, run in runs.items()}
    named = Path(args.corpus).name if args.corpus else "TheoremQA"
    title = f"{named}: {len(qrels)} queries, first {args.depth} of BM25"
    plain = {name.removesuffix(SIMULATED) for name in runs}
    read = {name: option for name, (option, _) in READING.items()} | {BOTH: "dear"}
    models = [f"{name} {getattr(args, option)}" for name, option in read.items() if name in plain]
    models.append(f"language model: {WordOverlap.identity if args.simulated else args.lm_model or args.lm or 'none'}")
    notes = [f"Models: {'; '.join(models)}.", f"Seconds: {min(args.group, len(qrels))} queries side by side."]
    table = cost_table(values, costs, MEASURE, baseline=FIRST, title=title, notes=notes + [SAID] * bool(simulated))
    results = {name: {title: found} for name, found in values.items()}
    compared = compare(results, FIRST, MEASURE)
    told = {"settings": vars(args) | {"out": str(out)}, "simulated": simulated, "values": values}
    told |= {"costs": {name: asdict(cost) for name, cost in costs.items()}}
    told |= {"comparisons": as_json(compared), "table": table.to_json()}
    write_tables(
        out,
        [table, comparison_table(compared, FIRST, MEASURE)],
        told,
        pictures=draw_costs(out, results, costs, simulated),
    )
    return table.text()


def draw_costs(out: Path, results: dict, costs: dict[str, Cost], simulated: list[str]) -> list[str]:
    """Draws quality against each kind of cost that is known, and gives the pictures' names; a rule's seconds say nothing."""
    plain = {name: name.removesuffix(SIMULATED) for name in results}  # hollow dots tell which they are
    shown = ({plain[name]: found for name, found in each.items()} for each in (results, costs))
    draw = partial(tradeoff, *shown, MEASURE, baseline=FIRST, simulated={plain[name] for name in simulated})
    others = [cost for name, cost in costs.items() if name != FIRST]
    drawn = [by for by in PICTURES if any(cost.per_query(shared_kind(by, others)) for cost in others)]
    drawn = [by for by in drawn if by != "seconds" or not simulated]
    for by, ending in product(PICTURES, ("png", "svg")):
        path = out / f"{by}.{ending}"
        draw(path, by=by) if by in drawn else path.unlink(missing_ok=True)
    return drawn


def main() -> None:
    """Compare the systems that the options name."""
    args = parser().parse_args()
    if len({bool(args.corpus), bool(args.topics), bool(args.qrels)}) > 1:
        sys.exit("--corpus, --topics and --qrels belong together; give all three, or none for TheoremQA")
    if args.simulated and args.lm:
        sys.exit("--simulated and --lm were given; choose one")
    systems, lacking = opened(args)
    for option in dict.fromkeys(lacking.values()):
        print(f"left out for want of {option}: {', '.join(name for name in lacking if lacking[name] == option)}")
    if not systems:
        sys.exit("no system is left; give a model")
    documents, topics, qrels, excluded = collection(args)
    pairs = [{"docno": docno, "text": text} for docno, text in documents.items()]
    bm25 = Bm25Retriever.from_documents(pairs, blank_ids="allow")
    began = time.perf_counter()
    first = Bm25Retriever(bm25.index, excluded=excluded, num_results=args.depth)(topics)
    if first.empty:
        sys.exit("BM25 finds none of the queries' words in the documents; do the files belong together?")
    costs = {FIRST: Cost(len(topics), calls=0, tokens_in=0, tokens_out=0, seconds=time.perf_counter() - began)}
    runs = {FIRST: {qid: dict(zip(own["docno"], own["score"], strict=True)) for qid, own in first.groupby("qid")}}
    rows, simulated = TextLoader(documents)(first), []
    (args.out / "runs").mkdir(parents=True, exist_ok=True)
    for name, reranker in systems.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        label = name + SIMULATED * is_simulated(reranker)
        simulated += [label] * is_simulated(reranker)
        kept = args.out / "runs" / f"{name}{'-simulated' * is_simulated(reranker)}.json"
        runs[label], costs[label] = reranked(reranker, rows, kept, args.group)
        write_run(runs[label], kept.with_suffix(".trec"), tag=name)
    write_run(runs[FIRST], args.out / "runs" / f"{FIRST}.trec", tag=FIRST)
    print(report(args.out, runs, costs, qrels, simulated, args))
    print(f"\nRuns, tables and pictures lie in {args.out}")


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path("comparison"), help="the folder for runs, tables and pictures")
    for name, what in {"corpus": "documents", "topics": "queries", "qrels": "judgements"}.items():
        made.add_argument(f"--{name}", help=f"file of {what}, as `rader` reads it")
    made.add_argument("--queries", type=int, default=50, help="queries that are drawn (default 50)")
    made.add_argument("--depth", type=int, default=30, help="documents of BM25 that are reranked (default 30)")
    made.add_argument("--seed", type=int, default=0, help="of the draw")
    made.add_argument("--group", type=int, default=32, help="queries side by side, kept together (default 32)")
    made.add_argument("--systems", nargs="+", choices=SYSTEMS, metavar="NAME", help=f"of {', '.join(SYSTEMS)}")
    made.add_argument("--lm", help="language model: a server's URL ending in /v1, local:FOLDER or vllm:FOLDER")
    made.add_argument("--lm-model", help="the name under which the server has it")
    made.add_argument("--api-key-env", help="environment variable with the server's key")
    made.add_argument(
        "--simulated", action="store_true", help="in place of a language model a rule, for a look at costs"
    )
    defaults = {"biencoder": "minilm", "rader": "mini-reranker"}
    for name in dict.fromkeys(option for option, _ in READING.values()):
        made.add_argument(f"--{name}", metavar="MODEL", default=defaults.get(name), help="name, folder or hub id")
    made.add_argument("--device", help="such as cuda:1; by default the best one here")
    return made


if __name__ == "__main__":
    main()
