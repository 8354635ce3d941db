"""The pages of searched problems in a real browser: what they show, and what keys, clicks and hostile texts do.

The browser is Debian's chromium, or whatever `tests.browser` finds; without one these tests are skipped. What it shows is held to
the tree that the page was made of, never to the page.
"""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Child
from rader_ir.synth import viewer
from rader_ir.synth.grown import Grown
from tests import browser, toy_trees
from tests.toy_trees import ATTACK

pytestmark = pytest.mark.skipif(
    not browser.found(), reason="no Chromium here; Debian has one: apt-get install chromium"
)

CONTRASTS = """(() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colour, ground) => {
    pen.fillStyle = `rgb(${ground.join(" ")})`; pen.fillRect(0, 0, 1, 1);
    pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (it) => it ? over(getComputedStyle(it).backgroundColor, ground(it.parentElement)) : [255, 255, 255];
  const found = [];
  for (const it of document.querySelectorAll("body *")) {
    const own = [...it.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(it.tagName) || !it.checkVisibility()) continue;
    const under = ground(it), ink = over(getComputedStyle(it)[it.tagName === "text" ? "fill" : "color"], under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), `${it.tagName}.${it.className} ${it.textContent.slice(0, 30)}`]);
  }
  return found;
})()"""
WITHIN = """(() => {
  const row = document.querySelector("#outline [aria-selected=true]").getBoundingClientRect();
  const head = document.querySelector("#outline-view .head").getBoundingClientRect();
  const view = document.getElementById("outline-view").getBoundingClientRect();
  return row.top >= head.bottom && row.bottom <= view.bottom;
})()"""


@pytest.fixture(scope="module")
def grown() -> Grown:
    return toy_trees.fermat()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return toy_trees.synthesis(tmp_path_factory.mktemp("synthesis"))


@pytest.fixture(scope="module")
def chromium():
    opened = browser.Browser()
    yield opened
    opened.close()


@pytest.fixture
def shown(chromium, folder):
    """Opens a page of the folder. In the end nothing was asked for but such pages, and no script or policy complained."""

    def open_page(name: str, fragment: str = "", *, scheme: str = "light", **size) -> browser.Browser:
        chromium.looks(scheme, **size)
        chromium.open(folder / "pages" / f"{name}.html", fragment)
        return chromium

    yield open_page
    assert chromium.errors == []
    assert chromium.requests and all(each.startswith((folder / "pages").as_uri()) for each in chromium.requests)


def selected(page: browser.Browser) -> int:
    """The node that is selected, which one row alone says, and the tree to a screen reader."""
    (row,) = page.value("[...document.querySelectorAll('#outline [aria-selected=true]')].map((row) => row.id)")
    assert page.value("document.getElementById('outline').getAttribute('aria-activedescendant')") == row
    return int(row.removeprefix("row-"))


def rows(page: browser.Browser, also: str = "") -> list[int]:
    """The nodes that have a row, in order; with `also`, of those that a selector fits."""
    return page.value(f"[...document.querySelectorAll('#outline .row{also}')].map((row) => Number(row.id.slice(4)))")


def texts(page: browser.Browser, selector: str) -> list[str]:
    return page.value(f"[...document.querySelectorAll({json.dumps(selector)})].map((made) => made.textContent)")


def typed(page: browser.Browser, text: str) -> None:
    """Search for a text."""
    page.press("/")
    page.call("Input.insertText", text=text)


def preorder(grown: Grown, node: int = 0) -> list[int]:
    return [node, *(each for child in grown.tree.nodes[node].children or () for each in preorder(grown, child))]


def short(number: float) -> str:
    """A number as the pages write it."""
    return str(int(number)) if number == int(number) else f"{number:.2f}".removeprefix("0")


