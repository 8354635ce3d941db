"""The command line's frame and the verbs that need no model: figures by hand arithmetic, errors as users see them."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rader_ir import cli
from rader_ir.cli import VERBS, main
from rader_ir.rerank.ranking import untied

ROOT = Path(__file__).parents[1]
DENSE = "q1 Q0 a 1 3.0 x\nq1 Q0 b 2 1.0 x\nq1 Q0 c 3 0.0 x\nq2 Q0 a 1 1.0 x\n"
BM25 = "q1 Q0 c 1 9.0 x\nq1 Q0 b 2 5.0 x\nq1 Q0 d 3 4.0 x\nq2 Q0 b 1 1.0 x\n"
QRELS = "q1\t0\tb\t1\nq2\t0\ta\t1\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working folder of a call, with two runs and judgements."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"dense.trec": DENSE, "bm25.trec": BM25, "qrels.tsv": QRELS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def rader(command: str) -> int:
    """The exit status of `rader COMMAND`."""
    return main(shlex.split(command))


def rows(path: str) -> list[tuple[str, str, float]]:
    """(query, document, score) of a TREC file in its own order."""
    return [(q, d, float(s)) for q, _, d, _, s, _ in map(str.split, Path(path).read_text().splitlines())]


def parser_of(verb: str) -> argparse.ArgumentParser:
    whole = cli._parser([verb])
    return next(a for a in whole._actions if isinstance(a, argparse._SubParsersAction)).choices[verb]


def test_help_answers_without_opening_the_engine():
    script = "import sys; from rader_ir.cli import main\ntry: main(['--help'])\nfinally: print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(f"\n    {verb}" in done.stdout for verb in VERBS)
    assert not {"numpy", "torch", "transformers", "faiss", "ir_measures"} & set(done.stdout.split())


def test_the_help_of_every_verb_loads_no_model_library():
    script = f"""
import sys
from rader_ir.cli import main
for verb in {list(VERBS)}:
    try:
        main([verb, "--help"])
    except SystemExit as end:
        assert end.code == 0
print(*sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "faiss", "bm25s", "pandas"} & set(done.stdout.rsplit("\n", 2)[1].split())


@pytest.mark.parametrize("verb", VERBS)
def test_help_fills_every_placeholder(verb):
    """--test of the verbs that compare names its own default."""
    told = " ".join(parser_of(verb).format_help().split())
    assert "{}" not in told and "%(" not in told
    if verb in ("evaluate", "bright", "bench"):
        assert "paired test, with --baseline (default: t)" in told
        assert "for many comparisons, with --baseline (default: holm)" in told


def test_flags_mean_the_same_in_every_verb():
    meanings = {}
    for verb in VERBS:
        flags = {flag: action for action in parser_of(verb)._actions for flag in action.option_strings}
        assert {"--json", "--quiet"} <= set(flags)
        for flag, action in flags.items():
            meaning = (action.dest, action.type, action.choices, action.nargs)
            assert meanings.setdefault(flag, meaning) == meaning, f"{flag} of {verb}"


def test_interpolation_by_hand(files):
    """min-max, alpha .75, missing = the list's lowest, 0: a 0.75 * 1, b 0.75 / 3 + 0.25 / 5, c 0.25, d 0."""
    command = (
        "fuse dense.trec bm25.trec --method interpolate --alpha 0.75 --normalise minmax --out hybrid.trec --json f.json"
    )
    assert rader(command) == 0
    assert [(q, d) for q, d, _ in rows("hybrid.trec")][:4] == [("q1", "a"), ("q1", "b"), ("q1", "c"), ("q1", "d")]
    assert [s for q, _, s in rows("hybrid.trec") if q == "q1"] == pytest.approx([0.75, 0.75 / 3 + 0.25 / 5, 0.25, 0])
    figures = json.loads(Path("f.json").read_text())
    assert (figures["verb"], figures["queries"], figures["rows"], figures["out"]) == ("fuse", 2, 6, "hybrid.trec")
    assert figures["seconds"] >= 0


def test_reciprocal_rank_by_hand(files):
    assert rader("fuse dense.trec bm25.trec bm25.trec --method rrf --depth 2 --out rrf.trec") == 0
    expected = [("q1", "b", 3 / 62), ("q1", "c", 2 / 61 + 0), ("q2", "b", 2 / 61), ("q2", "a", 1 / 61)]
    found = rows("rrf.trec")
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert found[0][2] == pytest.approx(3 / 62)


