r"""The data that the mini checkpoints learn from: a folder of sources, read, split by seed, and turned into tasks.

A task is a collection of documents and the queries that are asked of it. Queries are made as RaDeR makes them, as far as that
goes without an LLM: the question itself (a statement, a claim, a problem), chains of thought (a statement with a beginning of
its proof, a step of the proof), and lexical ones (names, slogans, defined terms, titles). A tenth of each source's queries
is kept for development, with everything that is made of them. No query states what a development query states, or a query of
the sources' test sets or of TheoremQA; these are read for that alone. Documents of test queries stay among the candidates.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rader_ir import quickstart
from rader_ir.guards import statement
from rader_ir.records import jsonl_records
from rader_ir.runs import read_qrels
from rader_ir.seeded import shuffled

FILES = (
    "stacks_theorems/corpus.jsonl.gz",
    "stacks_theorems/queries.train.jsonl",
    "stacks_theorems/queries.test.jsonl",
    "stacks_theorems/qrels/train.tsv",
    "scifact/corpus.jsonl.gz",
    "scifact/queries.train.jsonl",
    "scifact/queries.test.jsonl",
    "scifact/qrels/train.tsv",
    "scifact/qrels/test.tsv",
    "math/gsm8k_train.jsonl.gz",
    "math/gsm8k_test.jsonl",
    "math/aqua_dev.jsonl",
    "math/aqua_test.jsonl",
)
SOURCES = {  # what is learned from, and under which licence
    "Stacks project, commit 4ac4815d": "GFDL 1.2",
    "SciFact (allenai/scifact, commit 68b98a5)": "CC BY 4.0; abstracts of S2ORC, ODC-By 1.0",
    "GSM8K (openai/grade-school-math, commit 3101c7d)": "MIT",
    "AQuA (google-deepmind/AQuA, commit 26b64ed)": "Apache-2.0",
}
DEV = 0.1  # of a source's training queries
PROBLEMS = 1500  # of GSM8K's, as many as a memory of rationales takes
ABSTRACTS = 900  # of SciFact's that no training claim cites
_MARKS = re.compile(r"<<.*?>>")  # GSM8K's calculator
_TERM = re.compile(r"\{\\it ((?:[^{}]|\{[^{}]*\})*)\}")  # with formulas in it
_AROUND = (160, 140)  # characters of a proof before and after a reference
SHORT = 1500  # short texts of a source
_SENTENCE = re.compile(r"(?<=[.?!])\s+|\n\n")
_APART = 150  # between two such windows


@dataclass(frozen=True)
class Query:
    """A query of a task.

    Attributes:
        query_id, text: its own.
        relevant: ids of the documents that answer it; none where nobody knows them.
        excluded: ids of documents that are no candidates.
        question: what it was made of, where it is not the question itself.
        solution: the question with what solves it (a proof, a rationale), for a teacher's eyes; "" where there is none.
        kind: as `Example.kind`.
    """

    query_id: str
    text: str
    relevant: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    question: str = ""
    solution: str = ""
    kind: str = "question"


@dataclass(frozen=True)
class Task:
    """A collection and the queries asked of it. `docs`: {doc_id: text}."""

    name: str
    docs: Mapping[str, str]
    queries: Sequence[Query] = field(repr=False)


def check_folder(folder: Path) -> None:
    """Raise FileNotFoundError where a source is missing, with what makes it."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of {len(FILES)} files, first {missing[0]}; make the folder by "
            "`python examples/mini_data.py DIR`"
        )


def read_tasks(folder: str | Path, seed: int = 0) -> tuple[list[Task], list[Task]]:
    """The tasks to learn from and the tasks to measure on.

    Args:
        folder: as `examples/mini_data.py` makes it.
        seed: of the split and of every draw.

    Raises:
        FileNotFoundError: a source is missing.
        ValueError: a broken record; names file and line.
    """
    folder = Path(folder).expanduser()
    check_folder(folder)
    draw = random.Random(seed)
    train, dev = [], []
    for read in (_stacks, _scifact, _gsm8k, _aqua):
        made, held = read(folder, draw, seed)
        train += made
        dev += held
    barred = {statement(query.text) for task in dev for query in task.queries}
    barred |= {statement(text) for text in test_queries(folder)}
    return [_without(task, barred) for task in train], dev


def test_queries(folder: Path) -> Iterator[str]:
    """The texts of all queries that something is measured by: the sources' test sets, and TheoremQA."""
    for name in FILES:
        if name.endswith("test.jsonl"):
            yield from (record.get("text") or record["question"] for _, record in jsonl_records(folder / name))
    yield from quickstart.load()[1].values()


