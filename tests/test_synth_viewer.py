"""The pages of searched problems: what they hold, read by Python's own parser, and the verb that writes them.

What they show and do is looked at in a browser, by test_synth_viewer_browser.py.
"""

import base64
import dataclasses
import hashlib
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rader_ir.cli import main
from rader_ir.examples import Example, write_examples
from rader_ir.synth import viewer
from rader_ir.synth.grown import Grown
from tests import toy_trees

SCRIPTS = Path(viewer.__file__).parents[1] / "data" / "viewer"


@pytest.fixture(scope="module")
def grown() -> Grown:
    return toy_trees.fermat()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return toy_trees.synthesis(tmp_path_factory.mktemp("synthesis"))


class Parsed(HTMLParser):
    """A page as Python's own parser reads it: its elements, their attributes, and the text of style and scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.texts, self.within = [], [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.within = tag
        self.attributes += [(tag, *each) for each in attrs]

    def handle_data(self, data):
        if self.within in ("script", "style"):
            self.texts.append((self.within, data))

    def handle_endtag(self, tag):
        self.within = None

    @property
    def data(self) -> dict:
        return json.loads(next(text for tag, text in self.texts if tag == "script"))


def test_a_page_holds_the_whole_tree(grown):
    data = Parsed(viewer.tree_page(grown, examples=toy_trees.examples(grown), file="fermat.json")).data
    assert {name: data[name] for name in ("nodes", "rollouts")} == grown.tree.to_json()
    assert data["problem"] == {**dataclasses.asdict(grown.problem), "gold_documents": []}
    assert {int(node): [each["verdict"] for each in found] for node, found in data["found"].items()} == {
        node: [each.verdict for each in found] for node, found in grown.found.items()
    }
    assert [example["kind"] for example in data["examples"]] == ["cot", "llm", "question", "lexical"]
    assert data["documents"] == {name: toy_trees.DOCUMENTS[name] for name in ("fermat", "wilson", "euler")}
    assert (data["file"], data["seed"], data["counts"]) == ("fermat.json", 7, {"reflection unreadable": 1})


@pytest.mark.parametrize(
    "text", [toy_trees.ATTACK, "</SCRIPT >", "<!--", "]]>", "{title}{policy}", "\ud800", "</title><b>"]
)
def test_no_text_becomes_an_element(text):
    """The elements and attributes are those of a page whose every text is a letter, and the text comes back whole."""
    plain, attacked = (Parsed(viewer.tree_page(toy_trees.hostile(each))) for each in ("a", text))
    assert attacked.tags == plain.tags and attacked.attributes == plain.attributes
    assert attacked.data["problem"]["question"] == text
    assert attacked.data["nodes"][4]["content"]["answer"] == text
    summaries = [viewer.summary(toy_trees.hostile(each), page="p.html") for each in ("a", text)]
    plain, attacked = (Parsed(viewer.index_page([each])) for each in summaries)
    assert attacked.tags == plain.tags and attacked.data["problems"][0]["question"] == text


@pytest.mark.parametrize("page", ["index.html", "fermat.html"])
def test_a_page_stands_alone(folder, page):
    """Nothing is loaded: no element that could, no address but the name space of SVG; and the policy forbids it besides."""
    text = (folder / "pages" / page).read_text()
    parsed = Parsed(text)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(parsed.tags)
    assert not [each for each in parsed.attributes if each[1] in ("src", "href", "style") or each[1].startswith("on")]
    assert set(re.findall(r"\w+://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", text)
    policy = next(
        value for tag, name, value in parsed.attributes if (tag, name) == ("meta", "content") and "-src" in value
    )
    digests = {tag: base64.b64encode(hashlib.sha256(it.encode()).digest()).decode() for tag, it in parsed.texts}
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert f"style-src 'sha256-{digests['style']}'; script-src 'sha256-{digests['script']}'" in policy


def test_the_scripts_read_no_markup():
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\b|Function\("
    )
    files = sorted(SCRIPTS.glob("*.js"))
    assert {path.name for path in files} == {*viewer.TREE_SCRIPTS, *viewer.INDEX_SCRIPTS}
    assert not [path.name for path in files if re.search(forbidden, path.read_text())]


def test_a_summary_counts(grown):
    """By hand from the lists of the tree: 4 of 16 rollouts end right, four lookups of four and two of two documents."""
    counted = viewer.summary(grown, examples=toy_trees.examples(grown), page="fermat.html")
    lookups = [len(found) for found in grown.found.values()]
    assert sorted(lookups) == [2, 2, 4, 4, 4, 4]
    assert counted == {
        "page": "fermat.html",
        "problem_id": "fermat/7-100",
        "question": toy_trees.QUESTION,
        "answer": "9",
        "right_rollouts": 4,
        "rollouts": 16,
        "wanted": 16,
        "nodes": 81,
        "found": {"kept": 4, "rejected": 10, "failed": 4, "used": 2},
        "examples": {"cot": 1, "llm": 1, "question": 1, "lexical": 1},
    }
    assert [grown.tree.nodes[end].reward for end in grown.tree.rollouts].count(1.0) == 4


def test_where_no_answer_is_known_nothing_counts_as_right(grown):
    unknown = dataclasses.replace(grown, problem=dataclasses.replace(grown.problem, answer=None))
    assert viewer.summary(unknown, page="p.html")["right_rollouts"] == 0


def test_examples_go_to_their_problem(grown):
    made = toy_trees.examples(grown)
    mined = Example("other", "a query", made[0].positives, provenance={"source": "theoremqa"})
    assert viewer.examples_by_question([*made, mined]) == {"fermat/7-100": made}


@pytest.mark.parametrize(
    "wrong",
    [
        {"theorem_node": 0},
        {"theorem_node": 10_000},
        {"theorem_node": -1},
        {"theorem_node": None},
        {"theorem_node": True},
        {"query_node": 10_000},
    ],
)
def test_examples_of_another_tree_are_refused(grown, wrong):
    example = toy_trees.examples(grown)[0]
    strange = dataclasses.replace(example, provenance={**example.provenance, **wrong})
    with pytest.raises(ValueError, match=r"'fermat-cot' says that node .* of f.json .* made of these trees"):
        viewer.tree_page(grown, examples=[strange], file="f.json")


def test_an_example_whose_positive_is_not_the_theorem_is_refused(grown):
    example = toy_trees.examples(grown)[0]
    swapped = dataclasses.replace(example, positives=example.negatives, negatives=example.positives)
    with pytest.raises(ValueError, match="which is not so"):
        viewer.tree_page(grown, examples=[swapped])


def test_a_number_without_end_is_refused(grown):
    endless = dataclasses.replace(grown, about={"cost": float("inf")})
    with pytest.raises(ValueError, match="fermat/7-100: the tree holds what JSON does not keep"):
        viewer.tree_page(endless)


@pytest.mark.parametrize(
    "tree, page",
    [("a/q1.json", "q1.html"), ("q1.json.gz", "q1.html"), ("index.json", "index_.html"), ("q.1.json", "q.1.html")],
)
def test_names_of_pages(tree, page):
    assert viewer.page_name(tree) == page


def test_a_folder_of_trees(tmp_path, grown):
    with pytest.raises(ValueError, match="holds no trees"):
        viewer.tree_files(tmp_path)
    for name in ("b.json", "a.json.gz", ".hidden.json"):
        grown.write(tmp_path / name)
    assert [path.name for path in viewer.tree_files(tmp_path)] == ["a.json.gz", "b.json"]
    grown.write(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"two trees would have the page a\.html"):
        viewer.tree_files(tmp_path)


def test_pages_are_linked_and_equal_when_made_again(folder, tmp_path):
    assert sorted(path.name for path in (folder / "pages").iterdir()) == [
        "fermat.html",
        "hostile.html",
        "index.html",
        "large.html",
    ]
    links = [
        Parsed((folder / "pages" / f"{name}.html").read_text()).data["links"] for name in ("fermat", "hostile", "large")
    ]
    assert links == [
        {"index": "index.html", "next": "hostile.html"},
        {"index": "index.html", "previous": "fermat.html", "next": "large.html"},
        {"index": "index.html", "previous": "hostile.html"},
    ]
    assert main(["tree", str(folder), str(tmp_path / "again"), "--quiet"]) == 0
    for page in (folder / "pages").iterdir():
        assert (tmp_path / "again" / page.name).read_bytes() == page.read_bytes()


def test_rader_tree_of_one_file(folder, tmp_path, monkeypatch, capsys):
    """The page stands beside the tree if no place is given, and shows no examples but those that are given."""
    monkeypatch.chdir(tmp_path)
    Path("q.json").write_bytes((folder / "trees" / "fermat.json").read_bytes())
    assert main(["tree", "q.json"]) == 0
    assert "trees 1, solved 1, nodes 81, examples 0, examples_elsewhere 0, out q.html" in capsys.readouterr().err
    assert main(["tree", "q.json", "new/p.html", "--examples", str(folder / "examples.jsonl"), "--json", "f.json"]) == 0
    figures = json.loads(Path("f.json").read_text())
    assert (figures["examples"], figures["out"]) == (4, "new/p.html")
    assert [len(Parsed(Path(page).read_text()).data["examples"]) for page in ("q.html", "new/p.html")] == [0, 4]


BAD = {
    "no file": ("absent.json", "absent.json"),
    "no tree": ("qrels.json", "qrels.json is no tree of rader synthesize"),
    "no trees": ("empty", "empty holds no trees"),
    "onto the tree": ("q.json q.json", "OUT q.json is a file that this call reads"),
    "examples of something else": ("q.json --examples other.jsonl", "other.jsonl holds no example made of a tree"),
    "examples of another tree": ("q.json --examples wrong.jsonl", "'fermat-cot' says that node 1"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line(grown, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    example = toy_trees.examples(grown)[0]
    grown.write("q.json")
    Path("qrels.json").write_text('{"nodes": []}')
    Path("empty").mkdir()
    write_examples([dataclasses.replace(example, provenance={})], "other.jsonl")
    write_examples([dataclasses.replace(example, provenance={**example.provenance, "theorem_node": 1})], "wrong.jsonl")
    before = Path("q.json").read_bytes()
    assert main(["tree", *shlex.split(words)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("rader tree: ") and err.count("\n") == 1
    assert Path("q.json").read_bytes() == before and not list(tmp_path.glob("**/*.html"))


def test_trees_as_the_files_of_the_published_code(folder, tmp_path):
    trees = sorted((folder / "trees").iterdir())
    assert main(["tree", str(folder), str(tmp_path / "out"), "--official", "--quiet"]) == 0
    assert len(list((tmp_path / "out" / "answer_sheets").glob("* - Answer.json"))) == len(trees)
    assert main(["tree", str(trees[0]), str(tmp_path / "one"), "--official", "--quiet"]) == 0
    first = [path.read_bytes() for path in sorted((tmp_path / "one" / "answer_sheets").iterdir())]
    assert first == [
        (tmp_path / "out" / "answer_sheets" / path.name).read_bytes()
        for path in sorted((tmp_path / "one" / "answer_sheets").iterdir())
    ]


def test_the_published_codes_files_need_a_place(folder, capsys):
    assert main(["tree", str(folder), "--official", "--quiet"]) == 2
    assert "--official needs OUT, a new folder" in capsys.readouterr().err


def test_examples_are_found_from_wherever_a_tree_is_named(folder, tmp_path, capsys):
    """By the folder, by its trees, and by one tree; the pages of a folder of trees lie beside it."""
    figures = tmp_path / "f.json"

    def shown(*words):
        assert main(["tree", *map(str, words), "--json", str(figures), "--quiet"]) == 0
        return json.loads(figures.read_text())

    whole = shown(folder)
    assert whole["examples"] > 0
    assert shown(folder / "trees")["examples"] == whole["examples"] and not (folder / "trees" / "pages").exists()
    assert shown(folder / "trees" / "fermat.json", tmp_path / "fermat.html")["examples"] == whole["examples"]
    assert main(["tree", str(folder), str(tmp_path / "all.html"), "--quiet"]) == 2
    assert "is a folder, and OUT" in capsys.readouterr().err
