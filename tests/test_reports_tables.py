"""Tables and comparisons by hand arithmetic, in all four forms."""

import json
import re

import pytest

from rader_ir.evaluation import bootstrap_interval, macro_interval, per_query
from rader_ir.reports.averages import AVERAGE, collections_of, grouped
from rader_ir.reports.comparison import compare, comparison_table
from rader_ir.reports.layout import Cell, Table, escaped
from rader_ir.reports.tables import measures_table, results_table
from rader_ir.significance import paired, paired_groups

# Means: bm25 .25 on pony (4 queries) and .5 on aops (2); dense 1 and .5; a macro average of .375 and .75.
PONY = {"bm25": [0.0, 0.0, 0.0, 1.0], "dense": [1.0, 1.0, 1.0, 1.0]}
AOPS = {"bm25": [0.25, 0.75], "dense": [0.75, 0.25]}


def named(values: list[float]) -> dict:
    return {"AP": {str(number): value for number, value in enumerate(values)}}


RESULTS = {name: {"bright/pony": named(PONY[name]), "aops": named(AOPS[name])} for name in PONY}


def cells(table: Table, row: int) -> list:
    return [entry.value if isinstance(entry, Cell) else entry for entry in table.rows[row]]


def test_a_row_for_each_system_with_its_averages():
    table = results_table(RESULTS, "AP")
    assert table.columns == ("system", "Pony", "AoPS", "average")
    assert cells(table, 0) == ["bm25", 0.25, 0.5, 0.375]
    assert cells(table, 1) == ["dense", 1.0, 0.5, 0.75]
    low, high = macro_interval([PONY["bm25"], AOPS["bm25"]])
    assert (table.rows[0][3].low, table.rows[0][3].high) == (low, high)
    assert [entry.best for entry in table.rows[0][1:]] == [False, True, False]
    assert [entry.best for entry in table.rows[1][1:]] == [True, True, True]


def test_the_micro_average_is_over_all_queries():
    table = results_table(RESULTS, "AP", average="micro")
    assert table.rows[0][3].value == pytest.approx((1 + 1) / 6)
    assert table.rows[1][3].value == pytest.approx((4 + 1) / 6)
    low, high = bootstrap_interval(PONY["bm25"] + AOPS["bm25"])
    assert (table.rows[0][3].low, table.rows[0][3].high) == (low, high)
    with pytest.raises(ValueError, match="average 'mean' is unknown"):
        grouped([[1.0]], "mean")


def test_columns_choose_order_and_name():
    table = results_table(RESULTS, "AP", columns={"aops": "Contests"})
    assert table.columns == ("system", "Contests") and cells(table, 0) == ["bm25", 0.5]
    assert results_table(RESULTS, "AP", columns=["aops", "bright/pony"]).columns == (
        "system",
        "AoPS",
        "Pony",
        "average",
    )
    with pytest.raises(ValueError, match="not all among the results'"):
        results_table(RESULTS, "AP", columns=["cooking"])


def test_a_system_without_some_collections_is_named_and_has_no_average():
    results = {**RESULTS, "new": {"bright/pony": named([1.0, 1.0, 1.0, 1.0])}}
    table = results_table(results, "AP", baseline="bm25", test="randomisation", correction="none")
    assert cells(table, 2) == ["new", 1.0, None, None]
    assert table.rows[1][3].best and table.rows[2][1].best
    assert "new: 1 of 2 collections (not AoPS), so no average." in table.notes
    part = {name: {"bright/pony": found["bright/pony"]} for name, found in results.items()}
    both = part | {"whole": RESULTS["bm25"]}  # nobody else has both, the baseline neither
    table = results_table(both, "AP", baseline="bm25", test="randomisation", correction="none")
    assert [row[3] is None for row in table.rows] == [True, True, True, False]


