"""Costs: sums and means by hand, what is not known stays unknown, and the table that stands beside the measure."""

from rader_ir.reports.costs import Cost, cost_table, pareto

VALUES = {
    "bm25": {"AP": {"1": 0.25, "2": 0.5, "3": 0.0, "4": 0.25}},
    "judge": {"AP": {"1": 1.0, "2": 1.0, "3": 0.75, "4": 0.75}},
}


def test_costs_add_up_and_what_is_unknown_stays_so():
    one = Cost(3, calls=30, malformed=1, tokens_in=600, tokens_out=60, seconds=1.5)
    both = one + Cost(1, calls=6, malformed=0, tokens_in=100, seconds=0.5)
    assert both == Cost(4, calls=36, malformed=1, tokens_in=700, tokens_out=None, seconds=2.0)
    assert [both.per_query(kind) for kind in ("calls", "seconds", "tokens_in", "tokens")] == [9.0, 0.5, 175.0, None]
    assert one.per_query("tokens") == 660 / 3


def test_the_table_tells_measure_and_costs_and_leaves_empty_what_nobody_knows():
    costs = {"judge": Cost(4, calls=7600, malformed=1200, tokens_in=80000, seconds=2.0)}
    table = cost_table(VALUES, costs, "AP", baseline="bm25", title="toy", notes=["A note."])
    assert table.columns == ("system", "AP", "calls", "tokens in", "tokens out", "malformed", "seconds")
    by_name = {row[0]: row[1:] for row in table.rows}
    assert (by_name["bm25"][0].value, by_name["judge"][0].value) == (0.25, 0.875)
    assert by_name["judge"][0].mark == "†"  # differences .75 .5 .75 .5: t = 8.66 of 3 degrees of freedom, p = .003
    assert by_name["judge"][1:] == ("1,900.0", "20,000", None, "1,200", "0.5000")
    assert by_name["bm25"][1:] == (None,) * 5
    assert "A note." in table.notes and "means per query" in table.notes[0]
    line = next(line for line in table.text().splitlines() if line.startswith("judge"))
    assert line.split()[-4:] == ["1,900.0", "20,000", "1,200", "0.5000"]


def test_the_front_is_what_nothing_as_cheap_is_as_good_as():
    """b costs as much as c and is worse; d equals c in quality and costs more; e is the best of all."""
    points = {"e": (9, 0.8), "d": (5, 0.5), "c": (2, 0.5), "b": (2, 0.4), "a": (1, 0.1)}
    assert pareto(points) == ["a", "c", "e"]
    for name, (cost, quality) in points.items():
        beaten = any(other != name and points[other][0] <= cost and points[other][1] >= quality for other in points)
        assert (name in pareto(points)) == (not beaten)
    assert pareto({}) == []
