"""Names of measures, as ir_measures and trec_eval write them, and the values of measures for each query.

ir_measures hands each measure to the first tool that has it. What a tool would answer with a crash or a riddle is refused here
beforehand: cutoffs below 1, parameters that are missing or of another kind, measures whose tool is not installed.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from rader_ir.runs import Qrels

_SITE = "see https://ir-measur.es/en/latest/measures.html"
_OPEN, _CLOSED, _QUOTES = "([{", ")]}", "'\""


def names(text: str) -> list[str]:
    """The names in a text, parted by blanks and commas, those within brackets and quotes aside.

    >>> names("nDCG@10, RBP(p=0.8, rel=1)")
    ['nDCG@10', 'RBP(p=0.8, rel=1)']
    """
    found, depth, quote = [""], 0, ""
    for letter in text:
        if not quote:
            depth += (letter in _OPEN) - (letter in _CLOSED)
        if letter in _QUOTES:
            quote = "" if letter == quote else quote or letter
        if depth <= 0 and not quote and (letter.isspace() or letter == ","):
            found.append("")
        else:
            found[-1] += letter
    return [name for name in found if name]


def parsed(measures: str | Iterable) -> list:
    """The measure objects of ir_measures for some names; objects among them are checked and kept.

    Args:
        measures: one text as for `names`, or a list of names and objects. Names of trec_eval are taken where they mean one
            measure: ndcg_cut_10, recall_100, map, recip_rank.

    Raises:
        ValueError: none, an unknown one, a cutoff or a parameter that it does not take, or one that no tool here computes.
    """
    wanted = names(measures) if isinstance(measures, str) else list(measures)
    if not wanted:
        raise ValueError("no measure given; name some, for example 'nDCG@10 R@100'")
    found = [_object(name) if isinstance(name, str) else name for name in wanted]
    for name, measure in zip(wanted, found, strict=True):
        _check(str(name), measure)
    return found


def by_query(run: Mapping[str, Mapping[str, float]], qrels: Qrels, wanted: list) -> Iterator[tuple[str, str, float]]:
    """Yields (measure, query_id, value) of measures that `parsed` gave; a query that a tool passes over has no value.

    Raises:
        ValueError: a tool refuses the judgements.
    """
    import ir_measures

    numbered = [measure for measure in wanted if _tool(measure).NAME == "gdeval"]
    plain = [measure for measure in wanted if measure not in numbered]
    if plain:
        for metric in ir_measures.iter_calc(plain, qrels, run):
            yield str(metric.measure), metric.query_id, float(metric.value)
    if numbered:
        yield from _by_gdeval(run, qrels, numbered)


def _by_gdeval(run: Mapping, qrels: Qrels, wanted: list) -> Iterator[tuple[str, str, float]]:
    """By TREC's gdeval, which takes numbers for query_ids and no blanks in doc_ids: both are numbered for it."""
    import ir_measures

    query_ids = sorted({*qrels, *run})
    doc_ids = sorted({doc_id for lists in (qrels, run) for row in lists.values() for doc_id in row})
    queries, documents = ({name: str(at) for at, name in enumerate(each, start=1)} for each in (query_ids, doc_ids))
    judged, ranked = (
        {
            queries[query_id]: {documents[doc_id]: value for doc_id, value in row.items()}
            for query_id, row in each.items()
        }
        for each in (qrels, run)
    )
    try:
        for metric in ir_measures.iter_calc(wanted, judged, ranked):
            yield str(metric.measure), query_ids[int(metric.query_id) - 1], float(metric.value)
    except subprocess.CalledProcessError as error:
        shown = ", ".join(map(str, wanted))
        raise ValueError(f"{shown}: gdeval refuses the judgements; it takes grades up to 4") from error


def _object(name: str):
    import ir_measures

    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError) as error:
        try:
            (measure,) = ir_measures.parse_trec_measure(
                name
            )  # by trec_eval's name; several where its cutoffs are left open
        except (ValueError, TypeError):
            raise ValueError(f"measure {name!r} is unknown: {_meant(name) or error} ({_SITE})") from error
        return measure


def _meant(name: str) -> str:
    """What a name that is unknown was probably meant to be, as a question, or nothing."""
    import ir_measures

    known = {each.lower(): each for each in reversed(list(ir_measures.measures.registry)) if each.isascii()}
    match = re.fullmatch(r"([A-Za-z_]+?)(\(.*\))?[@_.]?(\d*)", name.strip())
    near = get_close_matches(match[1].lower(), known, n=1, cutoff=0.75) if match else []
    return f"did you mean {known[near[0]]}{match[2] or ''}{match[3] and '@'}{match[3]}?" if near else ""


def _check(name: str, measure) -> None:
    for parameter in ("cutoff", "rel"):
        value = measure.params.get(parameter)
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"measure {name!r} has {parameter} {value}; expected a whole number from 1 on")
    try:
        measure.validate_params()
    except AssertionError as error:
        raise ValueError(f"measure {name!r} {_asked(measure)} ({_SITE})") from error
    if _tool(measure) is None:
        raise ValueError(f"measure {name!r} is not computed by any tool here; {_remedy(name, measure)}")


def _asked(measure) -> str:
    """What parameters a measure must be given, in words."""
    needs = [key for key, info in measure.SUPPORTED_PARAMS.items() if info.required and key not in measure.params]
    if needs == ["cutoff"]:
        return f"needs a cutoff, as {measure.NAME}@10"
    if needs:
        return f"needs {', '.join(needs)}, as {measure.NAME}({', '.join(f'{key}=...' for key in needs)})"
    return f"has a parameter that it does not take; it takes {', '.join(measure.SUPPORTED_PARAMS) or 'none'}"


def _tools(measure, *, installed: bool) -> list:
    import ir_measures

    tools = ir_measures.DefaultPipeline.providers
    return [tool for tool in tools if (tool.is_available() or not installed) and tool.supports(measure)]


def _tool(measure):
    return next(iter(_tools(measure, installed=True)), None)


def _remedy(name: str, measure) -> str:
    absent = _tools(measure, installed=False)
    grade = "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params
    if not absent and grade and (absent := _tools(graded := measure(rel=1), installed=False)):
        full = f"({','.join(f'{key}={value!r}' for key, value in graded.params.items() if key != 'cutoff')})"
        name = measure.NAME + full + (f"@{measure.params['cutoff']}" if "cutoff" in measure.params else "")
        if _tool(graded) is not None:
            return f"name the grade that counts as relevant, as {name}"
        return f"name the grade that counts as relevant, as {name}, and {_install(absent)}"
    return _install(absent) if absent else f"choose other parameters, {_SITE}"


def _install(tools: list) -> str:
    """How to get the first of some tools."""
    told = tools[0].install_instructions() or f"install {tools[0].NAME}"
    return f"run {told}" if told.startswith("pip ") else f"{told[:1].lower()}{told[1:]}"