def test_the_outline_shows_each_node_with_its_numbers(shown, grown):
    page = shown("fermat")
    page.press("+")
    assert rows(page) == preorder(grown)
    names = ["kind", "visits", "mean", "answer"]
    cells = [texts(page, f"#outline .row .{name}") for name in names]
    for node, kind, visits, mean, answer in zip(preorder(grown), *cells, strict=True):
        node = grown.tree.nodes[node]
        assert kind == node.kind
        assert (visits, mean) == ((str(node.visits), short(node.value / node.visits)) if node.visits else ("–", "–"))
        if node.kind == SOLUTION:
            assert answer == f"{'✓' if node.reward == 1.0 else '✗'} {node.content['answer']}"
    page.press("-")
    assert rows(page) == [0, *grown.tree.root.children]


def test_the_details_show_each_node_with_its_numbers(shown, grown):
    paths = [grown.tree.path(end) for end in grown.tree.rollouts]
    for node in grown.tree.nodes[1::11]:
        page = shown("fermat", f"#node-{node.id}")
        names, facts = texts(page, "#details .numbers span"), texts(page, "#details .numbers b")
        told = dict(zip(names, facts, strict=True))
        assert told["visits"] == str(node.visits) and told["sum of rewards"] == short(node.value)
        assert told["reward"] == ("–" if node.reward is None else short(node.reward))
        assert told["made in rollout"] == str(node.rollout + 1) and told["depth"] == str(node.depth)
        passing = [str(number) for number, path in enumerate(paths, start=1) if node in path]
        assert len(passing) == node.visits
        assert (f"Rollouts through it: {', '.join(passing)}" in texts(page, "#details > p")) is bool(passing)
        assert texts(page, "#rollouts .passes") == passing


def test_a_lookup_shows_what_was_kept_and_what_not_and_why(shown, grown):
    query = next(node for node, found in grown.found.items() if found == toy_trees.FOUND)
    page = shown("fermat", f"#node-{query}")
    found = page.value(
        "[...document.querySelectorAll('#details .lookup')].map((it) => [it.classList[1], it.querySelector('.id').textContent,"
        " it.querySelector('.prose:not(.why)')?.textContent || '', it.querySelector('.why')?.textContent || ''])"
    )
    assert found == [[each.verdict, each.doc_id, each.summary, each.reason] for each in toy_trees.FOUND]
    assert "Retrieved: 1 kept, 2 rejected, 1 failed" in texts(page, "#details h3")
    assert texts(page, "#details .lookup details .prose") == [
        toy_trees.DOCUMENTS[n] for n in ("fermat", "wilson", "euler")
    ]
    theorem = grown.tree.nodes[query].children[0]
    page.click("#details .lookup.kept .link")
    assert selected(page) == theorem and grown.tree.nodes[theorem].kind == THEOREM
    again = next(node for node, found in grown.found.items() if found == toy_trees.AGAIN)
    page = shown("fermat", f"#node-{again}")
    assert texts(page, "#details .lookup .badge") == ["↺ on the path already", "✕ rejected"]


def test_a_query_shows_what_was_asked(shown, grown):
    node = next(node for node in grown.tree.nodes if node.kind == QUERY)
    page = shown("fermat", f"#node-{node.id}")
    told = [toy_trees.LOOKUP[name] for name in ("name", "statement", "preconditions", "why", "subject")]
    assert texts(page, "#details dl.facts dd") == told
    assert texts(page, "#details > details .prose") == [toy_trees.LOOKUP["text"]]


@pytest.mark.parametrize("right", [True, False])
def test_a_solution_stands_against_the_known_answer(shown, grown, right):
    node = next(node for node in grown.tree.nodes if node.kind == SOLUTION and (node.reward == 1.0) is right)
    page = shown("fermat", f"#node-{node.id}")
    assert texts(page, "#details .versus dd") == [node.content["answer"], "9"]
    assert texts(page, "#details .versus .badge") == ["✓ right" if right else "✗ wrong"]
    assert texts(page, "#details .prose.box") == [node.content["text"]]
    assert texts(page, "#details > p > .badge") == [short(reward) for reward in node.content["rewards"]]