def test_brights_columns_stand_in_the_order_of_its_papers_whoever_comes_first():
    names = ["aops", "other", "pony-long", "biology", "another"]
    results = {"part": {"aops": named([1.0])}, "whole": {name: named([1.0]) for name in names}}
    assert collections_of(results) == ["biology", "pony-long", "aops", "other", "another"]


def test_an_average_of_fewer_collections_says_so_among_the_comparisons():
    found = {name: named([0.5, 0.25, 1.0]) for name in ("a", "b", "c")}
    part = {name: found[name] for name in ("a", "b")}
    compared = compare({"base": found, "whole": found, "part": part}, "base", "AP", test="randomisation")
    table = comparison_table(compared, "base", "AP", test="randomisation")
    assert [row[1] for row in table.rows] == ["a", "b", "c", "average", "a", "b", "average of 2"]


def test_marks_stand_where_the_corrected_test_finds_a_difference():
    """Eight queries: up beats base on all, p = 2/256; down loses on all; same ties. Holm over three: 3 * 2/256 < .05."""
    base = [0.5] * 8
    lists = {"base": base, "up": [0.6] * 8, "down": [0.3] * 8, "same": base}
    results = {name: {"toy": named(values)} for name, values in lists.items()}
    table = results_table(results, "AP", baseline="base", test="randomisation")
    assert [row[1].mark for row in table.rows] == ["", "†", "‡", ""]
    words = "a paired randomisation test (10,000 sign vectors, seed 0; all of them where they are fewer)"
    assert any(f"above, ‡ below base by {words}, p < 0.05" in note for note in table.notes)
    assert table.notes[0] == "[low, high]: 95% bootstrap interval over queries (1,000 samples, seed 0)."
    assert any("Holm over 3 comparisons" in note for note in table.notes)
    seven = {name: {"toy": named(values[:7])} for name, values in lists.items()}  # 3 * 2/128 = .047, and of 6: .094
    assert [row[1].mark for row in results_table(seven, "AP", baseline="base", test="randomisation").rows][1] == "†"
    six = {name: {"toy": named(values[:6])} for name, values in lists.items()}
    assert [row[1].mark for row in results_table(six, "AP", baseline="base", test="randomisation").rows][1] == ""


def test_comparisons_by_hand():
    """dense - bm25: +1 +1 +1 0 on pony, mean .75; +.5 -.5 on aops, mean 0; the average .375.

    p on pony: of 8 sign vectors the 2 extremes. On aops every one of 4 has |sum| >= 0.
    """
    found = compare(RESULTS, "bm25", "AP", test="randomisation")
    assert [(one.system, one.collection) for one in found] == [
        ("dense", "bright/pony"),
        ("dense", "aops"),
        ("dense", AVERAGE),
    ]
    assert [one.difference for one in found] == [0.75, 0.0, 0.375]
    assert [(one.wins, one.ties, one.losses) for one in found] == [(3, 1, 0), (1, 0, 1), (4, 1, 1)]
    third = paired_groups([[1, 1, 1, 0], [0.5, -0.5]], test="randomisation")
    assert [one.p for one in found] == [0.25, 1.0, third]
    assert [one.corrected for one in found] == [0.75, 1.0, pytest.approx(max(0.75, 2 * third))]
    assert (found[0].low, found[0].high) == bootstrap_interval([1, 1, 1, 0])


def test_rounding_makes_no_winner():
    results = {"a": {"toy": named([0.1 + 0.2, 0.5])}, "b": {"toy": named([0.3, 0.5])}}
    (one,) = compare(results, "b", "AP", test="randomisation")
    assert (one.wins, one.ties, one.losses, one.p) == (0, 2, 0, 1.0)


def test_comparisons_need_the_same_queries_and_known_names():
    other = {**RESULTS, "dense": {"aops": named([1.0, 1.0, 1.0])}}
    with pytest.raises(ValueError, match="other queries of 'aops': 1 differ, '2' first"):
        compare(other, "bm25", "AP", test="randomisation")
    with pytest.raises(ValueError, match="system 'bm52' is not among the results; there are 'bm25', 'dense'"):
        compare(RESULTS, "bm52", "AP")
    with pytest.raises(ValueError, match="has no values of 'P@5'; it has 'AP'"):
        compare(RESULTS, "bm25", "P@5")


