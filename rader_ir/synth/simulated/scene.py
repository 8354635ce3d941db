"""What the simulated solver sees in a prompt: which task, which question of the demo, which theorems, and chance of its own.

A prompt tells its task by a line such as `Task: solution`; everything else is known by the words of questions and theorems, so
the wording and the order of a prompt are free. Of several questions, as where examples stand in a prompt, the last counts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rader_ir.answers import boxed
from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.problems import Posed, recognised
from rader_ir.synth.simulated.theorems import Theorem, shown, theorems

TASKS = ("thought", "solution", "query", "summary", "reflection", "judge", "general query", "lexical query")
_TASK = re.compile(
    r"^\W*task:\W*(" + "|".join(task.replace(" ", "[ _-]") for task in reversed(TASKS)) + r")\b", re.I | re.M
)
_LABEL = re.compile(
    r"^(?!.*\b(?:gold|right|correct|reference|true|task)\b).*\b(?:answer|solution)\b[^\n:]*:", re.I | re.M
)


@dataclass(frozen=True)
class Scene:
    """A prompt and the chance of one reply to it.

    Attributes:
        text: all messages, one below the other.
        chance: draws that follow from the seed and the text; from the text alone at temperature 0.
        schema: the JSON Schema that the reply was asked to keep, or None.
    """

    text: str
    chance: Chance
    schema: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Scene":
        """The scene of a request's body; its messages and numbers are taken to be in order."""
        text = "\n".join(message["content"] for message in body["messages"])
        seed = body.get("seed") or 0
        told = body.get("response_format") or {}
        schema = (told.get("json_schema") or {}).get("schema")
        return cls(text, Chance(seed if body.get("temperature", 1.0) > 0 else "greedy", text), schema)

    @cached_property
    def words(self) -> Sequence[str]:
        """The text, split at white space."""
        return self.text.split()

    @cached_property
    def plain(self) -> str:
        """The text with single blanks."""
        return " ".join(self.words)

    @cached_property
    def task(self) -> str | None:
        """One of `TASKS`, by the first line that tells one."""
        found = _TASK.search(self.text)
        return re.sub("[_-]", " ", found[1].lower()) if found else None

    @cached_property
    def posed(self) -> Posed | None:
        """The question of the demo, with its numbers."""
        return recognised(self.words)

    @cached_property
    def shown(self) -> list[Theorem]:
        """The theorems that the prompt shows, in their order."""
        return shown(self.words)

    @cached_property
    def needed(self) -> Theorem | None:
        """The theorem that the question needs, if any."""
        return theorems()[self.posed.template.needs] if self.posed and self.posed.template.needs else None

    @cached_property
    def helped(self) -> bool:
        """Whether the theorem that the question needs is shown."""
        return self.needed in self.shown if self.needed else False

    @property
    def subject(self) -> Theorem | None:
        """The theorem that the prompt is about: the last one that it shows."""
        return self.shown[-1] if self.shown else None

    def answer_to_mark(self) -> str | None:
        """What a judge is to mark: the last box below the question, or what follows the last label of an answer."""
        below = self._below_the_question()
        if (found := boxed(below)) is not None:
            return found
        labels = list(_LABEL.finditer(below))
        rest = below[labels[-1].end() :].strip().splitlines() if labels else []
        return rest[0].strip() if rest else None

    def _below_the_question(self) -> str:
        ends = [0]
        for form in self.posed.template.forms:
            question = r"\s+".join(map(re.escape, self.posed.filled(form).split()))
            ends += [found.end() for found in re.finditer(question, self.text)]
        return self.text[max(ends) :]

    def json(self, verdict: bool, reason: str, name: str) -> str:
        """A judgement as JSON, under the names that the schema has, where there is one."""
        properties = (self.schema or {}).get("properties") or {name: {"type": "boolean"}, "reason": {"type": "string"}}
        values = {"boolean": verdict, "string": reason}
        return json.dumps({key: values.get(each.get("type"), "") for key, each in properties.items()})
