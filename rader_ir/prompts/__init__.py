"""Prompts and forms: texts with named holes, filled in one pass, and the files that hold them.

A form such as `query: {text}` is data that belongs to a checkpoint; a prompt is a section of a TOML file, one file per system,
which a user may replace by one of their own. Only the named holes are filled, and what is put in is never read again, so a
document that holds `{text}` or `\\frac{1}{2}` is left alone.
"""

import json
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rader_ir.files import read_text

_FIELD = re.compile(r"\{([a-z_]+)\}")

# The sections of each system's file, and the holes that the wording of each must have.
HOLES: dict[str, dict[str, tuple[str, ...]]] = {
    "synth": {
        "thought": ("question", "partial"),
        "solution": ("question", "partial"),
        "query": ("question", "partial"),
        "summary": ("theorem",),
        "reflection": ("question", "partial", "theorem"),
        "judge": ("question", "gold", "answer"),
        "general_query": ("question", "partial", "theorem"),
        "lexical_query": ("theorem",),
    },
    "reasoning": {"reason": ("question",)},
    "rag": {"plain": ("question",), "with_documents": ("question", "documents")},
    "rank_r1": {"choose": ("query", "passages")},
    "rankgpt": {"order": ("query", "passages"), "choose": ("query", "passages")},
    "dear": {"order": ("query", "passages")},
    "icr": dict.fromkeys(("qa", "ie", "bare"), ("query", "passages")),
    "prorank": {"judge": ("query", "document")},
    "llm_rating": {
        **dict.fromkeys(("general", "aops", "theoq", "theot", "leetcode", "pony"), ("query", "document")),
        "digit": (),
    },
}


def fields(form: str) -> set[str]:
    """Names that stand in braces in `form`.

    >>> sorted(fields("query: {instruction}{text}"))
    ['instruction', 'text']
    """
    return set(_FIELD.findall(form))


def fill(form: str, **values: str) -> str:
    r"""`form` with each `{name}` that is given in `values` replaced, once and literally.

    >>> fill("query: {query} document: {document}", query="{document}", document=r"\frac{1}{2}")
    'query: {document} document: \\frac{1}{2}'
    """
    return _FIELD.sub(lambda hole: values.get(hole[1], hole[0]), form)


@dataclass(frozen=True)
class Prompt:
    """One wording and how its reply is drawn.

    Attributes:
        system: the system message; "" sends none, since some chat templates refuse one.
        user: the user's message.
        max_tokens: of the reply.
        stop: texts before which the reply ends.
        temperature: of the reply; None leaves it to whoever asks.
        schema: a JSON Schema as JSON text, for servers with structured output; the reply is read as if there were none.
        passage, separator: how one of several passages is written, with the holes `{number}` (from 1) and `{text}`, and what
            stands between two; together they fill the hole `{passages}`.
        passage_reply: if given, each passage is a message of its own, to which the assistant replies by this.
        opening, opening_reply: messages of the user and the assistant before all others, if given.
        forced: what the assistant's turn is gone on with where a reply gave no answer, up to where the answer begins.
    """

    system: str
    user: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    schema: str | None = None
    passage: str = "[{number}] {text}"
    separator: str = "\n"
    passage_reply: str = ""
    opening: str = ""
    opening_reply: str = ""
    forced: str = ""

    @cached_property
    def _holes(self) -> set[str]:
        return fields(self.system) | fields(self.user)

    def messages(self, values: Mapping[str, str]) -> list[dict[str, str]]:
        """The conversation, with the holes filled by their names in `values`.

        Raises:
            ValueError: a value for which neither text has a hole.
        """
        if strange := sorted(values.keys() - self._holes):
            raise ValueError(f"the prompt has no hole {{{strange[0]}}}; its text begins {self.user[:60]!r}")
        texts = {"system": self.system, "user": self.user}
        return [{"role": role, "content": fill(text, **values)} for role, text in texts.items() if text]


