"""Questions that do not name the theorem which answers them, and models by script that do: `examples/theorems.jsonl` at work.

What a model writes is a function of the question that stands in its prompt, so that it can be looked up, counted and repeated.
"""

import json
import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
THEOREMS = {
    row["doc_id"]: row["text"] for row in map(json.loads, (EXAMPLES / "theorems.jsonl").read_text("utf-8").splitlines())
}
# By query, the question, the theorem that answers it, and what a model that knows it says
KNOWN = {
    "garden": (
        "A garden has straight borders whose corners are pegs of a square grid. How many square metres does it have?",
        "pick",
        "The essential problem is an area on the grid. Pick's theorem gives the area of a lattice polygon by its interior and "
        "boundary points.",
    ),
    "umbrellas": (
        "Guests grab umbrellas in the dark. In how many ways does nobody go home with his own?",
        "derangement",
        "Count permutations without a fixed point: these are derangement numbers, by inclusion and exclusion.",
    ),
    "matches": (
        "Two players take matches from heaps; whoever takes the last match wins. Can the first player be sure to win?",
        "nim",
        "This is the game of Nim: the Sprague-Grundy theorem takes the exclusive or, the nim-sum, of the heap sizes.",
    ),
    "stamps": (
        "A kiosk has stamps of 8 and of 13 cents only. What is the largest postage that cannot be made up exactly?",
        "frobenius-coins",
        "The Frobenius coin problem: of two coprime denominations a and b the largest amount not representable is ab - a - b.",
    ),
}
QUESTIONS = {query_id: question for query_id, (question, _, _) in KNOWN.items()}
QRELS = {query_id: {doc_id: 1} for query_id, (_, doc_id, _) in KNOWN.items()}
REASONING = {question: reasoning for question, _, reasoning in KNOWN.values()}


def asked(body: dict) -> str:
    """The question in a request's prompt."""
    return re.search(r"<question>\n(.*)\n</question>", body["messages"][-1]["content"], re.S)[1]


def knowing(body: dict) -> str:
    """Names the theorem that the question is about; of other questions, what tells them apart."""
    question = asked(body)
    return REASONING.get(question, f"It rests on what is known of: {question.upper()}")


class Thinker:
    """A back-end without a server that reasons as `knowing` does; it keeps `rader_ir.lm.Generates`."""

    identity = "thinker"

    def __init__(self, answer=knowing):
        self.answer = answer
        self.asked: list[str] = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def __repr__(self):
        return "Thinker()"

    async def generate(self, messages, *, sampling, seed):
        from rader_ir.lm import Reply

        body = {"messages": messages, "temperature": sampling.temperature, "seed": seed}
        self.asked.append(asked(body))
        text = self.answer(body)
        return text if isinstance(text, Reply) else Reply(text=text, tokens_in=10, tokens_out=len(text.split()))
