"""`rader evaluate` as its users call it: files and folders, comparison, report, and every bad input in one line."""

import gzip
import json
from pathlib import Path

import pytest

from rader_ir.cli import main

QRELS = "q1\t0\tb\t1\nq2\t0\ta\t1\nq3\t0\tc\t1\n"
ROWS = ["q1 Q0 a 1 3.0 x", "q1 Q0 b 2 1.0 x", "q2 Q0 a 1 1.0 x", "q2 Q0 c 2 1.0 x"]
BM25 = "q1 Q0 b 1 9.0 x\nq2 Q0 b 1 1.0 x\nq3 Q0 c 1 1.0 x\n"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("qrels.tsv").write_text(QRELS)
    Path("dense.trec").write_text("\n".join(ROWS) + "\n")
    Path("bm25.trec").write_text(BM25)
    return tmp_path


def rader(*words: str) -> int:
    return main(["evaluate", *words])


def test_missing_queries_are_told_and_scored_0(capsys):
    """q1 right at 2; q2's two are tied, c before a by trec_eval's order, so right at 2; q3 missing: 1/3."""
    assert rader("qrels.tsv", "dense.trec", "--measures", "RR@10", "--json", "f.json") == 0
    printed = capsys.readouterr().out
    assert "0.3333" in printed and "dense: 1 of 3 queries missing, scored 0." in printed
    figures = json.loads(Path("f.json").read_text())
    assert figures["runs"]["dense"]["RR@10"]["mean"] == pytest.approx(1 / 3)
    assert figures["notes"] == ["dense: 1 of 3 queries missing, scored 0."]
    assert figures["tables"][0]["rows"][0][1]["value"] == pytest.approx(1 / 3)


def test_a_baseline_is_given_by_label_or_file_and_need_not_be_among_the_runs(capsys):
    for words in (
        ["B=bm25.trec", "--baseline", "B"],
        ["B=bm25.trec", "--baseline", "bm25.trec"],
        ["--baseline", "B=bm25.trec"],
    ):
        assert rader("qrels.tsv", "dense.trec", *words, "--test", "randomisation", "--json", "f.json") == 0
        printed = capsys.readouterr().out
        assert "above, ‡ below B by a paired randomisation test" in printed
        assert set(json.loads(Path("f.json").read_text())["runs"]) == {"dense", "B"}


def test_a_report_is_written(capsys):
    pytest.importorskip("matplotlib")
    Path("queries.tsv").write_text("q1\thow many?\nq2\twhy?\nq3\twhich?\n")
    Path("docs.tsv").write_text("a\tone\nb\ttwo\nc\tthree\n")
    words = ["--baseline", "bm25.trec", "--test", "randomisation", "--queries", "queries.tsv", "--docs", "docs.tsv"]
    assert rader("qrels.tsv", "dense.trec", *words, "--out", "report", "--latex", "new/t.tex", "--measures", "RR") == 0
    assert {"report.md", "bars.svg", "scatter_dense.png", "per_query.csv"} <= {p.name for p in Path("report").iterdir()}
    told = Path("report/wins_losses.md").read_text()
    assert "> which?" in told and "1. **relevant** `c` three" in told
    latex = Path("new/t.tex").read_text()
    assert r"\toprule" in latex and "dense & " in latex


def test_excluded_documents_leave_the_lists(capsys):
    """Without a, which q1 excludes, b is first: RR 1, 1/2 and 0."""
    Path("queries.jsonl").write_text(
        '{"id": "q1", "query": "how many?", "excluded_ids": ["a"]}\n{"id": "q2", "query": "why?", "excluded_ids": ["N/A"]}\n'
    )
    assert rader("qrels.tsv", "dense.trec", "--queries", "queries.jsonl", "--measures", "RR", "--json", "f.json") == 0
    assert json.loads(Path("f.json").read_text())["runs"]["dense"]["RR"]["mean"] == 0.5
    assert "1 excluded document taken out of the lists" in capsys.readouterr().out