def load_prompts(
    path: str | Path | None = None, *, name: str = "synth", sections: Collection[str] | None = None
) -> dict[str, Prompt]:
    """The prompts of a system by section: ours, or those of a user's file, which must have all sections that are wanted.

    Args:
        path: a TOML file; each section has `user` and `max_tokens`, and may have `system`, `stop`, `temperature`, `schema`.
            Take literal strings ('''...'''), in which a backslash is a backslash. None takes the file shipped for `name`.
        name: of the system, a key of `HOLES`.
        sections: that are wanted; None wants all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown system; no TOML; a section or field that lacks, is unknown or has a value out of range; a
            wording that lacks a hole, or holds one behind a TeX command. Names the file, the section and the field.
    """
    if name not in HOLES:
        raise ValueError(f"system {name!r} has no prompts; choose one of {', '.join(HOLES)}")
    path = Path(__file__).with_name(f"{name}.toml") if path is None else Path(path)
    try:
        given = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML ({error}); put each text between ''' and '''") from error
    if strange := sorted(given.keys() - HOLES[name].keys()):
        raise ValueError(f"{path}: section [{strange[0]}] is unknown; expected {', '.join(HOLES[name])}")
    wanted = {section: holes for section, holes in HOLES[name].items() if sections is None or section in sections}
    return {section: _prompt(given, section, holes, str(path)) for section, holes in wanted.items()}


def _prompt(given: Mapping[str, Any], section: str, holes: tuple[str, ...], path: str) -> Prompt:
    if not isinstance(given.get(section), dict):
        raise ValueError(f"{path} has no section [{section}]; copy it from the shipped file and change its wording")
    table = {"system": "", "stop": [], **given[section]}
    for field in ("user", "max_tokens"):
        if field not in table:
            raise ValueError(f"{path}: section [{section}] has no field {field!r}; it needs user and max_tokens")
    for field, value in table.items():
        if field not in _RIGHT:
            raise ValueError(
                f"{path}: section [{section}] has the unknown field {field!r}; known are {', '.join(_RIGHT)}"
            )
        expected, right = _RIGHT[field]
        if not right(value):
            raise ValueError(f"{path}: section [{section}]: {field} is {value!r:.80}; expected {expected}")
    if table.get("passage_reply"):  # passages are messages of their own
        holes = tuple(hole for hole in holes if hole != "passages")
    text = table["system"] + table.get("opening", "") + table["user"]
    _check_holes(text, holes, f"{path}: section [{section}]")
    return Prompt(**{**table, "stop": tuple(table["stop"])})


def _check_holes(text: str, holes: tuple[str, ...], where: str) -> None:
    lacking = [hole for hole in holes if hole not in fields(text)]
    if lacking:
        raise ValueError(f"{where}: the text lacks the hole {{{lacking[0]}}}; it needs {{{'}, {'.join(holes)}}}")
    behind = re.search(rf"\\[A-Za-z]+\{{(?:{'|'.join(holes)})\}}", text)
    if behind:
        raise ValueError(f"{where}: {behind[0]} would be filled as a hole; write it with a blank before the brace")


def _is_schema(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_passage(value: str) -> bool:
    return {"number", "text"} <= fields(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


# By field, what is expected in words, and whether a value is that.
_RIGHT = {
    "system": ("a text", _is_text),
    "user": ("a text that is not blank", lambda value: isinstance(value, str) and bool(value.strip())),
    "max_tokens": ("a whole number from 1", lambda value: type(value) is int and value >= 1),
    "stop": ("a list of texts that are not empty", _are_texts),
    "temperature": ("a number from 0", _is_number),
    "schema": ("a JSON object as text", _is_schema),
    "passage": ("a text with the holes {number} and {text}", lambda value: _is_text(value) and _is_passage(value)),
    **dict.fromkeys(("separator", "passage_reply", "opening", "opening_reply", "forced"), ("a text", _is_text)),
}