def test_the_path_to_the_selected_node_is_marked(shown, grown):
    deepest = max(grown.tree.nodes, key=lambda node: (node.depth, node.visits))
    page = shown("fermat", f"#node-{deepest.id}")
    path = [node.id for node in grown.tree.path(deepest.id)]
    assert len(path) == 6 and rows(page, ".on-path") == path
    assert texts(page, "#details .path .link") == [grown.tree.nodes[node].kind for node in path[:-1]]
    page.press("2")
    dots = page.value("[...document.querySelectorAll('#map .dot.on-path')].map((dot) => Number(dot.dataset.node))")
    assert sorted(dots) == sorted(path)
    assert page.value("document.querySelectorAll('#map .edge.on-path').length") == len(path) - 1


def test_arrows_home_end_and_enter_walk_the_outline(shown, grown):
    first, second, *_, last = grown.tree.root.children
    page = shown("fermat")
    page.press("-")
    walk = [("ArrowDown", first), ("ArrowDown", second), ("ArrowUp", first), ("ArrowUp", 0), ("ArrowUp", 0)]
    walk += [("ArrowRight", first), ("ArrowRight", first), ("ArrowRight", grown.tree.nodes[first].children[0])]
    walk += [("ArrowLeft", first), ("ArrowLeft", first), ("ArrowLeft", 0), ("End", last), ("Home", 0)]
    for key, node in walk:
        page.press(key)
        assert selected(page) == node, key
        assert page.value("location.hash") == f"#node-{node}"
    page.press("ArrowDown", "Enter")
    assert rows(page) == [0, first, *grown.tree.nodes[first].children, *grown.tree.root.children[1:]]
    page.press("Enter")
    assert rows(page) == [0, *grown.tree.root.children]


def test_closing_what_holds_the_selected_node_selects_it(shown, grown):
    path = grown.tree.path(grown.tree.rollouts[1])
    page = shown("fermat", f"#node-{path[-1].id}")
    page.click(f"#row-{path[1].id} .twisty")
    assert selected(page) == path[1].id and path[2].id not in rows(page)
    page.click(f"#row-{path[1].id} .twisty")
    assert path[2].id in rows(page)


def test_search_finds_steps_and_what_lookups_found(shown, grown):
    """`factorial` stands in reasons alone; hits are counted by Python, and gone through in the order of the outline."""
    page = shown("fermat")
    typed(page, "FACTORIAL")
    hits = [node for node in preorder(grown) if node in grown.found]
    assert texts(page, "#found") == [f"– / {len(hits)}"] and len(hits) == 6
    for place in [*range(len(hits)), 0]:
        page.press("Enter")
        assert selected(page) == hits[place]
        assert texts(page, "#found") == [f"{place + 1} / {len(hits)}"]
        assert {mark.lower() for mark in texts(page, "#details mark")} == {"factorial"}
    page.press("Shift+Enter")
    assert selected(page) == hits[-1]
    assert rows(page, ".hit") == [node for node in rows(page) if node in hits]
    page.press("Escape", "n")
    assert texts(page, "#found") == [""] and selected(page) == hits[-1]
    assert texts(page, "mark") == [] and rows(page, ".hit") == []


@pytest.mark.parametrize(
    "text, found", [("$7^{12}", True), (".*", False), ("\\boxed{9}", True), ("(", True), ("[", False)]
)
def test_what_is_searched_for_is_no_pattern(shown, text, found):
    page = shown("fermat")
    typed(page, text)
    assert (texts(page, "#found") != ["– / 0"]) is found


def test_r_goes_from_right_answer_to_right_answer(shown, grown):
    right = [node for node in preorder(grown) if grown.tree.nodes[node].reward == 1.0]
    page = shown("fermat")
    for key, node in [*(("r", node) for node in [*right, right[0]]), ("R", right[-1]), ("R", right[-2])]:
        page.press(key)
        assert selected(page) == node


def test_a_rollout_leads_to_its_end(shown, grown):
    page = shown("fermat")
    rewards = [grown.tree.nodes[end].reward for end in grown.tree.rollouts]
    expected = ["" if reward is None else "good" if reward == 1.0 else "bad" for reward in rewards]
    assert page.value("[...document.querySelectorAll('#rollouts button')].map((made) => made.className)") == expected
    page.click("#rollouts button:nth-of-type(2)")
    assert selected(page) == grown.tree.rollouts[1]


