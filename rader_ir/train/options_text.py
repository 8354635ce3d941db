"""The options of a kind of training as lines of text, for who writes a configuration.

Names and defaults come from the option sets themselves, and what each means from the same words that their documentation has.
"""

import inspect
import re
from dataclasses import MISSING, fields

from rader_ir.train.settings import KINDS, Data

_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): ", re.MULTILINE)  # of an `Attributes:` section, after `inspect.getdoc`


def options_text(kind: str | type) -> str:
    """A line for each option of `retriever`, `reranker` or another recipe's class, and for each of the table [data].

    >>> options_text("retriever").splitlines()[5]
    'batch_size = 64  # queries of one forward pass, over all devices together'
    """
    return "\n".join([*_lines(KINDS.get(kind, kind)), "", "[data]", *_lines(Data)]) + "\n"


def _lines(kind: type) -> list[str]:
    meanings: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        meanings |= _meanings(inspect.getdoc(each) or "")
    return [f"{field.name}{_default(field)}  # {meanings.get(field.name, '')}".rstrip(" #") for field in fields(kind)]


def _default(field) -> str:
    """` = 64` for a number; an option that a file need not or cannot name has its default in words."""
    if field.default is MISSING:
        return ", needed"
    if field.default is None:
        return ", none"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    told = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
    return f" = {told}"


def _meanings(documentation: str) -> dict[str, str]:
    """{option: first sentence of what its documentation says}."""
    _, *parts = _ENTRY.split(documentation.partition("Attributes:\n")[2])
    found = {}
    for names, text in zip(parts[::2], parts[1::2], strict=True):
        first = re.split(r"\.(?:\s|$)", " ".join(text.split("\n\n")[0].split()))[0]
        found |= dict.fromkeys(names.split(", "), first)
    return found
