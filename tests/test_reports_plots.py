"""Pictures: the same bytes each time, and what is drawn read back from the SVG's text and shapes."""

import re

import pytest

pytest.importorskip("matplotlib")

from rader_ir.bright import TASKS
from rader_ir.evaluation import bootstrap_interval
from rader_ir.reports import plots
from rader_ir.reports.costs import Cost

NAMES = ["bm25", "_hidden", "50$ of a & b$", *(f"system {number}" for number in range(7))]


def results(systems: list[str], collections) -> dict:
    values = {"AP": {"1": 0.25, "2": 1.0, "3": 0.0, "4": 0.5}}
    return {
        system: {name: {"AP": {q: v / (1 + at) for q, v in values["AP"].items()}} for name in collections}
        for at, system in enumerate(systems)
    }


def words(path) -> list[str]:
    """The pieces of text of an SVG, where text is text and not outlines."""
    return [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))]


def test_bars_name_every_split_and_system(tmp_path):
    plots.bars(results(NAMES, TASKS), "AP", tmp_path / "bars.svg")
    shown = words(tmp_path / "bars.svg")
    assert {"Bio.", "Earth.", "TheoQ.", "TheoT.", "average", "AP, 95% interval"} <= set(shown)
    assert {"bm25", "_hidden", "50$ of a &amp; b$", "system 6"} <= set(shown)
    drawn = (tmp_path / "bars.svg").read_text()
    assert all(colour.lower() in drawn for colour in plots.COLOURS)
    assert "<pattern" in drawn  # the ninth and tenth system repeat two colours and are hatched


