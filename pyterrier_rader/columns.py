"""Reading one column of a frame: texts that are checked, values that repeat, and ids that an error names.

A column of strings holds Arrow's, which are compared and told apart where they lie, or Python's; either way pandas and
dicts look at the values, not a loop over rows. Only values that a model must read become Python strings.
"""

from collections.abc import Hashable, Iterable
from itertools import count

import numpy as np
import pandas as pd

NAMED = 5  # how many offending ids an error names


def texts(frame: pd.DataFrame, field: str) -> pd.Series:
    """Column `field` of a frame with docnos; every value is a str.

    Raises:
        ValueError: a text is missing or no string; names the docnos.
    """
    wrong = _not_strings(frame[field])
    if wrong.any():
        no_text = (
            f"no text in column {field!r}; put a text loader such as TextLoader before this step, or mend the corpus"
        )
        refuse(frame["docno"][wrong], "docno", no_text)
    return frame[field]


def distinct(values: pd.Series | Iterable[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Which of the distinct values each one is, int [n], and these, object [u], in the order of their first appearance.

    Only Arrow's strings go to `pd.factorize`: that of pandas 2 reads a Python string up to its first null character.
    """
    if _in_arrow(values):
        codes, unique = pd.factorize(values)
        return codes, unique.to_numpy(dtype=object)
    values = np.fromiter(values, dtype=object)
    first = dict.fromkeys(values)
    if len(first) == len(values):
        return np.arange(len(values)), values
    place = dict(zip(first, count()))
    codes = np.fromiter(map(place.__getitem__, values), dtype=np.int64, count=len(values))
    return codes, np.fromiter(first, dtype=object, count=len(first))


def differing(column: pd.Series, rows: np.ndarray) -> np.ndarray:
    """Which values are not the one that stands in the row that `rows` [n] gives for them, bool [n]."""
    values = pd.factorize(column)[0] if _in_arrow(column) else column.to_numpy(dtype=object)
    return values != values[rows]


def refuse(ids: Iterable[Hashable], name: str, what: str) -> None:
    """Raise a ValueError that names the first of `ids` and says what is wrong with them; pass if there is none."""
    different = list(dict.fromkeys(ids))
    if different:
        shown, more = ", ".join(map(repr, different[:NAMED])), len(different) - NAMED
        raise ValueError(f"{name} {shown}{f' and {more} more' if more > 0 else ''}: {what}")


def _not_strings(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.StringDtype):
        return column.isna().to_numpy()
    values = column.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(values, skipna=False) == "string":  # looks at every value
        return np.zeros(len(values), dtype=bool)
    return np.fromiter((not isinstance(value, str) for value in values), dtype=bool, count=len(values))


def _in_arrow(values) -> bool:
    dtype = getattr(values, "dtype", None)
    return isinstance(dtype, pd.StringDtype) and dtype.storage.startswith("pyarrow")
