"""What the recipes of reasoning rerankers learn, on models of 30,000 weights: `python -m tests.benchmarks.reasoning_training`.

The model is a two-layer Qwen2 with random weights; a document is relevant to all queries that ask of fields if it speaks of one.
Documents of the figures are new: other words stand around. ProRank's first stage is told by the mean reward of its first and last
steps (1.5 at most, 1 for a digit at random) and by what it then writes; the second by how often the right one of five documents
is first; DeAR's stage by its loss and by the same share; IDCM's selector by the share of its teacher's best 3 windows of 12 among
the 4 that it chooses.
"""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.examples import Example, Passage
from rader_ir.rerank.dear import DeARPointwise
from rader_ir.rerank.prorank import ProRank
from rader_ir.train.dear import DeAROptions, train_dear
from rader_ir.train.language_models import read_log
from rader_ir.train.prorank import (
    ProRankOptions,
    WarmupOptions,
    judge_base,
    judgement_tasks,
    train_prorank,
    warm_up_prorank,
)
from tests import tiny
from tests.window_lessons import windows_found

WORDS = ["prime", "odd", "even", "integral", "cycle", "product", "sample", "average"]
WORDS += ["value", "law", "large", "convex", "finite", "domain", "bipartite"]
TOPICS = ("field", "graph", "set", "cone", "limit")
STEPS = 96


def examples(count: int, first: int = 0) -> list[Example]:
    """Five documents each, one of them about the field that is wanted; a teacher scores it 3 and the others 0 to -1."""
    made = []
    for i in range(first, first + count):
        a, b = WORDS[i % len(WORDS)], WORDS[(7 * i + 1) % len(WORDS)]
        texts = [f"{b} {topic} {a}" for topic in TOPICS]
        wrong = tuple(Passage(f"n{i}.{j}", text, -j / 4) for j, text in enumerate(texts[1:]))
        made.append(Example(f"q{i}", f"{a} field {i}?", (Passage(f"p{i}", texts[0], 3.0),), wrong))
    return made


def first_right(ranker, held: list[Example]) -> float:
    """Share of queries whose relevant document comes first."""
    docs = [[passage.text for passage in (*e.positives, *e.negatives)] for e in held]
    return float(np.mean([scores.argmax() == 0 for scores in ranker.score([e.query for e in held], docs)]))


def signs_right(ranker, held: list[Example]) -> float:
    """Share of pairs that the model answers rightly: 1 is likelier than 0 for the relevant one, and the other way round."""
    docs = [[e.positives[0].text, e.negatives[0].text] for e in held]
    scores = ranker.score([e.query for e in held], docs)
    return float(np.mean([[s[0] > 0, s[1] < 0] for s in scores]))


def written(folder: Path, prompt: str, held: list[Example]) -> tuple[float, float]:
    """Shares of new pairs to which the likeliest reply is a digit, and the right one."""
    base = judge_base(ProRankOptions(str(folder), prompt=prompt))
    tasks = judgement_tasks(held, base, WarmupOptions(str(folder), steps=1, prompts=2 * len(held)))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        ends = [model(**tokenizer(task.prompt, return_tensors="pt")).logits[0, -1].argmax() for task in tasks]
    replies = [tokenizer.decode(end) for end in ends]
    right = [reply == task.label for reply, task in zip(replies, tasks, strict=True)]
    return float(np.mean([reply in ("0", "1") for reply in replies])), float(np.mean(right))


def warmed(folder: Path, place: Path, prompt: str, learned, held) -> list[tuple]:
    """ProRank's first stage. At twice this learning rate only the form is learned: the answers of a group become one."""
    small = dict(lora=False, beta=0.0, max_tokens=1, max_length=256, gradient_checkpointing=False, save_steps=STEPS)
    given = WarmupOptions(str(folder), prompt=prompt, steps=STEPS, prompts=8, group=16, learning_rate=5e-3, **small)
    before, shares = signs_right(ProRank(folder, prompt=prompt), held), written(folder, prompt, held)
    made = warm_up_prorank(given, examples=learned, out=place)
    rewards = read_log(made, "reward")
    names = [f"ProRank, stage 1: {what} is written, new pairs" for what in ("a digit", "the right digit")]
    return [
        ("ProRank, stage 1: mean reward", np.mean(rewards[:4]), np.mean(rewards[-4:])),
        ("ProRank, stage 1: likelier digit right, new pairs", before, signs_right(ProRank(made), held)),
        *zip(names, shares, written(made, prompt, held), strict=True),
    ]


def main() -> None:
    """Print a Markdown table."""
    learned, held, rows = examples(24), examples(30, first=100), []
    small = dict(
        accumulation=1, batch_size=8, warmup_steps=0, log_steps=1, gradient_checkpointing=False, lora_dropout=0.0
    )
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        folder = tiny.qwen2_chat(place / "model", initializer_range=0.02)
        prompt = place / "judge.toml"
        prompt.write_text("[judge]\nmax_tokens = 1\nuser = 'query: {query} document: {document}'\n", encoding="utf-8")
        start = time.perf_counter()
        told = warmed(folder, place / "warm", str(prompt), learned, held)
        rows += [(*row, time.perf_counter() - start) for row in told]
        start = time.perf_counter()
        given = ProRankOptions(
            str(folder), prompt=str(prompt), epochs=20, negatives=4, lora=False, learning_rate=3e-3, **small
        )
        before = first_right(ProRank(folder, prompt=prompt), held)
        made = train_prorank(given, examples=learned, out=place / "prorank")
        seconds = time.perf_counter() - start
        rows.append(
            ("ProRank, stage 2: right one of five first, new ones", before, first_right(ProRank(made), held), seconds)
        )
        start = time.perf_counter()
        base = tiny.llama(place / "llama")
        dear = DeAROptions(str(base), epochs=25, learning_rate=1e-2, **{**small, "negatives": 4})
        untrained = train_dear(
            replace(dear, max_steps=1, learning_rate=1e-9), examples=learned, out=place / "untrained"
        )
        made = train_dear(dear, examples=learned, out=place / "dear")
        found, seconds = read_log(made, "loss"), time.perf_counter() - start
        shares = [first_right(DeARPointwise(each), held) for each in (untrained, made)]
        rows += [
            ("DeAR: loss", found[0], found[-1], seconds),
            ("DeAR: right one of five first, new ones", *shares, seconds),
        ]
        for loss in ("ndcg2", "ranknet", "cross_entropy"):
            start = time.perf_counter()
            found = windows_found(loss, place / loss)
            rows.append((f"IDCM, {loss}: best 3 windows among 4, new ones", *found, time.perf_counter() - start))
    print("| what | before | after | seconds |\n| --- | --- | --- | --- |")
    for name, before, after, seconds in rows:
        print(f"| {name} | {before:.3f} | {after:.3f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