def test_bars_are_as_high_as_the_means(tmp_path, monkeypatch):
    """Of two systems with means .4375 and .21875 on one collection, and the whiskers of their bootstrap."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    plots.bars(results(["a", "b"], ["toy"]), "AP", tmp_path / "bars.png")
    (axes,) = figures[0].axes
    assert [bar.get_height() for bar in axes.patches] == [0.4375, 0.21875]
    whiskers = axes.collections[0].get_segments()
    low, high = bootstrap_interval([0.25, 1.0, 0.0, 0.5])
    assert (whiskers[0][0][1], whiskers[0][1][1]) == pytest.approx((low, high))


def test_a_system_without_some_splits_has_no_bar_there_nor_an_average(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    some = {**results(["a"], ["aops", "pony"]), "b": results(["b"], ["pony"])["b"]}
    plots.bars(some, "AP", tmp_path / "bars.png")
    assert len(figures[0].axes[0].patches) == 3 + 1  # a on both and their average, b on one


def test_dots_count_queries_won_tied_and_lost(tmp_path):
    values = {"a": {"1": 0.2, "2": 0.5, "3": 0.0, "4": 0.0}, "b": {"1": 0.4, "2": 0.1, "3": 0.0, "4": 0.0}}
    both = {name: {"toy": {"AP": each}} for name, each in values.items()}
    plots.scatter(both, "AP", "b", "a", tmp_path / "scatter.svg")
    shown = set(words(tmp_path / "scatter.svg"))
    assert {"won: 1", "tied: 2", "lost: 1", "AP of a", "AP of b", "area: how many share a dot"} <= shown
    alone = {name: {"toy": {"AP": {"1": found["toy"]["AP"]["1"]}}} for name, found in both.items()}
    plots.scatter(alone, "AP", "b", "a", tmp_path / "alone.svg")
    assert "area: how many share a dot" not in words(tmp_path / "alone.svg")


def test_dots_are_where_the_values_are_and_equal_ones_are_one_larger_dot(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    values = {"a": {"1": 0.2, "2": 0.5, "3": 0.0, "4": 0.0}, "b": {"1": 0.4, "2": 0.1, "3": 0.0, "4": 0.0}}
    plots.scatter({name: {"toy": {"AP": each}} for name, each in values.items()}, "AP", "b", "a", tmp_path / "s.png")
    won, tied, lost = (figures[0].axes[0].collections[at] for at in (0, 2, 4))
    assert [each.get_offsets().tolist() for each in (won, tied, lost)] == [[[0.2, 0.4]], [[0.0, 0.0]], [[0.5, 0.1]]]
    assert tied.get_sizes()[0] == 2 * won.get_sizes()[0]
    assert not tied.get_clip_on(), "dots at the corners are drawn whole"


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_results_give_the_same_bytes(tmp_path, ending):
    for name in ("a", "b"):
        plots.bars(results(NAMES, TASKS), "AP", tmp_path / f"bars-{name}.{ending}")
        plots.scatter(results(NAMES, TASKS), "AP", NAMES[1], NAMES[0], tmp_path / f"scatter-{name}.{ending}")
    for kind in ("bars", "scatter"):
        first, second = ((tmp_path / f"{kind}-{name}.{ending}").read_bytes() for name in ("a", "b"))
        assert first == second
        assert first.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert b"dc:date" not in first


@pytest.mark.parametrize("name", ["bars.pdf", "bars"])
def test_other_kinds_of_files_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"is of no known kind; end its name in \.png or \.svg"):
        plots.bars(results(["a"], ["toy"]), "AP", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_in_common_is_refused(tmp_path):
    apart = {**results(["a"], ["toy"]), "b": results(["b"], ["other"])["b"]}
    with pytest.raises(ValueError, match="'b' and 'a' have no query of 'AP' in common"):
        plots.scatter(apart, "AP", "b", "a", tmp_path / "s.svg")


def quality_and_cost() -> tuple[dict, dict]:
    """Four rerankers and their first stage: means .3, and .2 .5 .4 .6 at 1, 10, 100 and 1,000 calls for a query."""
    means = {"bm25": 0.3, "poor": 0.2, "quick": 0.5, "slow": 0.4, "best": 0.6}
    values = {name: {"toy": {"AP": {"1": mean - 0.1, "2": mean + 0.1}}} for name, mean in means.items()}
    calls = {"bm25": 0, "poor": 2, "quick": 20, "slow": 200, "best": 2000}
    return values, {name: Cost(2, calls=count, seconds=None) for name, count in calls.items()}


def drawn(monkeypatch, **options):
    """The axes of a picture of quality and calls, and its figure."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    values, costs = quality_and_cost()
    plots.tradeoff(values, options.pop("costs", costs), "AP", "unused.png", by="calls", **options)
    return figures[0].axes[0], figures[0]


def dots_of(axes) -> list:
    from matplotlib.collections import PathCollection

    return [each for each in axes.collections if isinstance(each, PathCollection)]


def places(dots) -> list[tuple[float, float]]:
    return [tuple(dot.get_offsets()[0].tolist()) for dot in dots]


def test_a_dot_stands_at_its_cost_and_its_mean_with_its_name(monkeypatch):
    axes, _ = drawn(monkeypatch, baseline="bm25")
    assert axes.get_xscale() == "log"
    assert places(dots_of(axes)) == [(1.0, pytest.approx(0.2)), (10.0, 0.5), (100.0, pytest.approx(0.4)), (1000.0, 0.6)]
    names = [text for text in axes.texts if text.get_text()]
    assert sorted(text.get_text() for text in names) == ["best", "poor", "quick", "slow"]
    assert {text.get_text(): text.xy for text in names}["quick"] == (10.0, 0.5)
    boxes = [text.get_window_extent() for text in names]
    assert not any(box.count_overlaps(boxes[:at]) for at, box in enumerate(boxes))
    low, high = bootstrap_interval([0.4, 0.6])
    whiskers = [each.get_segments()[0][:, 1].tolist() for each in axes.collections if hasattr(each, "get_segments")]
    assert whiskers[1] == pytest.approx([low, high])
    assert [line.get_label() for line in axes.lines if line.get_linestyle() == "--"] == ["bm25"]