def test_texts_of_some_queries_and_documents_are_told_of(capsys):
    """Of q1 to q3 one has a text; the relevant and first documents are a, b and c, of which the file has two."""
    pytest.importorskip("matplotlib")
    Path("queries.jsonl").write_text('{"id": "q2", "query": "why?", "excluded_ids": ["c"]}\n')
    Path("docs.tsv").write_text("a\tone\nb\ttwo\nz\tlast\n")
    words = ["qrels.tsv", "dense.trec", "--queries", "queries.jsonl", "--docs", "docs.tsv", "--json", "f.json"]
    assert rader(*words, "--baseline", "bm25.trec", "--test", "randomisation", "--out", "report") == 0
    notes = json.loads(Path("f.json").read_text())["notes"]
    assert "1 of 3 judged queries are in queries.jsonl." in notes
    assert "2 of 3 relevant and first documents are in docs.tsv." in notes
    assert "1 of 3 judged queries are in queries.jsonl." in capsys.readouterr().out
    shown = Path("report/wins_losses.md").read_text()
    won = shown.partition("### query `q2`")[2].partition("## Losses")[0]
    assert "> why?" in won and "1. `b` two" in won and "1. **relevant** `a` one" in won
    assert "`c`" not in won, "q2 excludes it"


def test_folders_of_texts_tell_of_collections_that_they_lack():
    for name in ("qrels", "dense", "queries"):
        Path(name).mkdir()
    for task in ("pony", "aops"):
        Path(f"qrels/{task}.tsv").write_text(QRELS)
        Path(f"dense/{task}.trec").write_text(BM25)
    Path("queries/pony.tsv").write_text("q1\thow?\nq2\twhy?\nq3\twho?\n")
    assert rader("qrels", "dense", "--measures", "RR", "--queries", "queries", "--json", "f.json") == 0
    assert json.loads(Path("f.json").read_text())["notes"] == ["1 of 2 judged collections are in queries."]


def test_judged_collections_without_a_run_are_told(capsys):
    for name in ("qrels", "dense"):
        Path(name).mkdir()
    for task in ("pony", "aops", "biology", "other"):
        Path(f"qrels/{task}.tsv").write_text(QRELS)
    for task in ("pony", "aops"):
        Path(f"dense/{task}.trec").write_text(BM25)
    assert rader("qrels", "dense", "--measures", "RR", "--json", "f.json") == 0
    sentence = "2 of 4 judged collections have no run and are left out (Bio., other)."
    assert sentence in capsys.readouterr().out
    assert json.loads(Path("f.json").read_text())["notes"] == [sentence]


@pytest.mark.parametrize("flag", ["--queries", "--docs", "folder"])
def test_texts_that_belong_to_others_are_refused(capsys, flag):
    pytest.importorskip("matplotlib")
    Path("texts.jsonl").write_text('{"id": "s1", "text": "of another set", "excluded_ids": ["a"]}\n')
    words = ["--baseline", "bm25.trec", "--test", "randomisation", "--out", "report", "--json", "f.json"]
    if flag == "folder":
        Path("texts").mkdir()
        Path("texts.jsonl").rename("texts/other.jsonl")
    given = ("--queries", "texts") if flag == "folder" else (flag, "texts.jsonl")
    assert rader("qrels.tsv", "dense.trec", *words, *given) == 2
    out, err = capsys.readouterr()
    what = {
        "--queries": "texts.jsonl has none of the 3 judged queries ('q1', 'q2', 'q3'), but 's1'; give what",
        "--docs": "texts.jsonl has none of the 3 relevant and first documents ('a', 'b', 'c'); give what",
        "folder": "texts has none of the 1 judged collections ('qrels'), but 'other'; give what",
    }
    assert what[flag] in err and err.count("\n") == 1 and out == "" and not Path("report").exists()