def test_runs_of_other_queries_are_refused_and_missing_ones_told(files, capsys):
    """one.trec has q1 of q1 and q2; none of x1, which shares nothing with the two others."""
    Path("one.trec").write_text("q1 Q0 a 1 3.0 x\n")
    Path("other.trec").write_text("x1 Q0 a 1 3.0 x\n")
    assert rader("fuse dense.trec one.trec --out f.trec --json f.json") == 0
    assert "rader fuse: one.trec lacks 1 of the 2 queries of all runs\n" in capsys.readouterr().err
    assert json.loads(Path("f.json").read_text())["notes"] == ["one.trec lacks 1 of the 2 queries of all runs"]
    for method, runs in {"interpolate": "dense.trec", "rrf": "dense.trec bm25.trec"}.items():
        assert rader(f"fuse other.trec {runs} --out g.trec --method {method}") == 2
        error = capsys.readouterr().err
        assert "other.trec has no query in common with the other runs: 'x1' in it, 'q1', 'q2' in them" in error
        assert error.count("\n") == 1 and not Path("g.trec").exists()


def test_ratings_that_come_second_are_refused(files, capsys):
    Path("rated.trec").write_text("q1 Q0 a 1 0.6000000238418579 x\nq1 Q0 b 2 -1 x\nq2 Q0 a 1 0.2 x\n")
    assert rader("fuse rated.trec dense.trec --setting bright-rating --out f.trec") == 0
    assert rader("fuse dense.trec rated.trec --setting bright-rating --out g.trec") == 2
    assert "rated.trec holds ratings, which bright-rating takes first; swap the two runs" in capsys.readouterr().err
    _, equal = untied([0.6] * 1000 + [None] * 9)  # as a reranker writes them, in the earlier order
    rows = (f"q1 Q0 d{i} {i + 1} {score!r} x\n" for i, score in enumerate(equal.tolist()))
    Path("rated.trec").write_text("".join(rows))
    assert rader("fuse dense.trec rated.trec --setting bright-rating --out g.trec") == 2
    assert "rated.trec holds ratings" in capsys.readouterr().err


def test_evaluate_prints_means_with_intervals_and_writes_them(files, capsys):
    """q1: b stands second, RR 1/2; q2: a stands first, RR 1: mean .75. bm25 finds q2's answer nowhere: .25."""
    assert (
        main(["evaluate", "qrels.tsv", "dense.trec", "bm25.trec", "--measures", "RR@10 R@100", "--json", "f.json"]) == 0
    )
    printed = capsys.readouterr().out
    assert "dense " in printed and "0.7500" in printed and "RR@10" in printed
    runs = json.loads(Path("f.json").read_text())["runs"]
    assert runs["dense"]["RR@10"]["mean"] == 0.75
    assert runs["bm25"]["RR@10"]["mean"] == 0.25
    assert runs["bm25"]["R@100"]["mean"] == 0.5
    low, high = runs["dense"]["RR@10"]["low"], runs["dense"]["RR@10"]["high"]
    assert 0.5 <= low <= 0.75 <= high <= 1


