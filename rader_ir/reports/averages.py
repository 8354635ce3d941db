"""The average over collections, and what each collection is called in a table: choices that all reports share.

"macro" is the mean of the collections' means, as BRIGHT and BEIR are reported; "micro" the mean over all queries. Both
are means of groups of queries: of one group for each collection, or of one group of all.
"""

from collections.abc import Iterable, Mapping

from rader_ir.evaluation import Results

AVERAGE = "average"  # stands for a collection's name where figures are of all of them
AVERAGES = ("macro", "micro")
EQUAL = 1e-12  # differences up to it are nothing but rounding
_HEADINGS = {  # as the papers on BRIGHT head their columns
    "biology": "Bio.",
    "earth_science": "Earth.",
    "economics": "Econ.",
    "psychology": "Psy.",
    "robotics": "Rob.",
    "stackoverflow": "Stack.",
    "sustainable_living": "Sus.",
    "leetcode": "Leet.",
    "pony": "Pony",
    "aops": "AoPS",
    "theoremqa_questions": "TheoQ.",
    "theoremqa_theorems": "TheoT.",
}


def heading(collection: str) -> str:
    """The short name of a collection: that of BRIGHT's tasks as in papers, of others their own."""
    return _HEADINGS.get(collection.removeprefix("bright/"), collection)


def in_order(collections: Iterable[str]) -> list[str]:
    """Collections in the order of tables: BRIGHT's tasks as its papers have them, then others by name."""
    return sorted(collections, key=lambda name: (_place(name), name))


def collections_of(results: Results) -> list[str]:
    """The collections that any system was run on: BRIGHT's tasks in the order of its papers, others in that of first mention."""
    found = dict.fromkeys(collection for by_collection in results.values() for collection in by_collection)
    return sorted(found, key=_place)


def _place(collection: str) -> int:
    task = collection.removeprefix("bright/").removesuffix("-long")
    return list(_HEADINGS).index(task) if task in _HEADINGS else len(_HEADINGS)


def per_collection(results: Results, system: str, measure: str) -> dict[str, dict[str, float]]:
    """A system's {collection: {query_id: value}} of a measure, of those collections that have it.

    Raises:
        ValueError: no such system, or no collection of it has the measure.
    """
    if system not in results:
        raise ValueError(f"system {system!r} is not among the results; there are {', '.join(map(repr, results))}")
    found = {name: values[measure] for name, values in results[system].items() if measure in values}
    if not found:
        there = dict.fromkeys(name for values in results[system].values() for name in values)
        raise ValueError(f"{system!r} has no values of {measure!r}; it has {', '.join(map(repr, there)) or 'none'}")
    return found


def grouped(groups: Mapping[str, list[float]] | Iterable[list[float]], average: str) -> list[list[float]]:
    """Values by collection as the groups whose means the average is the mean of.

    >>> grouped([[1.0, 0.0], [0.5]], "micro")
    [[1.0, 0.0, 0.5]]

    Raises:
        ValueError: an unknown average.
    """
    if average not in AVERAGES:
        raise ValueError(f"average {average!r} is unknown; choose {', '.join(map(repr, AVERAGES))}")
    groups = list(groups.values() if isinstance(groups, Mapping) else groups)
    return groups if average == "macro" else [[value for group in groups for value in group]]


def mean(groups: Iterable[list[float]]) -> float:
    """The mean of the groups' means."""
    means = [sum(group) / len(group) for group in groups]
    return sum(means) / len(means)
