"""`rader synthesize` as a program: killed, interrupted, without its server, side by side with itself, and wrongly called.

The simulated solver serves from this process; it ends, interrupts or leaves the program at a request of a certain number.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

import rader_ir.prompts
from rader_ir.cli import main
from rader_ir.synth.simulated import Skill
from tests.killing import killed_at
from tests.synth_folder import (
    MODEL,
    demo_of,
    impatient,
    inputs,
    left_in,
    solving,
    started,
    synthesized,
    usage,
    words,
    write_rows,
)

PROBLEMS = demo_of("catalan", "nim", "change")
TOUCHES = frozenset({"open", "write", "flush", "replace", "unlink", "mkdir", "execute", "truncate"})


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return inputs(tmp_path_factory.mktemp("given") / "inputs", PROBLEMS)


@pytest.fixture(scope="module")
def solver():
    with solving(latency=0.002) as solver:
        yield solver


@pytest.fixture(scope="module")
def whole(given, solver, tmp_path_factory):
    """What an unbroken run leaves, and the number of its requests."""
    out, before = tmp_path_factory.mktemp("whole") / "out", solver.requests
    synthesized(given, out, solver.url)
    assert len(left_in(out)) > 12
    return left_in(out), solver.requests - before


@pytest.fixture
def at(solver):
    """Sets what happens at the n-th request from now; given back is a list that holds the number once it has happened."""

    def when(number, act):
        happened, first = [], solver.requests

        def look(count):
            if count - first == number:
                happened.append(number)
                act()

        solver.at_request = look
        return happened

    yield when
    solver.at_request = None


def killed(moment: int, call: list[str], touches: frozenset[str] = TOUCHES) -> bool:
    """Make the call in a child that ends itself at its n-th touch of a file or of the replies; whether it got that far."""

    def touched(function) -> bool:
        return function.__name__ in touches and not isinstance(function.__self__, str)

    return killed_at(moment, lambda: main([*call, "--quiet"]), touched)


def test_killed_again_and_again(given, solver, whole, tmp_path):
    """Each call on the folder is killed later than the one before: at a tree, a reply, a summary, an export, the report."""
    out, moment, kills = tmp_path / "out", 1, 0
    while killed(moment, words(given, out, solver.url)):
        moment, kills = moment + 1 + moment // 2, kills + 1
    assert kills > 6
    assert left_in(out) == whole[0]


@pytest.mark.parametrize(
    ("touch", "moments"), [("open", (9, 8, 17)), ("write", (6, 18, 30)), ("replace", (2, 4, 9)), ("execute", (30, 90))]
)
def test_killed_at_one_kind_of_touch(given, solver, whole, tmp_path, touch, moments):
    """Before a file is opened, when it is and nothing is written, before it takes its place, before a reply is kept."""
    out = tmp_path / "out"
    for moment in moments:
        assert killed(moment, words(given, out, solver.url), frozenset([touch]))
    synthesized(given, out, solver.url)
    assert left_in(out) == whole[0]


def test_killed_from_outside(given, solver, whole, at, tmp_path):
    """kill -9 of the program while its calls are under way, first in the growth, then while queries are written."""
    out = tmp_path / "out"
    for number in (whole[1] // 2, whole[1] // 2 - 2):
        program = started(words(given, out, solver.url, "--quiet"))
        happened = at(number, program.kill)
        program.communicate(timeout=60)
        assert program.returncode == -signal.SIGKILL and happened
    synthesized(given, out, solver.url)
    assert left_in(out) == whole[0]


def test_an_interrupt_leaves_a_folder_that_goes_on(given, solver, whole, at, tmp_path):
    """Ctrl-C reaches the program and whatever it started."""
    out = tmp_path / "out"
    program = started(words(given, out, solver.url, "--quiet"))
    happened = at(whole[1] // 2, lambda: os.killpg(program.pid, signal.SIGINT))
    err = program.communicate(timeout=60)[1]
    assert happened and (program.returncode, err) == (130, "\nrader synthesize: interrupted\n")
    (used,) = usage(out)
    assert used["stopped"] == "interrupted" and 0 < used["calls"] < whole[1]
    synthesized(given, out, solver.url)
    assert left_in(out) == whole[0]


def test_two_programs_on_two_folders_do_not_meet(given, solver, whole, tmp_path):
    programs = [started(words(given, tmp_path / name, solver.url, "--quiet")) for name in "ab"]
    errors = [program.communicate(timeout=60)[1] for program in programs]
    assert [program.returncode for program in programs] == [0, 0] and errors == ["", ""]
    assert left_in(tmp_path / "a") == left_in(tmp_path / "b") == whole[0]
    assert usage(tmp_path / "a")[0]["calls"] == usage(tmp_path / "b")[0]["calls"] == whole[1]


@pytest.mark.parametrize("share", [0.3, 0.97])
def test_a_server_that_dies_ends_the_run_and_back_again_it_goes_on(given, whole, tmp_path, monkeypatch, capsys, share):
    impatient(monkeypatch, retries=2)
    out = tmp_path / "out"
    with solving(latency=0.002) as solver:
        last = int(share * whole[1])
        solver.at_request = lambda number: number == last and solver.stop()
        call = words(given, out, solver.url, "--quiet")
        assert main(call) == 2
        err = capsys.readouterr().err
    assert err.startswith(f"rader synthesize: no language model answers at {solver.url} (") and err.count("\n") == 1
    assert err.endswith("What was done is kept: make the same call again, and it goes on\n")
    (used,) = usage(out)
    assert used["stopped"] == "ConnectionError" and used["failed"]["connection"] > 0
    kept = {name: text for name, text in left_in(out).items() if name.startswith("trees/")}
    assert not any("failed: connection" in text.decode() for text in kept.values()), (
        "no dead end of the outage's making"
    )
    with solving(port=solver.port):
        assert main(call) == 0
    assert left_in(out) == whole[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


SHIPPED = (Path(rader_ir.prompts.__file__).parent / "synth.toml").read_text()
ENDS = "start a server there, or give another URL (it usually ends in /v1)"
GIVE = "give PROBLEMS, --corpus and --lm, or --demo"
BAD = {
    "no answers": (("bare.jsonl",), "bare.jsonl has no problem with an answer; bare.jsonl:1: a has no answer; expected answer, "
                   "gold_answer, correct or a boxed solution"),
    "no ids": (("--corpus", "noids.jsonl"), "noids.jsonl:1: no id; expected one of doc_id, docid, docno, _id, id, the record "
               "has text"),
    "an id twice": (("--corpus", "twice.jsonl"), "twice.jsonl: document id 'a' stands twice; give each document an id of its "
                    "own"),
    "no such problems": (("absent.jsonl",), "absent.jsonl: No such file or directory"),
    "no such prompts": (("--prompts", "absent.toml"), "absent.toml: No such file or directory"),
    "no such corpus": (("--corpus", "absent.jsonl"), "absent.jsonl: no such file"),
    "no server": (("--lm", "http://127.0.0.1:{free}/v1"), "no language model answers at http://127.0.0.1:{free}/v1 "
                  "(ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', {free})); " + ENDS),
    "no address": (("--lm", "gpt"), "language model 'gpt' is of no known kind; give http://…/v1, local:FOLDER or vllm:FOLDER"),
    "wrong model": (("--lm-model", "gpt"), f"{{url}} has no model 'gpt'; it has {MODEL}"),
    "no model": (("--lm-model", ""), "no model was named for {url}; name one that the server has, as its {url}/models lists "
                 "it"),
    "prompts without a field": (("--prompts", "field.toml"), "field.toml: section [thought] has no field 'max_tokens'; it "
                                "needs user and max_tokens"),
    "prompts without a section": (("--prompts", "section.toml"), "section.toml has no section [lexical_query]; copy it from "
                                  "the shipped file and change its wording"),
    "prompts without a hole": (("--prompts", "hole.toml"), "hole.toml: section [summary]: the text lacks the hole {theorem}; "
                               "it needs {theorem}"),
    "no key": (("--api-key-env", "NO_SUCH_KEY"), "--api-key-env NO_SUCH_KEY: the environment has no such variable, or it is "
               "empty; export it"),
    "another seed": (("--out", "made", "--seed", "1"), "made was made with seed 0, this call has 1; choose another folder, or "
                     "make the same call again to go on"),
    "another corpus": (("--out", "made", "--corpus", "one.jsonl"), "made was made with corpus {corpus}, this call has "
                       "'447c197d94daa1e0'; choose another folder, or make the same call again to go on"),
    "a broken run": (("--out", "broken"), "broken/run.json is broken (Expecting property name enclosed in double quotes: line "
                     "1 column 2 (char 1)); move broken away, or choose another folder"),
    "a broken tree": (("--out", "torn"), "torn/trees/nim-0-0.json is no tree of rader synthesize (JSONDecodeError('Expecting "
                      "value: line 1 column 1 (char 0)')); move it away"),
    "another process": (("--out", "held"), "another process is writing held; let it end, or choose another folder"),
    "a file for a folder": (("--out", "docs.jsonl"), "--out docs.jsonl is a file that this call reads; choose another place"),
    "another file for a folder": (("--out", "one.jsonl"), "--out one.jsonl is a file; give a folder, which is made where it "
                                  "is not there"),
    "no budget": (("--max-calls", "0"), "the budget of calls is 0; give a number above 0, or leave it out for no limit"),
    "no rollouts": (("--rollouts", "0"), "rollouts is 0; give a number from 1, whole but for exploration"),
    "no such kind": (("--query-kinds", "vague"), "kind 'vague' is unknown; choose of cot, llm, question, lexical"),
    "a negative price": (("--prices", "-1", "2"), "prices are -1.0 and 2.0; give what a million tokens cost that are read, and "
                         "that are written, 0 or more"),
    "no index": (("--checkpoint", "minilm"), "--checkpoint is given without --index; index the corpus by `rader index` first"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(given, solver, tmp_path_factory):
    """A folder with inputs, some of them bad, and with folders of other runs."""
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(given, place, dirs_exist_ok=True)
    write_rows(place / "bare.jsonl", [{"id": "a", "question": "How many?"}])
    write_rows(place / "noids.jsonl", [{"text": "A theorem."}])
    write_rows(place / "one.jsonl", [{"id": "a", "text": "A theorem."}])
    write_rows(place / "twice.jsonl", [{"id": "a", "text": "A theorem."}] * 2)
    (place / "field.toml").write_text(SHIPPED.replace("max_tokens =", "most =", 1))
    (place / "section.toml").write_text(SHIPPED[: SHIPPED.index("[lexical_query]")])
    (place / "hole.toml").write_text(SHIPPED.replace("{theorem}", "the theorem"))
    synthesized(given, place / "made", solver.url, "--no-examples", "--rollouts", 1)
    for name in ("broken", "torn", "held"):
        shutil.copytree(place / "made", place / name)
    (place / "broken" / "run.json").write_text("{")
    (place / "torn" / "trees" / "nim-0-0.json").write_text("")
    return place


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line(place, solver, monkeypatch, capsys, changed, message):
    monkeypatch.chdir(place)
    known = {"url": solver.url, "free": free_port()}
    known["corpus"] = repr(json.loads((place / "made" / "run.json").read_text())["corpus"])
    for name, value in known.items():
        message = message.replace(f"{{{name}}}", str(value))
    changed = [word.replace("{free}", str(known["free"])) for word in changed]
    call = words(Path(), Path("new"), solver.url, "--no-examples", "--rollouts", "1", "--quiet", *changed)
    if not changed[0].startswith("-"):
        call.remove(changed[0])
        call[1] = changed[0]
    before, asked = left_in(place), solver.requests
    folder = os.open(place / "held", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        assert main(call) == 2
    finally:
        os.close(folder)
    assert capsys.readouterr().err == f"rader synthesize: {message}\n"
    assert solver.requests == asked and left_in(place) == before


def test_examples_of_no_trees_are_refused(given, solver, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words(given, Path("none"), solver.url, "--no-search", "--quiet")) == 2
    assert capsys.readouterr().err == "rader synthesize: none holds no tree of these 3 problems; grow some first\n"
    assert not Path("none/examples.jsonl").exists()


def test_a_run_without_examples_says_so_and_takes_the_old_picture_away(given, tmp_path, capsys):
    """Of a solver that is always wrong nothing comes; an earlier picture would be of other examples."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.png").write_bytes(b"old")
    with solving(skill=Skill(right_with=0.0, right_without=0.0)) as solver:
        assert main(words(given, tmp_path / "out", solver.url)) == 0
        said = f"rader synthesize: no example came out; {tmp_path / 'out' / 'report.md'} says why"
        assert said in capsys.readouterr().err.splitlines()
        assert main(words(given, tmp_path / "out", solver.url, "--no-examples")) == 0
        assert said not in capsys.readouterr().err.splitlines(), "none were wanted"
    assert not (tmp_path / "out" / "report.png").exists()


