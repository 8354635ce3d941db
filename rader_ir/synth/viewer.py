"""Pages that show how problems were searched: one HTML file for each tree, and a list of them.

A page stands alone: it holds its tree as JSON, its style and its script, loads nothing from anywhere, and shows every text of a
model or a corpus as text, never as markup. It shows what arXiv:2505.18405, section 3, describes: the tree with rewards and
visits, the theorems that reflection kept and turned down with its reasons, and the path of each training example.
"""

import base64
import hashlib
import html
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from rader_ir.examples import Example
from rader_ir.files import replacing
from rader_ir.mcts import QUERY, THEOREM
from rader_ir.prompts import fill
from rader_ir.synth.grown import Grown

INDEX = "index.html"
SOURCE = "synthesis"  # provenance["source"] of the examples that are made of trees
TREE_SCRIPTS = ("dom.js", "model.js", "question.js", "outline.js", "map.js", "details.js", "tree.js")
INDEX_SCRIPTS = ("dom.js", "index.js")
_ENDINGS = (".json", ".json.gz")
_SEARCHED = {"tree": "steps and theorems", "index": "problems"}
_QUESTION = 400  # letters of a question that the list shows


def tree_page(
    grown: Grown, *, examples: Sequence[Example] = (), file: str = "", links: Mapping[str, str] | None = None
) -> str:
    """The page of one problem, as HTML.

    Args:
        grown: the problem's search.
        examples: those made of it, as `examples_by_question` sorts them.
        file: the name of the tree's file.
        links: names of pages in the same folder: `index`, `previous`, `next`.

    Raises:
        ValueError: an example whose provenance names no theorem of this tree; a number that is not finite.
    """
    record = {
        "file": file,
        "problem": asdict(grown.problem),
        "rules": asdict(grown.rules),
        "seed": grown.seed,
        "about": dict(grown.about),
        "counts": grown.counts,
        **grown.tree.to_json(),
        "found": {str(node): [asdict(each) for each in found] for node, found in grown.found.items()},
        "examples": [_example(example, grown, file) for example in examples],
        "documents": {each.doc_id: each.text for one in examples for each in (*one.positives, *one.negatives)},
        "links": dict(links or {}),
    }
    return _page("tree", TREE_SCRIPTS, grown.problem.problem_id, record)


def index_page(problems: Sequence[Mapping[str, Any]], *, title: str = "Problems") -> str:
    """The list of pages, as HTML; `problems` are what `summary` gives."""
    return _page("index", INDEX_SCRIPTS, title, {"problems": list(problems)})


def summary(grown: Grown, *, examples: Sequence[Example] = (), page: str) -> dict[str, Any]:
    """A problem's line in the list: what was asked, whether it was solved, and what it brought.

    `right_rollouts` counts rollouts that ended at a right answer (0 where none is known), `found` what lookups found by
    verdict, `examples` those made of it by kind.
    """
    ends = [grown.tree.nodes[end].reward or 0.0 for end in grown.tree.rollouts]
    question = grown.problem.question
    return {
        "page": page,
        "problem_id": grown.problem.problem_id,
        "question": question if len(question) <= _QUESTION else f"{question[:_QUESTION]} …",
        "answer": grown.problem.answer,
        "right_rollouts": sum(reward >= 1.0 for reward in ends) if grown.problem.answer is not None else 0,
        "rollouts": len(ends),
        "wanted": grown.rules.rollouts,
        "nodes": len(grown.tree.nodes),
        "found": dict(Counter(each.verdict for found in grown.found.values() for each in found)),
        "examples": dict(Counter(example.kind for example in examples)),
    }