def test_folders_give_a_table_over_collections(capsys):
    for name in ("qrels", "dense"):
        Path(name).mkdir()
    for task in ("pony", "aops"):
        Path(f"qrels/{task}.tsv").write_text(QRELS)
        Path(f"dense/{task}.trec.gz").write_bytes(gzip.compress(BM25.encode()))
    assert rader("qrels", "D=dense", "--measures", "RR", "--average", "micro", "--json", "f.json") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].split() == ["system", "Pony", "AoPS", "average"]
    assert printed.splitlines()[4].split()[:4] == ["D", "0.6667", "0.6667", "0.6667"]
    assert json.loads(Path("f.json").read_text())["runs"]["D"]["pony"]["RR"]["mean"] == pytest.approx(2 / 3)


def test_the_splits_of_bright_as_its_papers_have_them(shared, capsys):
    """The mean that ReasonIR's notes give for its twelve runs; ids with blanks among them."""
    data = shared / "data"
    words = [str(data / "bright/qrels"), f"ReasonIR={data / 'reasonir_runs'}", "--queries", str(data / "bright/topics")]
    assert rader(*words, "--measures", "nDCG@10", "--json", "f.json") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].split()[:3] == ["system", "Bio.", "Earth."]
    assert printed.splitlines()[4].split()[13] == "0.3059" and "excluded" not in printed
    assert json.loads(Path("f.json").read_text())["queries"] == 1384


def test_corrected_and_plain_judgements_in_one_folder_are_told(shared, capsys):
    """Of five splits there are two states, and a mean over both is of neither."""
    Path("qrels").mkdir()
    for task in ("biology", "pony", "robotics"):
        state = "qrels_fixed" if task == "robotics" else "qrels"
        Path(f"qrels/{task}.tsv").write_bytes((shared / "data/bright" / state / f"{task}.tsv").read_bytes())
    runs = str(shared / "data/reasonir_runs")
    sentence = "BRIGHT's judgements of robotics are the corrected ones, those of biology are not"
    assert rader("qrels", runs, "--measures", "nDCG@10") == 0
    assert sentence in capsys.readouterr().out
    Path("qrels/biology.tsv").unlink()
    assert rader("qrels", runs, "--measures", "nDCG@10") == 0
    assert "corrected" not in capsys.readouterr().out


@pytest.mark.parametrize("content", ["packed", "plain"])
@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_packed_and_plain_runs_are_told_by_content(capsys, name, content):
    text = BM25.encode()
    Path(name).write_bytes(gzip.compress(text) if content == "packed" else text)
    assert rader("qrels.tsv", name, "--measures", "RR") == 0
    assert "0.6667" in capsys.readouterr().out


def test_ids_with_blanks(capsys):
    Path("qrels.tsv").write_text("q1\t0\ta b\t1\n")
    Path("run.trec").write_text("q1 Q0 c 1 2.0 x\nq1 Q0 a b 2 1.0 x\n")
    assert rader("qrels.tsv", "run.trec", "--measures", "RR") == 0
    assert "0.5000" in capsys.readouterr().out


@pytest.mark.parametrize("folders", [False, True])
def test_a_baseline_alone_is_not_said_to_be_tested(capsys, folders):
    pytest.importorskip("matplotlib")
    qrels, run = "qrels.tsv", "bm25.trec"
    if folders:
        for name, content in {"q": QRELS, "bm25": BM25}.items():
            Path(name).mkdir()
            for task in ("pony", "aops"):
                Path(f"{name}/{task}.{'tsv' if name == 'q' else 'trec'}").write_text(content)
        qrels, run = "q", "bm25"
    assert rader(qrels, run, "--baseline", run, "--test", "randomisation", "--out", "report") == 0
    report = capsys.readouterr().out + Path("report/report.txt").read_text() + Path("report/report.tex").read_text()
    assert "bootstrap" in report
    for word in ("Holm", "randomisation", "differences", "0 comparisons"):
        assert word not in report
    assert not Path("report/wins_losses.md").exists()


