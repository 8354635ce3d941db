"""Runs against tables of figures: by hand on two small collections, on published runs, and what is wrong in words."""

import gzip
import json
import math
import shlex
from pathlib import Path

import pytest

from rader_ir.cli import main
from rader_ir.reproduce import Check, check_table, read_expected, report, rounding
from rader_ir.runs import read_run

# "one": the relevant document stands second, nDCG 1 / log2(3) = .6309 and RR .5. "two": it stands first, 1 and 1.
FILES = {
    "runs/one.trec": "q Q0 x 1 2.0 t\nq Q0 a 2 1.0 t\n",
    "runs/two.json": '{"q": {"a": 2.0, "x": 1.0}}',
    "qrels/one.tsv": "q\t0\ta\t1\n",
    "qrels/two.txt": "q 0 a 1\n",
}
TABLE = {
    "one": {"nDCG@10": 0.6309, "RR": 0.5},
    "two": {"nDCG@10": 1.0, "MRR": 1},
    "mean": {"nDCG@10": round((1 / math.log2(3) + 1) / 2, 4)},
}
CALL = "reproduce runs --expected table.json --qrels qrels"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working folder of a call: runs, judgements, and the table that they give."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write(TABLE)
    return tmp_path


def write(table) -> None:
    Path("table.json").write_text(json.dumps(table))


def rader(command: str) -> int:
    return main(shlex.split(command))


def test_figures_that_agree(files, capsys):
    assert rader(f"{CALL} --json told.json") == 0
    assert capsys.readouterr().out.splitlines() == [
        "one        2 of 2 figures agree",
        "two        2 of 2 figures agree",
        "mean of 2  1 of 1 figures agree",
    ]
    told = json.loads(Path("told.json").read_text())
    assert (told["figures"], told["differ"], told["without_run"], told["failed"]) == (5, 0, 0, [])


def test_what_a_query_excludes_leaves_its_list(files, capsys):
    """Without x, which "one" excludes, a stands first: nDCG and RR are 1."""
    Path("queries").mkdir()
    write({"one": {"nDCG@10": 1.0, "RR": 1.0}, "two": {"RR": 1.0}})
    assert rader(CALL) == 1
    Path("queries/one.jsonl").write_text('{"id": "q", "text": "why?", "excluded_ids": ["x"]}\n')
    capsys.readouterr()
    assert rader(f"{CALL} --queries queries") == 2
    assert "queries: no queries of two; expected two.jsonl or .tsv" in capsys.readouterr().err
    Path("queries/two.tsv").write_text("other\twhy?\n")
    assert rader(f"{CALL} --queries queries") == 2
    assert "none of its queries is judged: 'other' in it, 'q' in the judgements" in capsys.readouterr().err
    Path("queries/two.tsv").write_text("q\twhy?\n")
    assert rader(f"{CALL} --queries queries") == 0


def test_what_differs_is_named_with_the_difference_farthest_first(files, capsys):
    """.6309 against .63 and .5 against .75, of a table with four digits; the mean is what it was."""
    write(TABLE | {"one": {"nDCG@10": 0.63, "RR": 0.75}})
    assert rader(f"{CALL} --json told.json") == 1
    assert capsys.readouterr().out.splitlines() == [
        "one        0 of 2 figures agree",
        "two        2 of 2 figures agree",
        "mean of 2  1 of 1 figures agree",
        "one: RR is 0.5, expected 0.75, by -0.25",
        "one: nDCG@10 is 0.63093, expected 0.63, by +0.00093",
    ]
    told = json.loads(Path("told.json").read_text())
    assert told["differ"] == 2
    assert told["failed"][1] == {
        "group": "one",
        "measure": "RR",
        "expected": 0.75,
        "found": 0.5,
        "tolerance": rounding(4),
        "query_id": "",
    }


def test_the_digits_of_the_table_decide_what_is_close_enough(files, capsys):
    """1 / log2(3) = .63093: rounded to three digits .631, to four .6309; a longer figure in the file makes all exact."""
    write({"one": {"nDCG@10": 0.631}})
    assert rader(CALL) == 0
    write({"one": {"nDCG@10": 0.631, "RR": 0.5001}})
    assert rader(CALL) == 1
    assert rader(f"{CALL} --decimals 3") == 0
    assert read_expected("table.json") == ({"one": {"nDCG@10": 0.631, "RR": 0.5001}}, 4)
    assert Check("", "RR", 0.5, 0.50005, rounding(4)).agrees  # halves go either way
    assert not Check("", "RR", 0.5, 0.5000501, rounding(4)).agrees


def test_a_run_that_is_not_there_is_told_and_fails(files, capsys):
    Path("runs/two.json").unlink()
    assert rader(CALL) == 1
    assert capsys.readouterr().out.splitlines() == [
        "one        2 of 2 figures agree",
        "two        no run",
        "mean of 2  no run",
    ]


