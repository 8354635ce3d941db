r"""Problems with answers that can be checked, as the data sets write them.

A record has an id, a question and an answer; MATH and NuminaMath give the answer in the box of a solution, GSM8K after `####`,
AQuA as the letter of an option. A record without an answer that can be read is listed and left out, never guessed at. BRIGHT's
TheoremQA questions come without answers, which stand in TheoremQA's own file under the same ids (`read_answers`).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rader_ir.answers import boxed, final_answer
from rader_ir.corpus import QUERY_ID_FIELDS, excluded_ids
from rader_ir.equivalence import Equivalence
from rader_ir.files import read_text
from rader_ir.records import checked_id, encodable, jsonl_records, record_id

ID_FIELDS = ("problem_id", *QUERY_ID_FIELDS)
QUESTION_FIELDS = ("question", "problem", "text", "query")
ANSWER_FIELDS = ("answer", "gold_answer", "correct")
SOLUTION_FIELDS = ("solution", "rationale")
GOLD_FIELDS = ("gold_documents", "gold_ids")
NO_ANSWERS = ("proof", "notfound", "N/A")  # NuminaMath's and BRIGHT's words where there is nothing to compare
OF_BRIGHT = "TheoremQA_"  # what BRIGHT puts before TheoremQA's ids


@dataclass(frozen=True)
class Problem:
    """A question and its answer.

    Attributes:
        problem_id: its id.
        question: the text, options included.
        answer: as `rader_ir.equivalence` takes golds: a text, a number, True or False, or a list of these; None where nobody is
            to see it.
        gold_documents: ids of documents known to help; for evaluation, never shown to the search unless its rules say so.
    """

    problem_id: str
    question: str
    answer: Any
    gold_documents: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "gold_documents", tuple(self.gold_documents))


def read_problems(
    path: str | Path,
    answers: Equivalence | None = None,
    *,
    known: Mapping[str, Any] | None = None,
    hide_answers: bool = False,
) -> tuple[list[Problem], list[str]]:
    """The problems of a JSONL file, plain or .gz, and a line about each that is left out.

    The question is the first of `question`, `problem`, `text`, `query` that a record has, with AQuA's `options` below it; the
    answer the first of `answer`, `gold_answer`, `correct`, or what stands in the box of `solution`; documents known to help stand
    in `gold_documents` or `gold_ids`. Capitals in the names of fields count for nothing. A record without an id is named by its
    line.

    Args:
        path: the file.
        answers: compares answers; tells whether a gold can be read.
        known: answers by id, as `read_answers` gives them, which go before those of the file; BRIGHT's prefix counts for nothing.
        hide_answers: make problems without answers, whether the file has them or not.

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
        question, answer = _question(record, where), _known(problem_id, known or {}, _answer(record))
        if question is None:
            left.append(f"{where}: {problem_id} has no question; expected a text as {', '.join(QUESTION_FIELDS)}")
        elif hide_answers:
            problems[problem_id] = Problem(problem_id, question, None, _documents(record, where))
        elif answer is None or answer in ("", *NO_ANSWERS):
            left.append(f"{where}: {problem_id} has no answer; expected {', '.join(ANSWER_FIELDS)} or a boxed solution")
        elif not _readable(answer, answers):
            left.append(f"{where}: {problem_id} has the answer {answer!r:.80}, which nothing can be compared with")
        else:
            problems[problem_id] = Problem(problem_id, question, answer, _documents(record, where))
    if not problems:
        wanted = "question" if hide_answers else "problem with an answer"
        raise ValueError(f"{path} has no {wanted}; {left[0] if left else 'it is empty'}")
    return list(problems.values()), left


def read_answers(path: str | Path) -> dict[str, Any]:
    """{id: answer} of a JSONL file (.gz too) or of one JSON list, as TheoremQA's `theoremqa_test.json` is.

    Fields are those of `read_problems`; a record without an answer is passed over.

    Raises:
        ValueError: broken JSON, a record that is no object or has no id, an id that stands twice, no answer at all.
    """
    found: dict[str, Any] = {}
    for where, given in _listed(path) if str(path).endswith(".json") else jsonl_records(path):
        record = {name.lower(): value for name, value in given.items()}
        problem_id = record_id(record, ID_FIELDS, where)
        if problem_id in found:
            raise ValueError(f"{where}: id {problem_id!r} stands twice; keep one record")
        if (answer := _answer(record)) is not None:
            found[problem_id] = answer
    if not found:
        raise ValueError(f"{path} has no answer; expected records with an id and one of {', '.join(ANSWER_FIELDS)}")
    return found


def read_exclusions(path: str | Path) -> dict[str, frozenset[str]]:
    """{problem_id: ids of documents that must not be given to it}, of the problems that have `excluded_ids`.

    Raises:
        ValueError: broken JSON, or ids that are no list.
    """
    rows = [(where, {name.lower(): value for name, value in given.items()}) for where, given in jsonl_records(path)]
    found = {_id(record, where): excluded_ids(record, where) for where, record in rows}
    return {problem_id: doc_ids for problem_id, doc_ids in found.items() if doc_ids}


def _listed(path: str | Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """(where, record) of each record of a file that is one JSON list."""
    try:
        rows = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: broken JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: expected one JSON list of objects; objects line by line go into a .jsonl file")
    return ((f"{path}, record {number}", row) for number, row in enumerate(rows, start=1))


def _known(problem_id: str, known: Mapping[str, Any], given: Any) -> Any:
    """The answer that is known by the id, BRIGHT's prefix or not; else that of the record."""
    return known.get(problem_id, known.get(problem_id.removeprefix(OF_BRIGHT), given))


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
    name = next((name for name in GOLD_FIELDS if record.get(name)), GOLD_FIELDS[0])
    given = record.get(name) or ()
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ValueError(f"{where}: {name} is {given!r:.80}; expected a list of document ids")
    return tuple(checked_id(each, f"{where}: {name}") for each in given if each != "N/A")
