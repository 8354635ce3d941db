"""Results query by query: as CSV for other tools, and for reading where a system won most against a baseline and lost most.

A win or loss is shown with the question, and where they are at hand with the documents that both systems rank first and
the places of the relevant ones: means say that systems differ, the texts say why.
"""

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rader_ir.evaluation import Results
from rader_ir.files import replacing
from rader_ir.reports.averages import EQUAL, heading, per_collection
from rader_ir.runs import Qrels, Run, ranked

Texts = Mapping[str, str] | Callable[[], Iterable[tuple[str, str]]]  # {doc_id: text}, or opens (doc_id, text) pairs

_SHOWN = 3  # documents of each list
_QUERY_LETTERS, _DOCUMENT_LETTERS = 1500, 300


def write_csv(results: Results, path: str | Path) -> None:
    """Writes a row `system,collection,query_id,measure,value` for each value; .gz packs, and the file appears whole.

    Values are written so that they read back equal.
    """
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", "collection", "query_id", "measure", "value"])
        for system, collections in results.items():
            for collection, values in collections.items():
                for measure, by_query in values.items():
                    for query_id, value in by_query.items():
                        writer.writerow([system, collection, query_id, measure, repr(float(value))])


def wins_and_losses(
    results: Results,
    baseline: str,
    system: str,
    measure: str,
    *,
    queries: Mapping[str, Mapping[str, str]],
    documents: Mapping[str, Texts] | None = None,
    runs: Mapping[str, Mapping[str, Run]] | None = None,
    qrels: Mapping[str, Qrels] | None = None,
    count: int = 10,
) -> str:
    """Markdown with the queries on which the system is furthest above the baseline, and furthest below it.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}.
        baseline, system: two of the systems.
        measure: one of the measures.
        queries: {collection: {query_id: text}}; a query without text is shown by its id.
        documents: {collection: {doc_id: text}}, or for a corpus {collection: function that gives (doc_id, text) pairs},
            read once; without them documents are shown by their ids.
        runs: {system: {collection: run}}; without them no documents are shown.
        qrels: {collection: judgements}, with which relevant documents are marked and their places told.
        count: queries shown of each kind.

    Raises:
        ValueError: an unknown system or measure.
    """
    after, before = (per_collection(results, name, measure) for name in (system, baseline))
    both = [
        (after[name][query_id] - before[name][query_id], name, query_id)
        for name in after
        if name in before
        for query_id in after[name]
        if query_id in before[name]
    ]
    ordered = sorted(both, key=lambda row: (-row[0], row[1], row[2]))
    wins = [row for row in ordered if row[0] > EQUAL]
    losses = [row for row in reversed(ordered) if row[0] < -EQUAL]
    shown = {row[1:] for row in wins[:count] + losses[:count]}
    lists = {name: _lists(runs or {}, name, shown) for name in (system, baseline)}
    texts = _texts(documents or {}, lists, qrels or {}, shown)
    lines = [f"# {system} against {baseline}: {measure}", ""]
    ties = len(both) - len(wins) - len(losses)
    lines += [f"{len(wins)} queries won, {ties} tied, {len(losses)} lost of {len(both)}.", ""]
    for title, rows in (("Wins", wins), ("Losses", losses)):
        lines += [f"## {title}", ""] + ([] if rows else ["None.", ""])
        for difference, collection, query_id in rows[:count]:
            values = (before[collection][query_id], after[collection][query_id])
            lines += _head(collection, query_id, difference, values, len(results[system]) > 1)
            lines += [_quoted(queries.get(collection, {}).get(query_id, ""), _QUERY_LETTERS), ""]
            relevant = {d for d, grade in (qrels or {}).get(collection, {}).get(query_id, {}).items() if grade > 0}
            for name in (baseline, system):
                lines += _list(name, lists[name].get((collection, query_id)), relevant, texts.get(collection, {}))
            lines += _relevant(relevant, texts.get(collection, {}))
    return "\n".join(lines).rstrip() + "\n"


def _lists(runs: Mapping[str, Mapping[str, Run]], system: str, shown: set) -> dict[tuple, list[str]]:
    """{(collection, query_id): doc_ids in order} of the queries that are shown."""
    by_collection = runs.get(system, {})
    return {
        (collection, query_id): [doc_id for doc_id, _ in ranked(by_collection[collection].get(query_id, {}))]
        for collection, query_id in shown
        if collection in by_collection
    }


def _texts(documents: Mapping[str, Texts], lists: dict, qrels: Mapping[str, Qrels], shown: set) -> dict[str, dict]:
    """{collection: {doc_id: text}} of the documents that are shown; a corpus is read once."""
    wanted: dict[str, set[str]] = {}
    for collection, query_id in shown:
        needed = wanted.setdefault(collection, set())
        needed |= {d for each in lists.values() for d in each.get((collection, query_id), [])[:_SHOWN]}
        needed |= qrels.get(collection, {}).get(query_id, {}).keys()
    found = {}
    for collection, source in documents.items():
        needed = wanted.get(collection, set())
        pairs = source.items() if isinstance(source, Mapping) else source() if needed else ()
        found[collection] = {doc_id: text for doc_id, text in pairs if doc_id in needed}
    return found


def _head(collection: str, query_id: str, difference: float, values: tuple, several: bool) -> list[str]:
    where = f"{heading(collection)}, " if several else ""
    return [f"### {where}query `{query_id}`: {values[0]:.4f} → {values[1]:.4f} ({difference:+.4f})", ""]


def _list(system: str, doc_ids: list[str] | None, relevant: set[str], texts: Mapping[str, str]) -> list[str]:
    if doc_ids is None:
        return []
    places = [str(place) for place, doc_id in enumerate(doc_ids, start=1) if doc_id in relevant]
    told = f" (relevant at {', '.join(places) or 'no place'} of {len(doc_ids)})" if relevant else ""
    lines = [f"{system}{told}:", ""]
    for place, doc_id in enumerate(doc_ids[:_SHOWN], start=1):
        lines.append(f"{place}. {'**relevant** ' if doc_id in relevant else ''}{_document(doc_id, texts)}")
    return [*lines, *([] if doc_ids else ["No documents."]), ""]


def _relevant(relevant: set[str], texts: Mapping[str, str]) -> list[str]:
    if not relevant:
        return []
    more = f"- and {len(relevant) - _SHOWN} more"
    rows = [f"- {_document(doc_id, texts)}" for doc_id in sorted(relevant)[:_SHOWN]]
    return ["Relevant:", "", *rows, *([more] if len(relevant) > _SHOWN else []), ""]


def _document(doc_id: str, texts: Mapping[str, str]) -> str:
    text = _cut(texts.get(doc_id, ""), _DOCUMENT_LETTERS)
    return f"`{doc_id}`" + (f" {text}" if text else "")


def _quoted(text: str, letters: int) -> str:
    return f"> {_cut(text, letters) or '(no text)'}"


def _cut(text: str, letters: int) -> str:
    """The text on one line, not longer than that, with what Markdown would take for tags or code made harmless."""
    line = " ".join(text.split())
    line = line if len(line) <= letters else f"{line[: letters - 1].rstrip()}…"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("`", "&#96;")
