"""From the TeX of the Stacks project's chapters to a collection in which theorems are asked for what their proofs use.

Every labelled statement that has a Stacks tag becomes a document. A lemma, proposition or theorem whose proof, right
below it, refers to other documents becomes a query as well: those documents are relevant (the "mathematical reference
retrieval" of NaturalProofs, arXiv:2104.01112). References in the texts are masked, so that none gives an answer away.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CHAPTERS = ("sets", "categories", "topology", "fields", "algebra", "homology", "sheaves", "brauer")
PROVED = ("lemma", "proposition", "theorem")
KINDS = ("definition", *PROVED, "remark", "example", "situation")
SEED, TESTS = 13, 250

_STATEMENT = re.compile(rf"\\begin\{{({'|'.join(KINDS)})\}}(?:\[(.*?)\])?(.*?)\\end\{{\1\}}", re.DOTALL)
_PROOF = re.compile(r"\s*\\begin\{proof\}(.*?)\\end\{proof\}", re.DOTALL)
_ASIDE = re.compile(r"\\begin\{(slogan|history|reference)\}(.*?)\\end\{\1\}", re.DOTALL)
_TITLE = re.compile(r"\\title\{(.*)\}")
_SECTION = re.compile(r"\\section\{(.*)\}")
_LABEL = re.compile(r"\\label\{([^}]*)\}")
_REF = re.compile(r"\\ref\{([^}]*)\}")
_CITE = re.compile(r"\\cite(?:\[[^\]]*\])?\{[^}]*\}")
# "Categories, Lemma \ref{...}" is masked as a whole, for the chapter and the kind of an answer are hints, too. What
# opens a sentence goes with the chapter ("See Homology, ...") and a bracket that closes right after goes with the rest.
_NAMED_REF = re.compile(
    r"(?:[A-Z][A-Za-z ]*, )?"
    r"(?:Definition|Lemma|Proposition|Theorem|Remark|Example|Situation|Section|Equation|Exercise)s?"
    r"\s+\(?\\ref\{[^}]*\}\)?"
)
_COMMENT = re.compile(r"(?<!\\)%.*")
_SPACING = re.compile(r"\\(?:medskip|noindent)\b")
_LINE_END = re.compile(r"[ \t]*\n\s*")


@dataclass(frozen=True)
class Statement:
    """A tagged statement: the corpus fields as they are written, then its chapter file and the proof's TeX or None."""

    doc_id: str
    kind: str
    name: str
    chapter: str
    section: str
    text: str
    slogan: str
    file: str
    proof: str | None

    def document(self) -> dict[str, str]:
        """The row of the corpus."""
        names = ("doc_id", "kind", "name", "chapter", "section", "text", "slogan")
        return {name: getattr(self, name) for name in names}


def convert(texts: dict[str, bytes], *, tests: int = TESTS) -> dict[str, list[str]]:
    r"""The collection's files: name -> lines without their ends.

    texts: `tags/tags`, `COPYING` and `NAME.tex` of any of CHAPTERS, as they lie in the repository. tests: how many
    queries, drawn by SEED, make the test split.

    Raises:
        ValueError: a chapter has no \title, or one of its documents stands before the first \section.
    """
    tags = read_tags(texts["tags/tags"].decode())
    found = [
        statement
        for chapter in CHAPTERS
        if f"{chapter}.tex" in texts
        for statement in statements(chapter, texts[f"{chapter}.tex"].decode(), tags)
    ]
    answers = references(found, tags)
    test = held_out(answers, tests)
    files = {
        "COPYING.stacks": texts["COPYING"].decode().splitlines(),
        "corpus.jsonl.gz": [_line(statement.document()) for statement in found],
    }
    by_id = {statement.doc_id: statement for statement in found}
    for split in ("train", "test"):
        chosen = sorted(query_id for query_id in answers if (query_id in test) == (split == "test"))
        files[f"queries.{split}.jsonl"] = [_line(_query(by_id[query_id])) for query_id in chosen]
        files[f"qrels/{split}.tsv"] = [f"{query}\t0\t{doc}\t1" for query in chosen for doc in answers[query]]
    return files


def read_tags(text: str) -> dict[str, str]:
    """The tags file, lines of `tag,full_label` with comments: full label (`algebra-lemma-NAK`) -> tag."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {label: tag for tag, label in (line.split(",", 1) for line in lines)}


def statements(chapter: str, tex: str, tags: dict[str, str]) -> Iterator[Statement]:
    """The tagged statements of a chapter, `chapter`.tex, in its order."""
    title = _TITLE.search(tex)
    if not title:
        raise ValueError(rf"{chapter}.tex has no \title{{...}}; get the file again")
    sections = [(section.start(), section[1]) for section in _SECTION.finditer(tex)]
    for found in _STATEMENT.finditer(tex):
        kind, name, body = found.groups()
        label = _LABEL.search(body)
        tag = tags.get(f"{chapter}-{label[1]}") if label else None
        if tag is None:
            continue
        above = [heading for start, heading in sections if start < found.start()]
        if not above:
            raise ValueError(rf"{chapter}.tex: {label[1]} stands before the first \section; get the file again")
        slogans = [aside[2] for aside in _ASIDE.finditer(body) if aside[1] == "slogan"]
        proof = _PROOF.match(tex, found.end())
        yield Statement(
            doc_id=tag,
            kind=kind,
            name=name or "",
            chapter=title[1],
            section=above[-1],
            text=masked(_LABEL.sub("", _ASIDE.sub("", body))),
            slogan=" ".join(masked(slogans[0]).split()) if slogans else "",
            file=chapter,
            proof=proof and proof[1],
        )


def masked(tex: str) -> str:
    r"""TeX with [ref] for references and [cite] for citations, without comments, empty lines and margins.

    >>> masked("see Sets,\n  Lemma \\ref{lemma-a} % sic\n\n\\medskip\\noindent\nand Sets, Lemma \\ref{lemma-b}, \\cite{Jech}")
    'see Sets,\n[ref]\nand [ref], [cite]'
    """
    tex = _COMMENT.sub("", tex)
    tex = _REF.sub("[ref]", _NAMED_REF.sub("[ref]", tex))
    tex = _SPACING.sub("", _CITE.sub("[cite]", tex))
    return _LINE_END.sub("\n", tex).strip()


def references(found: Iterable[Statement], tags: dict[str, str]) -> dict[str, list[str]]:
    """Query -> the other documents that its proof refers to, in the proof's order; queries without any are left out.

    A label is looked up in the proof's own chapter first, then as the full label of any chapter.
    """
    found = list(found)
    documents = {statement.doc_id for statement in found}
    answers = {}
    for statement in found:
        if statement.kind not in PROVED or statement.proof is None:
            continue
        labels = _REF.findall(statement.proof)
        named = dict.fromkeys(tags.get(f"{statement.file}-{label}") or tags.get(label) for label in labels)
        if others := [doc_id for doc_id in named if doc_id in documents and doc_id != statement.doc_id]:
            answers[statement.doc_id] = others
    return answers


def held_out(query_ids: Iterable[str], tests: int) -> set[str]:
    """The queries of the test split: `tests` of them, drawn by SEED whatever the order that they come in."""
    shuffled = sorted(query_ids)
    random.Random(SEED).shuffle(shuffled)
    return set(shuffled[:tests])


def _query(statement: Statement) -> dict:
    return {
        "query_id": statement.doc_id,
        "text": statement.text,
        "excluded_ids": [statement.doc_id],
        "proof": masked(statement.proof),
    }


def _line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False)