BAD = {
    "another split": (
        b"s1 Q0 a 1 1.0 x\n",
        "run and qrels have no query in common: 's1' in the run, 'q1', 'q2', 'q3' in",
    ),
    "another variant": (
        b"q1 Q0 page 1 1.0 x\n",
        "no document of the run is judged: 'page' in the run, 'a', 'b', 'c' in",
    ),
    "a row twice": (b"q1 Q0 b 1 1.0 x\nq1 Q0 b 2 0.5 x\n", "run.trec:2: document 'b' stands twice for query 'q1'"),
    "not a number": (b"q1 Q0 b 1 nan x\n", "run.trec:1: score 'nan' is not a finite number"),
    "five fields": (b"q1 Q0 b 1 1.0\n", "run.trec:1: 'q1 Q0 b 1 1.0' is not a row"),
    "UTF-16": (BM25.encode("utf-16"), "run.trec: UTF-16 or UTF-32, by its first line; convert the file to UTF-8"),
    "latin-1": (
        "q1 Q0 caf\xe9 1 1.0 x\n".encode("latin-1"),
        "run.trec:1: not UTF-8 (invalid continuation byte); convert",
    ),
    "cut gzip": (gzip.compress(BM25.encode())[:-12], "run.trec: broken gzip data"),
    "empty": (b"", "run: the run is empty; look at what should have written it"),
}


@pytest.mark.parametrize(("content", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_run_ends_with_2_and_one_line(capsys, content, complaint):
    Path("run.trec").write_bytes(content)
    assert rader("qrels.tsv", "run.trec", "--out", "report", "--json", "f.json") == 2
    out, err = capsys.readouterr()
    assert complaint in err and err.count("\n") == 1 and out == ""
    assert not Path("report").exists() and not Path("f.json").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["qrels.tsv", "dense.trec", "dense.trec"], "run 'dense.trec' is given twice; leave one out, or give labels"),
        (["qrels.tsv", "A=dense.trec", "A=bm25.trec"], "run 'A' is given twice"),
        (
            ["qrels.tsv", "dense.trec", "--baseline", "absent.trec"],
            "neither a run of this call nor a file; the runs are called dense",
        ),
        (
            ["qrels.tsv", "dense.trec", "--test", "t"],
            "--test compares systems with a baseline; give --baseline with it",
        ),
        (["qrels.tsv", "dense.trec", "--correction", "none"], "--correction compares systems with a baseline"),
        (["absent", "dense.trec", "--out", "bm25.trec"], "--out bm25.trec is a file; give a folder"),
        (["absent", "dense.trec", "--latex", "runs"], "--latex runs is a folder; give a file"),
        (["qrels.tsv", "dense.trec", "--confidence", "95"], "confidence 95.0 is outside (0, 1)"),
        (["qrels.tsv", "A=dense.trec", "--latex", "dense.trec"], "--latex dense.trec is a file that this call reads"),
        (["absent", "dense.trec"], "absent: no such file or folder"),
        (["absent", "dense.trec", "--measures", "nDCG@10, nDCG@0"], "measure 'nDCG@0' has cutoff 0; expected a whole"),
        (["qrels.tsv", "runs"], "folder runs has no run named as the judgements are (qrels, ...)"),
    ],
)
def test_bad_words_end_with_2_and_one_line(capsys, words, complaint):
    Path("runs").mkdir()
    Path("runs/other.trec").write_text(BM25)
    before = Path("dense.trec").read_bytes()
    assert rader(*words) == 2
    err = capsys.readouterr().err
    assert complaint in err and err.count("\n") == 1
    assert Path("dense.trec").read_bytes() == before


def test_a_seed_below_0_names_its_flag(capsys):
    with pytest.raises(SystemExit) as end:
        rader("qrels.tsv", "dense.trec", "--seed", "-1")
    assert end.value.code == 2 and "argument --seed: -1 is below 0" in capsys.readouterr().err