def _without(task: Task, barred: set[str]) -> Task:
    """The task without queries that state, or are made of, what is barred."""
    kept = [
        query
        for query in task.queries
        if statement(query.text) not in barred and statement(query.question or query.text) not in barred
    ]
    return replace(task, queries=kept)


def digest(folder: Path) -> str:
    """A short name for exactly these sources."""
    made = hashlib.sha256()
    for name in FILES:
        made.update((folder / name).read_bytes())
    return made.hexdigest()[:16]


def short_texts(folder: Path, train: Sequence[Task], dev: Sequence[Task], seed: int) -> list[Task]:
    """Tasks without labels, for a teacher to label: sentences of each source, each asked for the others like it.

    None of them stands in a test or development query, or comes from an abstract that answers one of SciFact's.

    Args:
        folder, seed: as of `read_tasks`.
        train, dev: what that gave.
    """
    by_name = {task.name: task for task in train}
    texts: dict[str, list[str]] = {}
    hidden = {*test_queries(folder), *(query.text for task in dev for query in task.queries)}
    proofs = [query.solution for query in by_name["stacks"].queries]
    statements = [text for text in by_name["stacks"].docs.values() if text not in hidden]
    texts["stacks-texts"] = [*statements, *proofs, *(query.text for query in by_name["stacks-names"].queries)]
    titles = {doc_id for query in by_name["scifact-titles"].queries for doc_id in query.relevant}
    abstracts = [by_name["scifact-titles"].docs[doc_id] for doc_id in titles]
    asked = [query.text for name in ("scifact", "scifact-titles") for query in by_name[name].queries]
    texts["scifact-texts"] = [*sorted(abstracts), *asked]
    problems = [query for name in ("gsm8k", "aqua") for query in by_name[name].queries]
    texts["math-texts"] = [query.solution for query in problems]
    barred = {piece for text in hidden for piece in pieces(text)}
    return [_short(name, of, barred, seed) for name, of in texts.items()]


def pieces(text: str) -> set[str]:
    """The sentences of a text that have 25 to 220 characters."""
    found = (piece.strip() for piece in _SENTENCE.split(text))
    return {piece for piece in found if 25 <= len(piece) <= 220}


def _short(name: str, texts: Iterable[str], barred: set[str], seed: int) -> Task:
    """Sentences, as many as `SHORT`, none of them barred."""
    found = shuffled(sorted({piece for text in texts for piece in pieces(text)} - barred), seed, name)[:SHORT]
    docs = {f"{name}-{number}": text for number, text in enumerate(found, start=1)}
    return Task(name, docs, [Query(doc_id, text, (), (doc_id,), kind="lexical") for doc_id, text in docs.items()])


def _split(ids: Iterable[str], draw: random.Random) -> tuple[list[str], set[str]]:
    """Ids to learn from, in a drawn order, and those kept for development."""
    ids = list(ids)
    draw.shuffle(ids)
    held = round(DEV * len(ids))
    return ids[held:], set(ids[:held])


def _stacks(folder: Path, draw: random.Random, seed: int) -> tuple[list[Task], list[Task]]:
    folder = folder / "stacks_theorems"
    records = {record["doc_id"]: record for _, record in jsonl_records(folder / "corpus.jsonl.gz")}
    asked = {record["query_id"]: record for _, record in jsonl_records(folder / "queries.train.jsonl")}
    hidden = {record["query_id"] for _, record in jsonl_records(folder / "queries.test.jsonl")}
    qrels = read_qrels(folder / "qrels" / "train.tsv")
    learned, held = _split(sorted(asked), draw)
    docs = {doc_id: record["text"] for doc_id, record in records.items()}

    def query(name: str, text: str, kind: str, record: Mapping) -> Query:
        relevant, question = tuple(sorted(qrels[record["query_id"]])), record["text"]
        solution = f"{question}\n{record['proof']}"
        return Query(name, text, relevant, tuple(record["excluded_ids"]), question, solution, kind)

    statements = [query(f"stacks-{i}", asked[i]["text"], "question", asked[i]) for i in learned]
    begun = [query(f"stacks-cot-{i}", _beginning(asked[i], seed), "cot", asked[i]) for i in learned]
    steps = [
        query(f"stacks-step-{i}-{number}", text, "cot", asked[i])
        for i in learned
        for number, text in enumerate(_windows(asked[i]["proof"]), start=1)
    ]
    named = [record for doc_id, record in records.items() if doc_id not in hidden | held]
    dev = [query(f"stacks-{i}", asked[i]["text"], "question", asked[i]) for i in sorted(held)]
    made = [
        ("stacks", statements),
        ("stacks-cot", begun),
        ("stacks-steps", steps),
        ("stacks-names", list(_named(named))),
    ]
    return [Task(name, docs, queries) for name, queries in made], [Task("stacks", docs, dev)]