def test_names_of_dots_that_lie_on_each_other_do_not(monkeypatch):
    """Nine systems of one cost and one mean: each name is written, none on another."""
    values = {f"a system called {number}": quality_and_cost()[0]["quick"] for number in range(9)}
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    plots.tradeoff(values, {name: Cost(2, calls=20) for name in values}, "AP", "unused.png", by="calls")
    boxes = [text.get_window_extent() for text in figures[0].axes[0].texts if text.get_text()]
    assert len(boxes) == 9 and not any(box.count_overlaps(boxes[:at]) for at, box in enumerate(boxes))


@pytest.mark.parametrize(
    ("options", "corners"),
    [
        ({"baseline": "bm25"}, [0.3, 0.5, 0.6, 0.6]),  # poor is below the first stage, slow below quick
        ({}, [0.2, 0.5, 0.6, 0.6]),  # bm25, whose cost is 0, has no place on this scale
        ({"baseline": "bm25", "simulated": {"best"}}, [0.3, 0.5, 0.5]),
    ],
)
def test_the_line_joins_what_is_best_for_its_cost(monkeypatch, options, corners):
    axes, _ = drawn(monkeypatch, **options)
    (front,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert front.get_ydata() == pytest.approx(corners)
    assert front.get_xdata()[-1] == axes.get_xlim()[1]


def test_simulated_models_are_hollow_and_unknown_costs_are_told(monkeypatch):
    from matplotlib.colors import to_hex

    _, costs = quality_and_cost()
    axes, figure = drawn(monkeypatch, baseline="bm25", simulated={"slow"}, costs=costs | {"best": Cost(2, seconds=1.0)})
    hollow = [dot for dot in dots_of(axes) if to_hex(dot.get_facecolor()[0]) == "#ffffff"]
    assert len(dots_of(axes)) == 3 and places(hollow) == [(100.0, pytest.approx(0.4))]
    assert axes.get_xlabel() == "calls per query (1 more of unknown cost)"
    assert "simulated model" in {text.get_text() for legend in figure.legends for text in legend.get_texts()}


@pytest.mark.parametrize(
    ("first", "axis", "where"),
    [
        (Cost(2, tokens_in=20, tokens_out=2), "tokens per query, read and written", [11.0, 22.0]),
        (Cost(2, tokens_in=20), "tokens per query, read", [10.0, 20.0]),
        (Cost(2), "tokens per query, read and written (1 more of unknown cost)", [22.0]),
    ],
)
def test_tokens_are_those_read_where_it_is_unknown_how_many_a_system_wrote(monkeypatch, first, axis, where):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    values = {name: {"toy": {"AP": {"1": 0.5, "2": 0.25}}} for name in ("bm25", "one", "two")}
    costs = {"bm25": Cost(2, tokens_in=0), "one": first, "two": Cost(2, tokens_in=40, tokens_out=4)}
    plots.tradeoff(values, costs, "AP", "unused.png", by="tokens", baseline="bm25")
    axes = figures[0].axes[0]
    assert axes.get_xlabel() == axis and [x for x, _ in places(dots_of(axes))] == where


def test_quality_and_cost_give_the_same_bytes_and_wrong_calls_are_refused(tmp_path):
    values, costs = quality_and_cost()
    for name in ("one.svg", "two.svg"):
        plots.tradeoff(values, costs, "AP", tmp_path / name, by="calls", baseline="bm25")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert {"best", "quick", "slow", "poor", "bm25", "calls per query"} <= set(words(tmp_path / "one.svg"))
    with pytest.raises(ValueError, match="cost 'money' is unknown; choose 'seconds', 'calls', 'tokens'"):
        plots.tradeoff(values, costs, "AP", tmp_path / "x.svg", by="money")
    with pytest.raises(ValueError, match="no system but the baseline has a cost in seconds; nothing to draw"):
        plots.tradeoff(values, costs, "AP", tmp_path / "x.svg", baseline="bm25")
