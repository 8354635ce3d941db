"""A language model by script, over real HTTP, and a small corpus, for tests of data synthesis.

The script is a function of the request's task, question, theorem and seed alone, so that what must come of a step can be said
by hand. Nothing here is imported by the package.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping

from rader_ir.lm.server import Server
from tests.lm_server import MODEL, LMServer

DOCUMENTS = {
    f"d{number}": f"Theorem {number} states that the sum of {word} is the double of its half."
    for number, word in enumerate(["apples", "bees", "cats", "dogs", "eggs", "figs"], start=1)
}
QUICK = dict(pause=0.001, longest_pause=0.01, timeout=10.0)


def task_of(body: dict) -> str:
    """What a request is about, by the line that every prompt begins with."""
    return re.match(r"Task: (.*)", body["messages"][-1]["content"])[1]


def last_part(body: dict, label: str) -> str:
    """What stands below the last such label of a prompt, to the next blank line."""
    return body["messages"][-1]["content"].rpartition(f"\n{label}:\n")[2].partition("\n\n")[0]


def noun(text: str) -> str:
    """What a theorem of `DOCUMENTS` is about; the first word of any other."""
    found = re.search(r"sum of (\w+)", text)
    return found[1] if found else text.split()[0]


def asked_for(server: LMServer, task: str) -> list[dict]:
    """The requests of one task."""
    return [body for body in server.requests if task_of(body) == task]


def script(replies: Mapping[str, str | Callable[[dict], str]]) -> Callable[[dict], str]:
    """Answers by task: a text, or a function of the request. What it was not told to answer it answers wrongly."""

    def answer(body: dict) -> str:
        reply = replies.get(task_of(body), f"no reply was scripted for {task_of(body)}")
        return reply(body) if callable(reply) else reply

    return answer


def seed_by_hand(*key) -> int:
    """`seeded.seed_of`, written another way."""
    return int(hashlib.sha256(repr(key).encode()).hexdigest()[:8], 16) % 2**31


def running(server: LMServer, use: Callable, **options):
    """The result of `await use(lm)` with a client of the server."""

    async def run():
        async with Server(server.url, MODEL, **{**QUICK, **options}) as lm:
            return await use(lm)

    return asyncio.run(run())