def test_the_t_test_is_the_default():
    pytest.importorskip("scipy")
    (one,) = compare({"a": {"toy": named([0.1, 0.5, 0.4])}, "b": {"toy": named([0.3, 0.5, 0.9])}}, "b", "AP")
    assert one.p == one.corrected == paired([0.1, 0.5, 0.4], [0.3, 0.5, 0.9])


def test_the_table_of_comparisons():
    table = comparison_table(compare(RESULTS, "bm25", "AP", test="randomisation"), "bm25", "AP", test="randomisation")
    lines = table.text().splitlines()
    assert lines[0] == "AP: differences from bm25"
    assert lines[2].split() == ["system", "collection", "difference", "p", "corrected", "p", "wins", "ties", "losses"]
    assert lines[4].split()[:3] == ["dense", "Pony", "0.7500"]
    assert lines[4].split()[-5:] == ["0.2500", "0.7500", "3", "1", "0"]
    assert lines[-2:] == [
        "[low, high]: 95% bootstrap interval of the difference, over queries (1,000 samples, seed 0).",
        "Paired randomisation test (10,000 sign vectors, seed 0; all of them where they are fewer); p-values corrected after "
        "Holm over 3 comparisons.",
    ]


def test_a_table_of_measures_lines_up():
    values = {"bm25": named([0.5, 0.5]), "dense retriever": {"AP": {"1": 1.0}, "R@10": {"1": 0.25}}}
    table = measures_table(values)
    assert table.text().splitlines() == [
        "system                                AP                     R@10",
        "-----------------------------------------------------------------",
        "bm25             0.5000 [0.5000, 0.5000]",
        "dense retriever  1.0000 [1.0000, 1.0000]  0.2500 [0.2500, 0.2500]",
    ]
    assert table.markdown().splitlines() == [
        "| system          |                          AP |                        R@10 |",
        "| --------------- | --------------------------: | --------------------------: |",
        "| bm25            |     0.5000 [0.5000, 0.5000] |                             |",
        "| dense retriever | **1.0000** [1.0000, 1.0000] | **0.2500** [0.2500, 0.2500] |",
    ]


def test_marks_of_one_measure_are_explained_where_another_has_nothing_to_compare():
    bm25 = {"AP": {str(q): q / 20 for q in range(10)}, "R@10": {str(q): 0.5 for q in range(10)}}
    dense = {"AP": {str(q): 0.5 + q / 25 for q in range(10)}}
    text = measures_table({"bm25": bm25, "dense": dense}, baseline="bm25").text()
    assert "†" in text.partition("\n\n")[0] and "† above" in text


def test_text_keeps_digits_below_digits_beside_marks():
    table = Table("T", ("system", "AP"), (("a", Cell(0.5, mark="†")), ("b", Cell(0.25))), ("Note.",))
    lines = ["T", "", "system      AP", "---------------", "a       0.5000†", "b       0.2500", "", "Note."]
    assert table.text().splitlines() == lines


NASTY = r"50%_a&b#c$d{e}f\g~h^i<j>k|l"


def test_latex_escapes_every_special_character():
    """What is left after the escapes are taken out has no character that TeX reads as an order."""
    text = escaped(NASTY + "\nnext")
    assert text.endswith("l next") and "\n" not in text
    rest = re.sub(r"\\[&%$#_{}]|\\[a-z]+\{\}", "", text)
    assert not set(rest) & set("&%$#_{}\\~^<>|")
    assert set("abcdefghijkl") <= set(rest)