def test_each_example_shows_its_path(shown, grown):
    made = toy_trees.examples(grown)
    page = shown("fermat")
    page.press("3")
    for number, example in enumerate(made):
        theorem, query = (example.provenance[name] for name in ("theorem_node", "query_node"))
        assert page.value("location.hash") == f"#example-{number}"
        assert selected(page) == theorem
        assert rows(page, ".on-path") == [node.id for node in grown.tree.path(theorem)]
        passages = [toy_trees.DOCUMENTS[name] for name in ("fermat", "wilson", "euler")]
        assert texts(page, "#details > .box:first-child .prose") == [example.query, *passages]
        assert texts(page, "#details > .box:first-child p") == [
            f"Path: question #0 → query #{query} → theorem #{theorem}"
        ]
        page.press("ArrowDown")
    page.press("Home", "Enter")
    assert page.value("document.getElementById('outline-view').hidden") is False
    assert texts(page, f"#row-{selected(page)} .made") == ["◆ 4"]
    page = shown("fermat", "#example-2")
    assert texts(page, "#details > .box:first-child .prose")[0] == made[2].query


def test_keys_are_told(shown):
    page = shown("fermat")
    page.press("?")
    assert page.value("document.getElementById('keys').open") is True
    page.press("ArrowDown")
    assert selected(page) == 0, "the tree stands still behind the keys"
    page.press("Escape")
    assert page.value("document.getElementById('keys').open") is False
    assert len(texts(page, "#keys dt")) == len(texts(page, "#keys dd")) >= 10


def test_arrows_walk_the_map(shown, grown):
    children = grown.tree.root.children
    page = shown("fermat")
    page.press("2", "ArrowRight")
    most = max(children, key=lambda node: (grown.tree.nodes[node].visits, -node))
    assert selected(page) == most
    page.press("ArrowUp")
    assert selected(page) == children[children.index(most) - 1]
    page.press("ArrowDown", "ArrowLeft")
    assert selected(page) == 0


def test_keys_in_the_details_scroll_them(shown):
    page = shown("fermat")
    page.value("document.getElementById('details').focus()")
    page.press("ArrowDown")
    assert selected(page) == 0


@pytest.mark.parametrize("name", ["hostile", "index"])
def test_hostile_texts_do_nothing(shown, name):
    """Every node, view and search of a problem that is nothing but markup; the policy would complain of a script too."""
    page = shown(name)
    page.press(*(["+", "2", "3", "1"] if name == "hostile" else []))
    typed(page, "<img")
    assert texts(page, "#found") == ["1 / 5" if name == "hostile" else "1 found"]
    assert "<img" in texts(page, "main mark")
    for node in range(5) if name == "hostile" else ():
        page = shown(name, f"#node-{node}")
        assert ATTACK in page.value("document.getElementById('details').textContent")
    assert page.value("window.hit === undefined && document.querySelectorAll('img').length === 0") is True
    assert page.value("document.querySelectorAll('script').length") == 2
    assert name == "index" or texts(page, "#name") == [ATTACK]


def test_two_thousand_nodes_are_shown_and_walked(shown, folder):
    large = Grown.read(folder / "trees" / "large.json")
    page = shown("large")
    assert len(rows(page)) < 200, "not all of it is open at first"
    page.press("+")
    assert rows(page) == preorder(large) and len(large.tree.nodes) >= 2000
    page.press("End")
    assert selected(page) == preorder(large)[-1] and page.value(WITHIN) is True
    (right,) = (node.id for node in large.tree.nodes if node.reward == 1.0)
    page.press("r")
    assert selected(page) == right and page.value(WITHIN) is True
    page.press("ArrowUp", "ArrowUp")
    assert selected(page) == preorder(large)[preorder(large).index(right) - 2] and page.value(WITHIN) is True
    page.press("2")
    assert page.value("document.querySelectorAll('#map .dot').length") == len(large.tree.nodes)
    page.press("1")
    typed(page, "below 77:")
    assert texts(page, "#found") == ["– / 8"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name, keys", [("fermat", "+"), ("fermat", "3"), ("fermat", "r"), ("fermat", "2"), ("index", "")]
)
def test_texts_stand_out_from_their_ground(shown, scheme, name, keys):
    """At least 4.5 : 1, as WCAG 2.2 (1.4.3) asks, for every text that is seen; the colours are read off the page."""
    page = shown(name, scheme=scheme)
    page.press(*keys)
    found = page.value(CONTRASTS)
    assert len(found) > 20
    assert [what for contrast, what in found if contrast < 4.5] == []
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128) is (scheme == "light")


