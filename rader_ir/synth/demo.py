"""The whole of data synthesis in some minutes, with a solver that is simulated: no language model takes part.

Problems of GSM8K's and TheoremQA's sort are drawn from templates, trees are grown on them, examples are made of the trees, and a
small retriever that is trained on these looks for the theorems of problems that are worded as none before. It shows how the parts
work together; of how well a language model would do it says nothing.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rader_ir.bm25 import BM25
from rader_ir.encoder import Encoder
from rader_ir.evaluation import per_query
from rader_ir.examples import read_examples
from rader_ir.lm import open_lm
from rader_ir.mcts import Rules
from rader_ir.problems import Problem
from rader_ir.reports.tables import measures_table
from rader_ir.runs import Run, cut
from rader_ir.synth.build import TRAIN
from rader_ir.synth.pipeline import Plan, synthesize
from rader_ir.synth.retrieval import SparseSearch
from rader_ir.synth.simulated import SimulatedSolver, demo_corpus, demo_problems, needed
from rader_ir.synth.store import EXAMPLES, REPLIES
from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import RetrieverOptions

BASE = "minilm"
PROBLEMS, HELD_OUT = 128, 96
LEARNED_FORMS, HELD_OUT_FORMS = (0, 1), (2,)  # wordings
MEASURES = ("nDCG@10", "R@1", "RR@10")
OPTIONS = RetrieverOptions(
    BASE,
    epochs=3,
    batch_size=16,
    negatives=1,
    piece_size=None,
    learning_rate=5e-4,
    temperature=0.05,
    warmup_steps=4,
    lora_alpha=32,
    lora_dropout=0.0,
    gradient_checkpointing=False,
    max_query_length=96,
    max_doc_length=96,
    eval_steps=40,
)
SAID = "The solver is simulated: these figures show that the parts work together, and nothing about a language model."


def demo(out: str | Path, *, seed: int = 0, problems: int = PROBLEMS, verbose: bool = True) -> dict[str, Any]:
    """From drawn problems to a trained retriever; a second call on the folder leaves what is finished.

    Args:
        out: the folder: that of a synthesis, and `retriever` in it.
        seed: of the problems, the search, the solver and the training.
        problems: to synthesize from.
        verbose: whether to show progress on stderr.

    Returns:
        documents, problems, solved, examples, `needed_theorems`: share of the examples whose positive is the theorem that their
        problem needs; `values`: {checkpoint: {measure: {query_id: value}}} of the held-out problems; `out`.
    """
    out = Path(out).expanduser()
    documents = demo_corpus()
    told = asyncio.run(_synthesized(out, documents, demo_problems(problems, seed, forms=LEARNED_FORMS), seed, verbose))
    folder = out / "retriever"
    if not folder.exists():
        examples, dev = read_examples(out / f"{TRAIN}.jsonl"), read_examples(out / "dev.jsonl")
        options = RetrieverOptions(**{**vars(OPTIONS), "seed": seed})
        train_retriever(options, examples=examples, dev=dev, dev_docs=documents.items(), out=folder, verbose=verbose)
    held = [one for one in demo_problems(HELD_OUT, seed + 1, forms=HELD_OUT_FORMS) if needed(one.problem_id)]
    qrels = {one.problem_id: {needed(one.problem_id): 1} for one in held}
    runs = {name: _run(checkpoint, held, documents) for name, checkpoint in (("base", BASE), ("trained", folder))}
    return {
        "documents": len(documents),
        "problems": told["problems"]["given"],
        "solved": told["problems"]["solved"],
        "examples": told["examples"]["kinds"]["total"]["examples"],
        "needed_theorems": round(_share(read_examples(out / EXAMPLES)), 4),
        "values": {name: per_query(run, qrels, MEASURES) for name, run in runs.items()},
        "out": str(out),
    }


def report(result: Mapping[str, Any]) -> str:
    """What `demo` found, for reading."""
    held = len(next(iter(result["values"]["base"].values())))
    return "\n".join(
        [
            SAID,
            f"{result['problems']} problems over {result['documents']} theorems: {result['solved']} solved, "
            f"{result['examples']} examples, {result['needed_theorems']:.1%} of them with the theorem that is needed",
            f"The theorems of {held} other problems, by the base and by the retriever trained on the examples; 95 % intervals",
            measures_table(result["values"]).text(),
            f"Trees, examples and retriever lie in {result['out']}; see a tree by: rader tree {result['out']}",
        ]
    )


async def _synthesized(out: Path, documents: dict[str, str], problems: list[Problem], seed: int, verbose: bool) -> dict:
    search = SparseSearch(BM25.build(documents.items()))
    async with SimulatedSolver() as solver:
        lm = open_lm(solver.url, model=solver.model, cache=out / REPLIES)
        plan = Plan(rules=Rules(), seed=seed)
        return await synthesize(problems, documents, search, lm, out, plan=plan, verbose=verbose)


def _share(examples) -> float:
    """Of the examples, those whose positive is what their problem needs."""
    right = [needed(one.provenance["question_id"]) == one.positives[0].doc_id for one in examples]
    return sum(right) / max(1, len(right))


def _run(checkpoint: str | Path, problems: list[Problem], documents: Mapping[str, str]) -> Run:
    encoder = Encoder(checkpoint)
    scores = (
        encoder.encode_queries([one.question for one in problems]) @ encoder.encode_docs(list(documents.values())).T
    )
    found: Run = {
        one.problem_id: dict(zip(documents, map(float, row), strict=True))
        for one, row in zip(problems, scores, strict=True)
    }
    return cut(found, 100)