def test_a_query_that_the_run_lacks_counts_as_nothing(files):
    Path("qrels/one.tsv").write_text("q\t0\ta\t1\nr\t0\ta\t1\n")
    (check,) = check_table({"one": {"RR": 0.25}}, "runs", "qrels", decimals=2)
    assert check.agrees and check.found == 0.25


def test_packed_files_are_found(files):
    for name in ("runs/one.trec", "qrels/one.tsv"):
        Path(f"{name}.gz").write_bytes(gzip.compress(Path(name).read_bytes()))
        Path(name).unlink()
    assert rader(CALL) == 0


def test_a_report_ends_after_the_farthest():
    checks = [Check("one", "RR", 0.0, number / 100, 0.0, f"q{number}") for number in range(1, 31)]
    lines = report(checks).splitlines()
    assert lines[:2] == ["one  0 of 30 figures agree", "one, query q30: RR is 0.3, expected 0, by +0.3"]
    assert lines[-2:] == ["one, query q11: RR is 0.11, expected 0, by +0.11", "... and 10 more that differ by less"]


def test_percentages_are_told(files, capsys):
    """.6309 as 63.09: what differs is told, and what it looks like; a count above 1 is no percentage."""
    write({"one": {"nDCG@10": 63.09}})
    assert rader(CALL) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "one: nDCG@10 is 0.63093, expected 63.09, by -62",
        "Figures above 1 are expected of measures that end at 1: are they percentages? Divide those by 100",
    ]
    assert "percentages" not in report([Check("one", "NumRet", 4.0, 3.0, 0.0), Check("one", "RR", 1.0, 0.5, 0.0)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: Path("table.json").unlink(), "table.json"),
        (lambda: Path("table.json").write_text("{"), "table.json:1: broken JSON"),
        (lambda: write([1]), "table.json: not a table; expected one object"),
        (lambda: write({}), "table.json: no collection to measure"),
        (lambda: write({"mean": {"RR": 1}}), "table.json: no collection to measure"),
        (lambda: write({"one": 0.5}), "'one' has 0.5; expected {measure: figure}"),
        (lambda: write({"one": {"RR": "high"}}), "'one' has {'RR': 'high'}; expected"),
        (lambda: write({"one": {"Goodness": 0.5}}), "runs/one.trec: measure 'Goodness' is unknown: measure not found"),
        (lambda: write({"three": {"RR": 0.5}}), "runs: none of the runs three is there"),
        (lambda: write({"one": {"RR": 0.5}, "mean": {"AP": 0.5}}), "a mean of AP, but one has no figure of it"),
        (lambda: Path("runs/one.run").write_text("q Q0 a 1 1.0 t\n"), "runs holds one.trec and one.run; keep one of them"),
        (lambda: Path("qrels/one.tsv").unlink(), "qrels: no judgements of one; expected one.tsv"),
        (lambda: Path("qrels/one.tsv").write_text("p\t0\ta\t1\n"), "runs/one.trec: run and qrels have no query in common"),
        (lambda: Path("runs/one.trec").write_text("q Q0 x 1 nan t\n"), "runs/one.trec:1: score 'nan'"),
        (lambda: write({"model": "M"}), "runs holds no folder M; give the folder that holds it"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_2_and_one_line(files, capsys, spoil, message):
    spoil()
    assert rader(CALL) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("rader reproduce: ") and err.count("\n") == 1


def test_published_first_stage_runs(shared, capsys):
    """ReasonIR-8B's runs of BRIGHT with GPT-4's reasoning as queries: nDCG@10 as measured when they were collected."""
    expected = Path(__file__).parent / "expected" / "reasonir.json"
    folder = shared / "data"
    command = f"reproduce {folder / 'reasonir_runs'} --expected {expected} --qrels {folder / 'bright' / 'qrels'}"
    assert rader(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 13 and all(line.endswith("1 of 1 figures agree") for line in printed)


def test_doc_ids_with_blanks_are_read_whole(shared):
    """12 rows of stackoverflow's run and 8 of its ratings; no row is lost, of 117 queries with 100 each."""
    run = read_run(shared / "data/reasonir_runs/stackoverflow.trec.gz")
    blanks = [doc_id for scores in run.values() for doc_id in scores if " " in doc_id]
    assert len(blanks) == 12 and "pytorch_torch_tensor_functions/Memory Management_2_0.txt" in blanks
    assert [len(scores) for scores in run.values()] == [100] * 117
    released = shared / "data/rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical/stackoverflow"
    ratings = read_run(released / "gpt4_score.json.gz")
    assert sum(" " in doc_id for scores in ratings.values() for doc_id in scores) == 8
