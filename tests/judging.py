"""A model that judges passages rightly: each says its worth ("worth 37"), and answers follow from what the prompt shows.

It is the `answer` of a loopback server (`lm_server`), so whole systems run against it over HTTP. Where it must misbehave, chance
follows from the request, so runs are equal.
"""

import hashlib
import json
import random
import re
from collections.abc import Callable

_LINE = re.compile(r"^\[(\d+)\] .*?\bworth (\d+)\b", re.M)


def passages(worths: list[int]) -> list[str]:
    """One text for each worth."""
    return [f"This passage is worth {worth} points." for worth in worths]


def worths(n: int, seed: int) -> list[int]:
    """Different worths, shuffled."""
    return random.Random(seed).sample(range(n), n)


def shown(body: dict) -> list[int]:
    """The worths of the passages in the prompt, in the order of their labels."""
    text = "\n".join(message["content"] for message in body["messages"] if message["role"] == "user")
    found = _LINE.findall(text)
    assert [int(label) for label, _ in found] == list(range(1, len(found) + 1)), text
    return [int(worth) for _, worth in found]


def best(body: dict) -> str:
    """The label of the best, behind a thought that names others."""
    values = shown(body)
    return f"<think>[1] or [2]?</think><answer>[{values.index(max(values)) + 1}]</answer>"


def order(body: dict) -> str:
    """All labels, best first."""
    values = shown(body)
    return " > ".join(f"[{place + 1}]" for place in sorted(range(len(values)), key=lambda place: -values[place]))


def sometimes(answer: Callable[[dict], str], share: float, instead: str = "I cannot say.") -> Callable[[dict], str]:
    """`answer`, but for a share of requests, by their messages and seed, something else."""

    def told(body: dict) -> str:
        key = json.dumps([body["messages"], body["seed"]])
        drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
        return instead if drawn < share else answer(body)

    return told


class WordJudge:
    """A back-end without a server: what is best shares most words with the query, of equal ones what is shown first.

    It keeps `rader_ir.lm.Generates`, for prompts as ours are: passages behind labels, the query behind "search is:" or the like.
    """

    identity = "words"

    def __init__(self):
        self.asked: list[list[dict]] = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def __repr__(self):
        return "WordJudge()"

    async def generate(self, messages, *, sampling, seed):
        from rader_ir.lm import Reply

        self.asked.append(messages)
        prompt = messages[-1]["content"]
        query = re.search(r'(?:search is: |Question: |searches for this: ")(.*)', prompt)[1]
        texts = re.findall(r"^(?:\[\d+\] |Document: )(.*)", prompt, re.M)
        shared = [len(set(re.findall(r"\w+", query.lower())) & set(re.findall(r"\w+", text.lower()))) for text in texts]
        ranked = sorted(range(len(texts)), key=lambda place: -shared[place])
        if "Relevance score: X" in prompt:
            text = f"Relevance score: {min(5, shared[0])}"
        elif "<answer>" in prompt:
            text = f"<think>hm</think><answer>[{ranked[0] + 1}]</answer>"
        elif "by its label" in prompt:
            text = f"[{ranked[0] + 1}]"
        else:
            text = " > ".join(f"[{place + 1}]" for place in ranked)
        return Reply(text=text, tokens_in=len(prompt.split()), tokens_out=len(text.split()))

    async def score_tokens(self, messages, *, tokens):
        """Of "1" and "0": as much likelier as words are shared by query and document, by -1 where none is."""
        from rader_ir.lm import TokenScores

        self.asked.append(messages)
        query, text = re.search(r"query: (.*)\ndocument: (.*)\n", messages[-1]["content"]).groups()
        shared = len(set(re.findall(r"\w+", query.lower())) & set(re.findall(r"\w+", text.lower())))
        return TokenScores(logprobs=(-1.0, -1.0 - (shared or -1)), tokens_in=len(text.split()))