def test_latex_is_a_whole_booktabs_table():
    rows = ((NASTY, Cell(0.5, 0.25, 0.75, mark="†", best=True), "[x]"), ("b", Cell(0.25), None))
    text = Table("50% of it", ("system", "n_DCG", "note"), rows, ("A & B",)).latex()
    lines = text.splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert r"\textbf{0.5000} {[}0.2500, 0.7500{]}\textsuperscript{\dag{}} & {[}x{]} \\" in text
    assert r"\caption{50\% of it}" in lines and r"{\footnotesize A \& B\par}" in lines
    assert r"\begin{tabular}{lrl}" in lines
    body = lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")]
    bare = [re.sub(r"\\[&{}]", "", line) for line in body if line.endswith(r"\\")]
    assert [line.count("&") for line in bare] == [2, 2, 2]
    bare_text = re.sub(r"\\[{}]", "", text)
    assert bare_text.count("{") == bare_text.count("}")
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert opened == closed[::-1] == ["table", "tabular"]


def test_latex_of_many_columns_is_fitted_to_the_line():
    text = Table("", ("system", *"abcdefgh"), (("s", *[Cell(0.5)] * 8),)).latex()
    assert text.startswith(r"% needs \usepackage{booktabs,graphicx}")
    assert r"\resizebox{\linewidth}{!}{%" in text and r"\end{tabular}}" in text
    assert text.count("{") == text.count("}")


def test_json_has_the_intervals_that_the_others_leave_out():
    content = json.loads(json.dumps(results_table(RESULTS, "AP", notes=["Seen."]).to_json()))
    assert content["columns"] == ["system", "Pony", "AoPS", "average"] and content["notes"][-1] == "Seen."
    low, high = bootstrap_interval(PONY["bm25"])
    pony = content["rows"][0][1]
    assert (pony["value"], pony["low"], pony["high"], pony["best"], pony["mark"]) == (0.25, low, high, False, "")
    assert "0.2500 [" not in results_table(RESULTS, "AP").text()


def test_rows_as_long_as_the_headings():
    with pytest.raises(ValueError, match="a row has 1 entries under 2 headings"):
        Table("", ("system", "AP"), (("a",),))


def test_the_macro_average_of_the_twelve_splits_of_bright(shared):
    """ReasonIR's runs as their notes have them: .3059 over twelve, .0737 on aops, .4349 on biology."""
    from rader_ir.bright import TASKS
    from rader_ir.runs import read_qrels, read_run

    data = shared / "data"
    found = {
        task: per_query(
            read_run(data / f"reasonir_runs/{task}.trec.gz"), read_qrels(data / f"bright/qrels/{task}.tsv"), "nDCG@10"
        )
        for task in TASKS
    }
    table = results_table({"ReasonIR": found}, "nDCG@10")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert f"{row['average'].value:.4f} {row['AoPS'].value:.4f} {row['Bio.'].value:.4f}" == "0.3059 0.0737 0.4349"
    assert "nDCG@10, macro average over 12 collections" in table.text()


def test_captions_in_latex_stand_alone():
    """Measure, collections, six queries, test and correction; a label for references."""
    table = results_table(RESULTS, "AP", baseline="bm25", test="wilcoxon", correction="bh")
    caption = (
        "AP, macro average over 2 collections, 6 queries; \\dag{} above, \\ddag{} below bm25 by a Wilcoxon signed-rank test, "
        "corrected after Benjamini and Hochberg"
    )
    assert f"\\caption{{{caption}}}\n\\label{{tab:AP}}\n" in table.latex()
    table = measures_table({"bm25": {"AP": {"1": 0.5, "2": 1.0}, "P@1": {"1": 0.0, "2": 1.0}}}, title="toy_x")
    assert "\\caption{toy\\_x: AP, P@1, 2 queries}\n\\label{tab:toy-x}\n" in table.latex()
    compared = comparison_table(
        compare(RESULTS, "bm25", "AP", test="randomisation"), "bm25", "AP", test="randomisation"
    )
    assert "\\label{tab:AP-differences}" in compared.latex()
    assert "label" not in Table("", ("system",), (("a",),), label="tab:x").latex(), (
        "without a caption there is no number"
    )