def test_quiet_says_nothing(files, capsys):
    assert rader("fuse dense.trec bm25.trec --out hybrid.trec --quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_the_summary_goes_to_stderr(files, capsys):
    assert rader("fuse dense.trec bm25.trec --out hybrid.trec") == 0
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("rader fuse: queries 2, rows 6, out hybrid.trec, seconds ")


BAD = {
    "no such run": ("fuse dense.trec absent.trec --out x.trec", "absent.trec"),
    "three to interpolate": ("fuse dense.trec bm25.trec dense.trec --out x.trec", "two runs, 3 given; --method rrf"),
    "alpha": ("fuse dense.trec bm25.trec --alpha 2 --out x.trec", "alpha"),
    "broken run": ("fuse dense.trec qrels.tsv --out x.trec", "qrels.tsv:1"),
    "measure": ("evaluate qrels.tsv dense.trec --measures nDGC@10", "nDGC@10"),
    "swapped": ("evaluate dense.trec qrels.tsv", "dense.trec:1"),
    "a file as folder": (
        "fuse dense.trec bm25.trec --out dense.trec/x.trec",
        "--out dense.trec/x.trec cannot be written",
    ),
    "read-only": ("fuse dense.trec bm25.trec --out /proc/x.trec", "--out /proc/x.trec cannot be written"),
    "no such documents": ("bm25 absent.jsonl qrels.tsv --out x.trec", "absent.jsonl"),
    "no index": ("search absent qrels.tsv --out x.trec", "absent"),
    "no instruction": ("rerank bm25.trec --docs d.tsv --queries q.tsv --task cooking --out x.trec", "cooking"),
    "no checkpoint": ("index docs.tsv --checkpoint minilmm --out folder", "checkpoint 'minilmm' is unknown"),
}


@pytest.mark.parametrize(("command", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line(files, capsys, command, message):
    for name in ("docs.tsv", "d.tsv", "q.tsv"):
        Path(name).write_text("a\tone\nb\ttwo\nc\tthree\nd\tfour\n")
    assert rader(f"{command} --json f.json") == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith(f"rader {command.split()[0]}: ") and err.count("\n") == 1
    assert not Path("x.trec").exists() and not Path("f.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sing",
        "fuse --out x",
        "fuse a b",
        "fuse a b --out x --depth 0",
        "index d --out x --shard 4/4",
        "fuse a b --ou x",
    ],
)
def test_misspelt_calls_end_with_2(files, capsys, command):
    with pytest.raises(SystemExit) as end:
        rader(command)
    assert end.value.code == 2
    assert "usage: rader" in capsys.readouterr().err


def test_a_failure_leaves_the_old_output_alone(files):
    Path("x.trec").write_text("old")
    assert rader("fuse dense.trec qrels.tsv --out x.trec") == 2
    assert Path("x.trec").read_text() == "old"
    assert sorted(os.listdir()) == ["bm25.trec", "dense.trec", "qrels.tsv", "x.trec"]


@pytest.mark.parametrize(
    "command", ["fuse dense.trec bm25.trec --out bm25.trec", "evaluate qrels.tsv bm25.trec --json qrels.tsv"]
)
def test_a_file_that_is_read_is_never_written(files, command, capsys):
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    assert rader(command) == 2
    assert "is a file that this call reads; choose another place" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def test_what_rrf_does_not_read_is_refused(files, capsys):
    assert rader("fuse dense.trec bm25.trec --method rrf --alpha 0.3 --out f.trec") == 2
    assert "--alpha, --normalise, --over and --missing belong to --method interpolate" in capsys.readouterr().err


def test_a_published_setting_by_its_name(files, capsys):
    """bright-hybrid: z-scores, .8. q2 has one document a list: z 0. Of q1, a .8 * 1.336 - .2 * .926 (bm25's lowest, d)."""
    assert rader("fuse dense.trec bm25.trec --setting bright-hybrid --depth 2 --out f.trec") == 0
    deviation, lowest = (14 / 9) ** 0.5, -2 / (14 / 3) ** 0.5  # of 3 1 0 about 4/3; of 9 5 4 about 6
    found = rows("f.trec")
    assert [row[:2] for row in found] == [("q1", "a"), ("q1", "b"), ("q2", "a"), ("q2", "b")]
    assert found[0][2] == pytest.approx(0.8 * (3 - 4 / 3) / deviation + 0.2 * lowest)
    assert rader("fuse dense.trec bm25.trec --setting bright-hybrid-math --out f.trec") == 0
    assert rows("f.trec") == rows("dense.trec")
    assert rader("fuse dense.trec bm25.trec --setting bright-rating --alpha 0.5 --over all --out f.trec") == 2
    assert "--setting bright-rating fixes alpha, over too; leave --alpha and --over out" in capsys.readouterr().err
    assert rader("fuse dense.trec bm25.trec --setting bright-rating --method rrf --out f.trec") == 2
    assert "belong to --method interpolate" in capsys.readouterr().err


def test_output_folders_are_made(files):
    assert rader("fuse dense.trec bm25.trec --out new/runs/x.trec.gz --json new/json/f.json") == 0
    assert Path("new/runs/x.trec.gz").exists() and Path("new/json/f.json").exists()


def test_an_interrupt_ends_with_130_and_one_line(files):
    """The verb waits for judgements from a pipe that never brings any; Ctrl-C reaches it there."""
    os.mkfifo("pipe")
    heed = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # shells' background jobs ignore it
    )
    command = [sys.executable, "-c", f"{heed}; import sys; from rader_ir.cli import main; sys.exit(main())"]
    process = subprocess.Popen(
        [*command, "evaluate", "pipe", "dense.trec"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with open("pipe", "w"):  # opens when the verb does
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert err == "\nrader evaluate: interrupted\n"


def test_doctor_prints_its_findings_and_counts_them(files, capsys):
    """The counts are those of the findings, and status 1 means that something is broken."""
    status = rader("doctor --json f.json")
    figures = json.loads(Path("f.json").read_text())
    states = [finding["state"] for finding in figures["findings"]]
    assert {state: figures[state] for state in ("ok", "missing", "broken")} == {
        state: states.count(state) for state in ("ok", "missing", "broken")
    }
    assert status == int(figures["broken"] > 0)
    printed = capsys.readouterr().out
    assert all(finding["name"] in printed for finding in figures["findings"])
