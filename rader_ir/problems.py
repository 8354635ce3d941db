r"""Problems with answers that can be checked, as the data sets write them.

A record has an id, a question and an answer; MATH and NuminaMath give the answer in the box of a solution, GSM8K after `####`,
AQuA as the letter of an option. A record without an answer that can be read is listed and left out, never guessed at.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rader_ir.answers import boxed, final_answer
from rader_ir.corpus import QUERY_ID_FIELDS
from rader_ir.equivalence import Equivalence
from rader_ir.records import checked_id, encodable, jsonl_records

ID_FIELDS = ("problem_id", *QUERY_ID_FIELDS)
QUESTION_FIELDS = ("question", "problem", "text", "query")
ANSWER_FIELDS = ("answer", "gold_answer", "correct")
SOLUTION_FIELDS = ("solution", "rationale")
NO_ANSWERS = ("proof", "notfound")  # NuminaMath's words where there is nothing to compare


@dataclass(frozen=True)
class Problem:
    """A question and its answer.

    Attributes:
        problem_id: its id.
        question: the text, options included.
        answer: as `rader_ir.equivalence` takes golds: a text, a number, True or False, or a list of these.
        gold_documents: ids of documents known to help; for evaluation, never shown to the search unless its rules say so.
    """

    problem_id: str
    question: str
    answer: Any
    gold_documents: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "gold_documents", tuple(self.gold_documents))


def read_problems(path: str | Path, answers: Equivalence | None = None) -> tuple[list[Problem], list[str]]:
    """The problems of a JSONL file, plain or .gz, and a line about each that is left out.

    The question is the first of `question`, `problem`, `text`, `query` that a record has, with AQuA's `options` below it; the
    answer the first of `answer`, `gold_answer`, `correct`, or what stands in the box of `solution`. Capitals in the names of
    fields count for nothing. A record without an id is named by its line.

    Args:
        path: the file.
        answers: compares answers; tells whether a gold can be read.

    Raises:
        ValueError: broken JSON, an id that stands twice, no problem that can be used.
    """
    answers = answers or Equivalence()
    problems: dict[str, Problem] = {}
    left: list[str] = []
    for where, given in jsonl_records(path):
        record = {name.lower(): value for name, value in given.items()}
        problem_id = _id(record, where)
        if problem_id in problems:
            raise ValueError(f"{where}: problem id {problem_id!r} stands twice; keep one record")
        question, answer = _question(record, where), _answer(record)
        if question is None:
            left.append(f"{where}: {problem_id} has no question; expected a text as {', '.join(QUESTION_FIELDS)}")
        elif answer is None or answer in ("", *NO_ANSWERS):
            left.append(f"{where}: {problem_id} has no answer; expected {', '.join(ANSWER_FIELDS)} or a boxed solution")
        elif not _readable(answer, answers):
            left.append(f"{where}: {problem_id} has the answer {answer!r:.80}, which nothing can be compared with")
        else:
            problems[problem_id] = Problem(problem_id, question, answer, _documents(record, where))
    if not problems:
        raise ValueError(f"{path} has no problem with an answer; {left[0] if left else 'it is empty'}")
    return list(problems.values()), left


def _id(record: Mapping[str, Any], where: str) -> str:
    name = next((name for name in ID_FIELDS if name in record), None)
    return f"line-{where.rpartition(':')[2]}" if name is None else checked_id(record[name], f"{where}: {name}")


def _question(record: Mapping[str, Any], where: str) -> str | None:
    name = next((name for name in QUESTION_FIELDS if name in record), None)
    if name is None or not isinstance(record[name], str) or not record[name].strip():
        return None
    options = record.get("options")
    lines = [record[name], *(options if isinstance(options, list) else ())]
    return encodable("\n".join(map(str, lines)), where)


def _answer(record: Mapping[str, Any]) -> Any:
    name = next((name for name in ANSWER_FIELDS if record.get(name) not in (None, "")), None)
    if name is None:
        texts = [record[each] for each in SOLUTION_FIELDS if isinstance(record.get(each), str)]
        return next(filter(None, map(boxed, texts)), None)
    answer = record[name]
    if not isinstance(answer, str):
        return answer
    if "####" in answer or "boxed" in answer:  # a whole solution stands there
        answer = final_answer(answer, ways=("boxed", "stated")) or ""
    return _option(answer.strip(), record.get("options"))


def _option(answer: str, options: Any) -> str:
    """The letter of an option with its text, so that either is a right answer."""
    if not isinstance(options, list) or not re.fullmatch(r"\(?[A-Za-z]\)?", answer):
        return answer
    letter = answer.strip("()").upper()
    return next((str(each) for each in options if re.match(rf"\(?{letter}\s*[).:]", str(each))), answer)


def _readable(answer: Any, answers: Equivalence) -> bool:
    try:
        return answers.readable(answer)
    except TypeError:
        return False


def _documents(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    given = record.get("gold_documents") or ()
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ValueError(f"{where}: gold_documents is {given!r:.80}; expected a list of document ids")
    return tuple(checked_id(each, f"{where}: gold_documents") for each in given)