def _beginning(record: Mapping, seed: int) -> str:
    """A statement and a beginning of its proof, a fifth to four fifths of it, as RaDeR's partial solutions are."""
    proof = record["proof"]
    share = random.Random(f"{seed} {record['query_id']} beginning").uniform(0.2, 0.8)
    return f"{record['text']}\n{proof[: int(share * len(proof))].rsplit(' ', 1)[0]}"


def _windows(proof: str, most: int = 4) -> Iterator[str]:
    """What stands around the references of a proof: the step in which a result is used."""
    last, found = -_APART, 0
    for match in re.finditer(r"\[ref\]", proof):
        if found == most:
            return
        if match.start() - last < _APART:
            continue
        last, start = match.start(), max(0, match.start() - _AROUND[0])
        text = proof[start : match.start() + _AROUND[1]]
        text = text.split(" ", 1)[-1] if start else text
        if len(re.findall(r"[^\W\d_]", text.replace("[ref]", ""))) >= 40:  # says something of its own
            found += 1
            yield text


def _named(records: Iterable[Mapping]) -> Iterator[Query]:
    """Slogans, names and defined terms, each a query for what they stand for."""
    for record in records:
        terms = (
            []
            if record["kind"] != "definition"
            else [term.replace("\n", " ") for term in _TERM.findall(record["text"])]
        )
        texts = [text for text in (record["slogan"], record["name"], *terms[:2]) if text.strip()]
        for number, text in enumerate(dict.fromkeys(texts), start=1):
            yield Query(f"stacks-name-{record['doc_id']}-{number}", text, (record["doc_id"],), kind="lexical")


def _scifact(folder: Path, draw: random.Random, seed: int) -> tuple[list[Task], list[Task]]:
    folder = folder / "scifact"
    records = {record["doc_id"]: record for _, record in jsonl_records(folder / "corpus.jsonl.gz")}
    claims = {record["query_id"]: record["text"] for _, record in jsonl_records(folder / "queries.train.jsonl")}
    qrels = read_qrels(folder / "qrels" / "train.tsv")
    hidden = {doc_id for relevant in read_qrels(folder / "qrels" / "test.tsv").values() for doc_id in relevant}
    learned, held = _split(sorted(claims), draw)
    hidden |= {doc_id for i in held for doc_id in qrels[i]}
    cited = {doc_id for relevant in qrels.values() for doc_id in relevant}
    others = shuffled([doc_id for doc_id in records if doc_id not in cited], seed, "abstracts")[:ABSTRACTS]
    bodies = {doc_id: " ".join(records[doc_id]["sentences"]) for doc_id in (*sorted(cited), *others)}
    docs = {doc_id: f"{records[doc_id]['title']}\n{body}" for doc_id, body in bodies.items()}
    titles = [
        Query(f"scifact-title-{doc_id}", records[doc_id]["title"], (doc_id,), kind="lexical")
        for doc_id in bodies
        if doc_id not in hidden
    ]

    def queries(ids: Iterable[str]) -> list[Query]:
        return [Query(f"scifact-{i}", claims[i], tuple(sorted(qrels[i]))) for i in ids]

    made = [Task("scifact", docs, queries(learned)), Task("scifact-titles", bodies, titles)]
    return made, [Task("scifact", docs, queries(sorted(held)))]


def _gsm8k(folder: Path, draw: random.Random, seed: int) -> tuple[list[Task], list[Task]]:
    pairs = [
        (record["question"], _MARKS.sub("", record["answer"]).split("####")[0].strip())
        for _, record in jsonl_records(folder / "math" / "gsm8k_train.jsonl.gz")
    ]
    return _problems("gsm8k", pairs, draw, PROBLEMS)


def _aqua(folder: Path, draw: random.Random, seed: int) -> tuple[list[Task], list[Task]]:
    records = jsonl_records(folder / "math" / "aqua_dev.jsonl")
    return _problems("aqua", [(record["question"], record["rationale"]) for _, record in records], draw, None)


def _problems(
    name: str, pairs: Sequence[tuple[str, str]], draw: random.Random, most: int | None
) -> tuple[list[Task], list[Task]]:
    """Problems as queries for their rationales."""
    learned, held = _split([str(i) for i in range(len(pairs))], draw)

    def task(ids: Iterable[str]) -> Task:
        chosen = [(i, *pairs[int(i)]) for i in ids]
        queries = [
            Query(f"{name}-{i}", question, (f"{name}-{i}",), solution=f"{question}\n{why}")
            for i, question, why in chosen
        ]
        return Task(name, {f"{name}-{i}": why for i, _, why in chosen}, queries)

    return [task(learned[:most])], [task(sorted(held, key=int))]