@pytest.mark.parametrize("lacking", ["PROBLEMS", "--corpus", "--lm"])
def test_what_is_needed_is_asked_for(lacking, tmp_path, capsys):
    call = {"PROBLEMS": ["p.jsonl"], "--corpus": ["--corpus", "d.jsonl"], "--lm": ["--lm", "http://127.0.0.1:1/v1"]}
    given = [word for name, part in call.items() if name != lacking for word in part]
    assert main(["synthesize", *given, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"rader synthesize: {lacking} is missing; {GIVE}\n"
    assert not (tmp_path / "out").exists()


def test_gold_documents_must_be_there(given, solver, tmp_path, capsys):
    """The demo's problems name theirs; without them, or with one that the corpus lacks, nothing is asked."""
    rows = [json.loads(line) for line in (given / "problems.jsonl").read_text().splitlines()]
    for place, changed, said in (
        ("none", [row | {"gold_documents": []} for row in rows], "no problem names gold_documents"),
        (
            "lost",
            [row | {"gold_documents": ["d9"]} for row in rows],
            "names the gold document 'd9', which the corpus has not",
        ),
    ):
        other = inputs(tmp_path / place, PROBLEMS)
        write_rows(other / "problems.jsonl", changed)
        before = solver.requests
        assert main(words(other, tmp_path / f"{place} out", solver.url, "--gold-documents", "--quiet")) == 2
        assert said in capsys.readouterr().err and solver.requests == before
    synthesized(given, tmp_path / "gold", solver.url, "--gold-documents")
    verdicts = json.loads((tmp_path / "gold" / "report.json").read_text())["problems"]["verdicts"]
    assert verdicts["kept"] > 0 and "rejected" not in verdicts


@pytest.mark.parametrize("given", [["p.jsonl"], ["--corpus", "d.jsonl"], ["--lm", "http://127.0.0.1:1/v1"]])
def test_the_demo_takes_no_problems_of_ones_own(given, tmp_path, capsys):
    assert main(["synthesize", "--demo", *given, "--out", str(tmp_path / "out")]) == 2
    name = "PROBLEMS" if len(given) == 1 else given[0]
    said = f"{name} is given beside --demo, which makes its own; leave one of them out"
    assert capsys.readouterr().err == f"rader synthesize: {said}\n"


def test_sampling_and_patience_are_as_asked(given, solver, tmp_path, monkeypatch):
    """What the requests held, and what the cache is keyed by: another temperature is another run."""
    from rader_ir.lm.server import Server

    made = []
    monkeypatch.setattr(
        Server, "__init__", lambda self, *a, _of=Server.__init__, **o: made.append(o) or _of(self, *a, **o)
    )
    asked = [
        "--rollouts",
        "1",
        "--no-examples",
        "--quiet",
        "--temperature",
        "0.3",
        "--top-p",
        "0.5",
        "--top-tokens",
        "40",
    ]
    call = words(given, tmp_path / "out", solver.url, *asked, "--timeout", "7", "--retries", "1")
    assert main(call) == 0
    assert {name: made[-1][name] for name in ("timeout", "retries")} == {"timeout": 7.0, "retries": 1}
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["sampling"] == {"temperature": 0.3, "top_p": 0.5, "top_k": 40}
    call[call.index("0.3")] = "0.4"
    assert main(call) == 2


def test_problems_that_cannot_be_checked_are_listed_and_left_out(given, solver, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in (given / "problems.jsonl").read_text().splitlines()]
    bad = [{"id": "bare", "question": "How many?"}, {"id": "odd", "question": "How many?", "answer": {"x": 1}}]
    bad.append({"id": "torn", "question": "How many?", "answer": "\\"})
    write_rows(tmp_path / "mixed.jsonl", [bad[0], rows[0], *bad[1:], *({**bad[0], "id": f"bare{n}"} for n in range(9))])
    call = words(given, Path("out"), solver.url, "--rollouts", "1", "--no-examples")
    assert main([call[0], "mixed.jsonl", *call[2:], "--json", "f.json"]) == 0
    listed = [
        "mixed.jsonl:1: bare has no answer; expected answer, gold_answer, correct or a boxed solution",
        "mixed.jsonl:3: odd has the answer {'x': 1}, which nothing can be compared with",
        r"mixed.jsonl:4: torn has the answer '\\', which nothing can be compared with",
    ]
    report = json.loads(Path("out/report.json").read_text())["problems"]
    assert report["left_out"][:3] == listed and len(report["left_out"]) == 12 and report["given"] == 1
    assert json.loads(Path("f.json").read_text())["left_out"] == report["left_out"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [f"rader synthesize: left out: {line}" for line in listed]
    assert lines[10] == "rader synthesize: left out: 2 more; report.json lists them"