def test_t_changes_light_and_dark(shown):
    page = shown("fermat")
    grounds = []
    for _ in range(3):
        grounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
        page.press("t")
    assert grounds[0] == grounds[2] != grounds[1]
    page = shown("fermat")
    assert page.value("getComputedStyle(document.body).backgroundColor") == grounds[1], "it is kept"
    page.value("localStorage.clear()")


@pytest.mark.parametrize("width", [390, 800, 1400])
@pytest.mark.parametrize("name", ["fermat", "large", "hostile"])
def test_nothing_hangs_over_the_edge(shown, name, width):
    page = shown(name, width=width, height=800)
    page.press("r")
    assert page.value("document.scrollingElement.scrollWidth") <= width


OPTIONS = "\n".join(["How many?", *(f"({letter}) {number}" for letter, number in zip("ABCDE", range(5), strict=True))])
LINES = "\n".join(f"Line {number} of the question." for number in range(60))
READ = """(() => {
  const text = document.getElementById("question");
  const letters = document.createRange();
  letters.selectNodeContents(text);
  const [all, box] = [letters.getBoundingClientRect(), text.getBoundingClientRect()];
  return [all.top >= box.top - 1, all.bottom <= box.bottom + 1];
})()"""  # whether the first line and the last one are within what is seen of the question


@pytest.fixture
def asked(chromium, grown, tmp_path):
    """Opens the page of the small tree with another question."""

    def open_page(question: str, **size) -> browser.Browser:
        other = dataclasses.replace(grown, problem=dataclasses.replace(grown.problem, question=question))
        (tmp_path / "p.html").write_text(viewer.tree_page(other), encoding="utf-8")
        chromium.looks("light", **size)
        chromium.open(tmp_path / "p.html")
        assert texts(chromium, "#question") == [question]
        return chromium

    yield open_page
    assert chromium.errors == []


@pytest.mark.parametrize("width", [390, 1400])
def test_options_on_lines_of_their_own_are_seen_at_once(asked, width):
    page = asked(OPTIONS, width=width, height=900)
    assert page.value(READ) == [True, True]
    assert page.value("document.getElementById('unfold').checkVisibility()") is False
    page.press("q")
    assert page.value(READ) == [True, True] and page.value("document.activeElement.id") == "outline"


def test_a_click_unfolds_a_long_question_and_folds_it(asked):
    page = asked(OPTIONS, height=600)
    assert page.value(READ) == [True, False]
    for whole in (True, False):
        page.click("#unfold")
        assert page.value(READ) == [True, whole]
        assert page.value("document.getElementById('unfold').ariaExpanded") == str(whole).lower()


def test_a_key_unfolds_a_question_and_arrows_scroll_it(asked, grown):
    """As long as the question has the keys the tree stands still; folded, or left by Escape, it gives them back."""
    page = asked(LINES, height=700)
    page.press("ArrowDown")
    first = selected(page)
    assert first == grown.tree.root.children[0]
    page.press("q")
    assert page.value(READ) == [True, False] and page.value("document.activeElement.id") == "question"
    page.press("ArrowDown", "End")
    assert selected(page) == first
    page.value("document.getElementById('question').scrollTo({ top: 1e6, behavior: 'instant' })")
    assert page.value(READ) == [False, True], "to the last line"
    assert page.value("document.getElementById('outline-view').clientHeight") > 100, "and there is room for the tree"
    page.press("Escape", "ArrowUp")
    assert selected(page) == 0
    page.press("q", "ArrowDown")
    assert selected(page) == first and page.value(READ) == [True, False]
    page.press("q", "q", "ArrowUp")
    assert selected(page) == 0
    typed(page, "q")
    assert page.value("document.getElementById('question').className") == "folded", "the search keeps its letters"


