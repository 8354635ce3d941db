"""Examples whose sense is learned in seconds, and measures of what was learned on texts that were not learned from.

A document is relevant to every query if it speaks of a field; two words stand in a query and around the topics of its documents.
Of the 105 pairs of 15 words 30 are held out: what is measured is made of known words that never stood together before.
"""

import os
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.examples import Example, Passage
from rader_ir.rerank.prorank import ProRank
from rader_ir.seeded import shuffled
from rader_ir.train.prorank import ProRankOptions, WarmupOptions, judge_base, judgement_tasks

WORDS = ["prime", "odd", "even", "integral", "cycle", "product", "sample", "average"]
WORDS += ["value", "law", "large", "convex", "finite", "domain", "bipartite"]
TOPICS = ("field", "graph", "set", "cone", "limit")
HELD = 30


def learned_fields(count: int, topics: Sequence[str] = TOPICS) -> list[Example]:
    """So many examples to learn from, at most 75, each with a document of each topic, the field first.

    A teacher scores it 3 and the others 0, -1/4 and so on.
    """
    return [_example(*pair, topics) for pair in _pairs()[HELD:]][:count]


def new_fields(learned: Sequence[Example], topics: Sequence[str] = TOPICS) -> list[Example]:
    """30 examples whose queries, documents and pairs of words are in none of the learned ones, which is checked."""
    made = [_example(*pair, topics) for pair in _pairs()[:HELD]]
    check_new(learned, made)
    return made


def check_new(learned: Sequence[Example], held: Sequence[Example]) -> None:
    """That no held-out query or document was learned from, in whatever order of its words, and that all its words were.

    Raises:
        AssertionError: names the texts or words.
    """
    known, new = ({_words(text) for example in each for text in texts(example)} for each in (learned, held))
    assert known and new and known.isdisjoint(new), f"learned from and held out: {sorted(known & new)}"
    strange = set().union(*new) - set().union(*known)
    assert not strange, f"held out and never learned from: the words {sorted(strange)}"


def texts(example: Example) -> list[str]:
    """The query, then its documents, the relevant one first."""
    return [example.query, *(passage.text for passage in (*example.positives, *example.negatives))]


def first_right(ranker, examples: Sequence[Example]) -> float:
    """Share of queries whose relevant document comes before all others; one that ties with another does not."""
    found = ranker.score([e.query for e in examples], [texts(e)[1:] for e in examples])
    return float(np.mean([scores[0] > scores[1:].max() for scores in found]))


def signs_right(ranker: ProRank, examples: Sequence[Example]) -> float:
    """Share of documents for which the right digit is the likelier one; relevant ones and others count alike."""
    found = np.array(ranker.score([e.query for e in examples], [texts(e)[1:] for e in examples]))
    return float(((found[:, 0] > 0).mean() + (found[:, 1:] < 0).mean()) / 2)


def digits_written(
    folder: str | os.PathLike, examples: Sequence[Example], prompt: str | None = None
) -> tuple[float, float]:
    """Shares of documents after which the likeliest token is a digit, and the right one; counted as `signs_right` does."""
    asked = 2 * len(examples) * len(examples[0].negatives)  # each relevant document as often as there are others
    base = judge_base(ProRankOptions(str(folder), prompt=prompt))
    tasks = judgement_tasks(examples, base, WarmupOptions(str(folder), steps=1, prompts=asked))
    replies = written(folder, [task.prompt for task in tasks], 1)
    right = [reply == task.label for reply, task in zip(replies, tasks, strict=True)]
    return float(np.mean([reply in ("0", "1") for reply in replies])), float(np.mean(right))


def written(folder: str | os.PathLike, prompts: Sequence[str], tokens: int) -> list[str]:
    """What a language model writes after each text, always the likeliest token, without special ones."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    made = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            whole = model.generate(**ids, max_new_tokens=tokens, do_sample=False, repetition_penalty=1.0)
        made.append(tokenizer.decode(whole[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
    return made


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.strip("?").split()))


def _pairs() -> list[tuple[str, str]]:
    """All pairs in an order by a seed, every second one turned round."""
    return [pair[:: 1 - 2 * (i % 2)] for i, pair in enumerate(shuffled(list(combinations(WORDS, 2)), "fields"))]


def _example(a: str, b: str, topics: Sequence[str]) -> Example:
    passages = [Passage(f"{a}-{b} {topic}", f"{b} {topic} {a}", (1 - i) / 4) for i, topic in enumerate(topics)]
    positive = Passage(passages[0].doc_id, passages[0].text, 3.0)
    return Example(f"{a}-{b}", f"{a} field {b}?", (positive,), tuple(passages[1:]))
