"""A report in a folder, and reading what it is made from: files or folders of judgements and runs."""

import gzip
import json
import re

import pytest

from rader_ir.reports import write
from rader_ir.reports.inputs import files_of, measured, name_of, read_collections, read_runs, unjudged
from rader_ir.reports.tables import measures_table, results_table

BASE = {"AP": {"1": 0.0, "2": 0.5, "3": 0.25, "4": 1.0}, "P@1": {"1": 0.0, "2": 0.0, "3": 0.0, "4": 1.0}}
NEW = {"AP": {"1": 1.0, "2": 0.5, "3": 0.75, "4": 0.5}, "P@1": {"1": 1.0, "2": 0.0, "3": 1.0, "4": 0.0}}
ONE = {"runs/base.trec": {"toy": BASE}, "runs/new.trec": {"toy": NEW}, "runs_new.trec": {"toy": NEW}}
TWO = {name: {"toy": found["toy"], "aops": found["toy"]} for name, found in ONE.items()}
TABLES = {"report.txt", "report.md", "report.tex", "report.json", "per_query.csv"}
PICTURES = {"bars.png", "bars.svg"}


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_everything_of_a_comparison_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    options = {"baseline": "runs/base.trec", "test": "randomisation"}
    tables = write(ONE, tmp_path / "new/folder", queries={"toy": {"1": "why?"}}, notes=["Seen."], **options)
    folder = tmp_path / "new/folder"
    scatters = {f"scatter_{name}.{kind}" for name in ("runs_new.trec", "runs_new.trec~2") for kind in ("png", "svg")}
    assert files(folder) == TABLES | PICTURES | scatters | {"wins_losses.md"}
    assert [table.title for table in tables] == ["toy"] and tables[0].notes[1] == "Seen."
    text = (folder / "report.txt").read_text()
    assert text.startswith(tables[0].text()) and "AP: differences from runs/base.trec" in text
    assert "P@1: differences from runs/base.trec" in text
    told = json.loads((folder / "report.json").read_text())
    assert told["tables"] == [tables[0].to_json()] and told["baseline"] == "runs/base.trec"
    assert [(one["system"], one["difference"]) for one in told["comparisons"]["AP"]] == [
        ("runs/new.trec", 0.25),
        ("runs_new.trec", 0.25),
    ]
    assert len((folder / "per_query.csv").read_text().splitlines()) == 1 + 3 * 2 * 4
    assert (folder / "wins_losses.md").read_text().count("\n> why?\n") == 2
    markdown = (folder / "report.md").read_text()
    assert files(folder) >= set(re.findall(r"!\[.*?\]\((.*?)\)", markdown))
    assert (folder / "report.tex").read_text().count(r"\begin{table}") == 3


def test_a_report_without_a_baseline_compares_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    tables = write(TWO, tmp_path, measures=["P@1", "AP"])
    assert files(tmp_path) == TABLES | PICTURES
    assert [table.title for table in tables] == [f"{name}, macro average over 2 collections" for name in ("P@1", "AP")]
    assert tables[0] == results_table(TWO, "P@1")
    assert "differences" not in (tmp_path / "report.txt").read_text()


def test_what_an_earlier_report_leaves_goes_and_nothing_else(tmp_path):
    """Of the first report its pictures of two systems and its wins; files of others stay, however they are called."""
    pytest.importorskip("matplotlib")
    folder = tmp_path / "report"
    write(ONE, folder, baseline="runs/base.trec", test="randomisation")
    own = json.loads((folder / "report.json").read_text())["files"]
    assert set(own) == files(folder)
    (folder / "scatter_mine.png").write_text("mine")
    (tmp_path / "precious.csv").write_text("mine")
    told = json.loads((folder / "report.json").read_text())
    told["files"] += ["../precious.csv", str(tmp_path / "precious.csv"), "absent.png", 7]
    (folder / "report.json").write_text(json.dumps(told))
    two = {name: ONE[name] for name in ("runs/base.trec", "runs/new.trec")}
    write(two, folder, baseline="runs/base.trec", test="randomisation")
    left = TABLES | PICTURES | {"wins_losses.md", "scatter_runs_new.trec.png", "scatter_runs_new.trec.svg"}
    assert files(folder) == left | {"scatter_mine.png"}
    write(two, folder)
    assert files(folder) == TABLES | PICTURES | {"scatter_mine.png"} and (tmp_path / "precious.csv").exists()
    (folder / "report.json").write_text("broken")
    write(two, folder)
    assert set(json.loads((folder / "report.json").read_text())["files"]) == TABLES | PICTURES