def examples_by_question(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The examples that were made of trees, by the id of their problem; others have no path to show and are left out."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        if example.provenance.get("source") == SOURCE:
            found.setdefault(str(example.provenance.get("question_id")), []).append(example)
    return found


def tree_files(folder: str | Path) -> list[Path]:
    """The trees of a folder (.json, .json.gz), by name.

    Raises:
        ValueError: there are none, or two whose pages would have one name.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.name.endswith(_ENDINGS) and path.name[0] != ".")
    if not files:
        raise ValueError(f"{folder} holds no trees; expected the .json files that rader synthesize writes to DIR/trees")
    names = Counter(map(page_name, files))
    if twice := [name for name, n in names.items() if n > 1]:
        raise ValueError(f"{folder}: two trees would have the page {twice[0]}; keep one of them")
    return files


def page_name(tree: str | Path) -> str:
    """The name of a tree's page: `q1.json` has `q1.html`; the list keeps index.html to itself."""
    name = Path(tree).name
    stem = next((name.removesuffix(ending) for ending in reversed(_ENDINGS) if name.endswith(ending)), name)
    return f"{stem}_.html" if f"{stem}.html" == INDEX else f"{stem}.html"


def write_page(
    tree: str | Path, page: str | Path, *, examples: Mapping[str, Sequence[Example]] | None = None
) -> dict[str, Any]:
    """Write the page of one tree and return its `summary`.

    Args:
        tree: the file, as `Grown.write` leaves it.
        page: the HTML file to write.
        examples: by the id of their problem.

    Raises:
        ValueError: no tree, or examples of another one; names the file.
    """
    return _write(Path(tree), Path(page), examples or {}, {})


def write_pages(
    trees: Sequence[Path], folder: str | Path, *, examples: Mapping[str, Sequence[Example]] | None = None
) -> Iterator[dict[str, Any]]:
    """Write the page of each tree, and index.html at the end; yields each tree's `summary` as its page is written.

    One tree is in memory at a time. Arguments and errors are those of `write_page`.
    """
    names = [page_name(tree) for tree in trees]
    summaries = []
    for place, tree in enumerate(trees):
        links = {"index": INDEX}
        links |= {"previous": names[place - 1]} if place else {}
        links |= {"next": names[place + 1]} if place + 1 < len(names) else {}
        summaries.append(_write(tree, Path(folder) / names[place], examples or {}, links))
        yield summaries[-1]
    with replacing(Path(folder) / INDEX) as file:
        file.write(index_page(summaries))


def _write(
    tree: Path, page: Path, examples: Mapping[str, Sequence[Example]], links: Mapping[str, str]
) -> dict[str, Any]:
    grown = Grown.read(tree)
    made = examples.get(grown.problem.problem_id, ())
    text = tree_page(grown, examples=made, file=tree.name, links=links)
    with replacing(page) as file:
        file.write(text)
    return summary(grown, examples=made, page=page.name)


def _example(example: Example, grown: Grown, file: str) -> dict[str, Any]:
    """What the page shows of an example, once its provenance is seen to fit the tree."""
    positives = [passage.doc_id for passage in example.positives]
    theorem, query = (example.provenance.get(name) for name in ("theorem_node", "query_node"))
    known = _kind(grown, theorem) == THEOREM and grown.tree.nodes[theorem].content["doc_id"] in positives
    if not known or (query is not None and _kind(grown, query) is None):
        raise ValueError(
            f"example {example.query_id!r} says that node {theorem!r}, looked up at {query!r}, of {file or 'the tree'} is its "
            f"theorem, which is not so; give the examples that were made of these trees"
        )
    return {
        "query_id": example.query_id,
        "kind": example.kind,
        "query": example.query,
        "positives": positives,
        "negatives": [passage.doc_id for passage in example.negatives],
        "query_node": query if _kind(grown, query) == QUERY else None,
        "theorem_node": theorem,
    }


def _kind(grown: Grown, node: Any) -> str | None:
    known = type(node) is int and 0 <= node < len(grown.tree.nodes)
    return grown.tree.nodes[node].kind if known else None


def _page(kind: str, scripts: Sequence[str], title: str, record: Mapping[str, Any]) -> str:
    """page.html round what `kind` shows; the policy lets this very script and style run, and nothing else."""
    style, script = _asset("style.css"), "\n".join(map(_asset, scripts))
    allowed = f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    return fill(
        _asset("page.html"),
        policy=policy,
        kind=kind,
        searched=_SEARCHED[kind],
        main=_asset(f"{kind}.html"),
        title=html.escape(title).encode("ascii", "xmlcharrefreplace").decode(),
        style=style,
        script=script,
        data=_data(record, title),
    )


def _data(record: Mapping[str, Any], title: str) -> str:
    r"""JSON that can stand in a script element: `<` is written as \u003c, so that no text can end the element or open one."""
    try:
        text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{title}: the tree holds what JSON does not keep ({error}); grow it anew") from error
    return text.replace("<", "\\u003c")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    return resources.files("rader_ir").joinpath("data", "viewer", name).read_text(encoding="utf-8")