def test_a_question_folds_as_the_window_has_it(asked):
    """The button comes when a narrower window makes more lines of the question."""
    page = asked("word " * 140, width=1400, height=900)
    seen = "document.getElementById('unfold').checkVisibility()"
    assert page.value(seen) is False and page.value(READ) == [True, True]
    page.looks("light", width=500, height=900)
    page.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))", wait=True)
    assert page.value(seen) is True and page.value(READ) == [True, False]
    page.press("q")
    assert page.value(READ) == [True, True]


def test_the_list_sorts_filters_and_leads_to_the_pages(shown, folder):
    page = shown("index")
    links = "[...document.querySelectorAll('#rows tr a')].map((link) => link.getAttribute('href'))"
    assert page.value(links) == ["./fermat.html", "./hostile.html", "./large.html"]
    assert texts(page, "#facts span")[:2] == ["3 problems", "2 solved"]
    page.click("#columns th:nth-of-type(7) button")
    assert page.value(links) == ["./large.html", "./fermat.html", "./hostile.html"], "by nodes: 2008, 81, 5"
    page.click("#columns th:nth-of-type(7) button")
    assert page.value(links) == ["./hostile.html", "./fermat.html", "./large.html"]
    typed(page, "remainder")
    assert page.value(links) == ["./fermat.html"] and texts(page, "#found") == ["1 found"]
    page.press("Escape", "End", "ArrowUp", "Enter")
    page.wait_for("Page.loadEventFired")
    assert page.value("location.href") == (folder / "pages" / "fermat.html").as_uri() + "#node-0"
    page.click("#links a")
    page.wait_for("Page.loadEventFired")
    assert page.value("document.title") == "Problems"


def test_answers_that_nothing_is_known_of_and_what_a_judge_said(chromium, tmp_path):
    """Without a known answer a reward is an agreement; a thought may hold an answer; an end without one says so."""
    grown = toy_trees.hostile("text")
    judged = {"text": "So the answer is 4.", "answer": "4", "judge": "True, since 4 is 2 + 2"}
    below = [
        Child(THOUGHT, judged, 0.5),
        Child(QUERY, {"text": "never looked up"}),
        Child(THOUGHT, {"text": "no more"}),
    ]
    grown.tree.expand(grown.tree.nodes[1], below, [True, False, True])
    unknown = dataclasses.replace(grown, problem=dataclasses.replace(grown.problem, answer=None))
    (tmp_path / "p.html").write_text(viewer.tree_page(unknown), encoding="utf-8")
    chromium.open(tmp_path / "p.html", "#node-5")
    assert texts(chromium, "#verdict") == ["no known answer"]
    assert texts(chromium, "#details .versus dd") == ["4", "none"]
    assert texts(chromium, "#details .versus .badge") == ["≈ agreement .50"]
    assert texts(chromium, "#details dl.facts > *") == ["judge", judged["judge"]]
    chromium.press("ArrowDown")
    assert texts(chromium, "#details .none") == ["No rollout came here, so nothing was looked up."]
    chromium.press("ArrowDown")
    assert texts(chromium, "#row-7 .answer") == ["– last depth, no answer"]
    assert chromium.errors == []


def test_the_browser_tells_of_errors_and_of_what_it_asks_for(chromium, tmp_path):
    """So that a test which is told of neither says something."""
    (tmp_path / "p.html").write_text("<script>absent()</script><img src='absent.png'>", encoding="utf-8")
    chromium.open(tmp_path / "p.html")
    assert any("absent is not defined" in each for each in chromium.errors)
    assert [each.rpartition("/")[2] for each in chromium.requests] == ["p.html", "absent.png"]
