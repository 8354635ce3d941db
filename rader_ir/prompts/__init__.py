"""Prompts and forms: texts with named holes, filled in one pass.

A form such as `query: {text}` is data that belongs to a checkpoint. Only the named fields are replaced, and what is put in
is never read again, so a document that holds `{text}` or `\\frac{1}{2}` is left alone.
"""

import re

_FIELD = re.compile(r"\{([a-z_]+)\}")


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
