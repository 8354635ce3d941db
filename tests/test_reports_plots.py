"""Pictures: the same bytes each time, and what is drawn read back from the SVG's text and shapes."""

import re

import pytest

pytest.importorskip("matplotlib")

from rader_ir.bright import TASKS
from rader_ir.reports import plots

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
    from rader_ir.evaluation import bootstrap_interval

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
