"""Records of JSONL files: their lines, ids and texts, checked where they come in.

Readers of corpora, queries and training examples share these, so that an id or a text means the same in every file. Whatever is
wrong is said with the place, `where`: a file and a line, or whatever the caller calls it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rader_ir.files import numbered_lines


def jsonl_records(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (`path:line`, object) for each line of a JSONL file, plain or .gz; blank lines are passed over.

    Raises:
        ValueError: a line that is no JSON or no object, and the errors of `files.numbered_lines`.
    """
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: broken JSON ({error.msg} at column {error.colno})") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: a {type(record).__name__}; expected one JSON object per line")
        yield f"{path}:{number}", record


def record_id(record: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    """The id of a record, in the first field of `names` that it has, as `checked_id` takes it.

    Raises:
        ValueError: it has none of them, or one that is no id.
    """
    name = next((name for name in names if name in record), None)
    if name is None:
        raise ValueError(f"{where}: no id; expected one of {', '.join(names)}, the record has {', '.join(record)}")
    return checked_id(record[name], f"{where}: {name}")


def checked_id(value: Any, where: str) -> str:
    """An id as text: a string that fits into a TREC file, or an integer.

    Raises:
        ValueError: another type, an empty string, one with a tab, a line break or half a surrogate pair.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{where} is {value!r}; expected a string or an integer")
    value = encodable(str(value), where)
    if not value.strip() or any(character in value for character in "\t\r\n"):
        raise ValueError(f"{where} is {value!r}; an id may not be empty nor hold a tab or line break")
    return value


def record_text(record: Mapping[str, Any], fields: Sequence[str] | None, default: Sequence[str], where: str) -> str:
    """The text of a record: its fields joined by newline, each list joined by a blank, empty ones left out.

    Args:
        record: the object.
        fields: names that it must have; None takes those of `default` that it has.
        default: names in the order in which they are joined.
        where: put before messages.

    Raises:
        ValueError: a field that is missing or no text, no text at all, half a surrogate pair.
    """
    names = fields if fields is not None else [name for name in default if name in record]
    if lacking := [name for name in names if name not in record]:
        raise ValueError(f"{where}: no field {lacking[0]!r}; the record has {', '.join(record)}")
    if not names:
        expected, present = ", ".join(default), ", ".join(record)
        raise ValueError(f"{where}: no text; expected {expected}, the record has {present}: name the right fields")
    text = "\n".join(filter(str.strip, (flat(record[name], f"{where}: {name}") for name in names)))
    if not text:
        raise ValueError(f"{where}: the text is empty or null in {', '.join(names)}; leave the record out")
    return encodable(text, where)


def encodable(text: str, where: str) -> str:
    """The text as it is; JSON can spell half a surrogate pair, which no tokenizer and no file takes.

    Raises:
        ValueError: it holds one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: half a surrogate pair at character {error.start}; mend the text") from None
    return text


def flat(value: Any, where: str) -> str:
    """A field as one string: null is empty, a list is joined by blanks without its empty items.

    Raises:
        ValueError: it is neither text nor a list of texts.
    """
    texts = [item for item in (value if isinstance(value, list | tuple) else [value]) if item is not None]
    for item in texts:
        if not isinstance(item, str):
            raise ValueError(
                f"{where} holds {str(item)[:40]!r}, a {type(item).__name__}; expected text or a list of texts"
            )
    return " ".join(filter(str.strip, texts))