def test_a_report_of_nothing_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="a report needs results"):
        write({}, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_the_same_report_has_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        write(TWO, tmp_path / name, baseline="runs/base.trec", test="randomisation")
    assert all(
        (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes() for name in files(tmp_path / "a")
    )


def test_marks_in_a_table_of_measures():
    """Six queries: .5 above on all gives 2/64 by all sign vectors; one family for each measure."""
    base, new = ({"AP": dict.fromkeys("123456", value), "P@1": dict.fromkeys("123456", 0.5)} for value in (0.25, 0.75))
    table = measures_table({"base": base, "new": new}, baseline="base", test="randomisation")
    assert [[cell.mark for cell in row[1:]] for row in table.rows] == [["", ""], ["†", ""]]
    assert table.notes[-1].endswith("after Holm over 1 comparison for each measure.")


@pytest.fixture
def folders(tmp_path):
    """Judgements of two collections, and runs of both, one of them packed."""
    for folder in ("qrels", "runs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "qrels/pony.tsv").write_text("1\t0\ta\t1\n2\t0\tb\t1\n")
    (tmp_path / "qrels/economics.txt").write_text("1 0 x y 1\n")
    (tmp_path / "qrels/.hidden.tsv").write_text("junk\n")
    (tmp_path / "qrels/README.md").write_text("junk\n")
    (tmp_path / "runs/pony.trec.gz").write_bytes(gzip.compress(b"1 Q0 a 1 2.0 t\n1 Q0 c 2 1.0 t\n3 Q0 a 1 1.0 t\n"))
    (tmp_path / "runs/economics.json").write_text('{"1": {"z": 2.0, "x y": 1.0}}')
    (tmp_path / "runs/other.trec").write_text("junk\n")
    return tmp_path


def test_folders_are_read_by_name(folders):
    """pony: query 1 right at once, query 2 missing, mean 1/2; economics: right at 2; without z right at once."""
    qrels = read_collections(folders / "qrels")
    assert list(qrels) == ["economics", "pony"]  # BRIGHT's order
    runs = {"new": read_runs(folders / "runs", qrels)}
    results, notes = measured(runs, qrels, "RR")
    assert results == {"new": {"economics": {"RR": {"1": 0.5}}, "pony": {"RR": {"1": 1.0, "2": 0.0}}}}
    assert notes == [
        "new, Pony: 1 of 2 queries missing, scored 0.",
        "new, Pony: 1 query without judgements, left out.",
    ]
    results, notes = measured(runs, qrels, "RR", excluded={"economics": {"1": frozenset({"z", "w"})}})
    assert results["new"]["economics"] == {"RR": {"1": 1.0}}
    assert notes[0] == "new, Econ.: 1 excluded document taken out of the lists."


def test_a_file_is_a_collection_by_its_name(folders):
    qrels = read_collections(folders / "qrels/pony.tsv")
    assert list(qrels) == ["pony"]
    assert list(read_runs(folders / "runs/pony.trec.gz", qrels)["pony"]) == ["1", "3"]
    assert [name_of(name) for name in ("a.b.trec.gz", "dir.json/run", "x.tsv")] == ["a.b", "run", "x"]


def test_what_does_not_go_together_is_refused(folders):
    qrels = read_collections(folders / "qrels")
    with pytest.raises(ValueError, match=r"pony\.trec\.gz is no folder, as the judgements are"):
        read_runs(folders / "runs/pony.trec.gz", qrels)
    with pytest.raises(ValueError, match="has no run named as the judgements are"):
        read_runs(folders / "runs", {"biology": {}})
    with pytest.raises(FileNotFoundError, match="absent: no such file or folder"):
        files_of(folders / "absent")
    (folders / "runs/pony.json").write_text("{}")
    with pytest.raises(ValueError, match="are of one collection; keep one of them"):
        files_of(folders / "runs")
    (folders / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file ending in"):
        files_of(folders / "empty")
    with pytest.raises(ValueError, match=r"^new, Econ\.: run and qrels have no query in common"):
        measured({"new": {"economics": {"9": {"x y": 1.0}}}}, qrels, "RR")


def test_files_that_match_no_judgements_are_told(folders):
    qrels = read_collections(folders / "qrels")
    assert unjudged(folders / "runs", qrels) == ["1 file without judgements, left out (other)"]
    assert unjudged(folders / "runs", {"other": {}}) == ["2 files without judgements, left out (economics, pony)"]
    assert unjudged(folders / "runs/other.trec", qrels) == []
