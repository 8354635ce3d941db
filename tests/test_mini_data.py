"""Tiny sources in the true formats, made into the three collections: every output line is told here by hand.

The real sources are read where `RADER_MINI_SOURCES` names a mirror of them; their digests are compared with the data.
"""

import doctest
import gzip
import hashlib
import http.server
import importlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TAGS = """# List of current tags
0001,sets-lemma-first
0002,sets-definition-big
0003,sets-proposition-second
0004,categories-theorem-third
0005,categories-lemma-told-later
0006,sets-item-one
"""
SETS = r"""\input{preamble}
\title{Set Theory}
\section{Small sets}
\label{section-small}
\begin{lemma}[Choice]
\label{lemma-first}
\begin{slogan}
Sets choose
others.
\end{slogan}
\begin{reference}
\cite[page 7]{Jech}
\end{reference}
Every set $S_{50\%}$ is \'small'. % is it?

\medskip\noindent
  See Homology, Lemma \ref{homology-lemma-x}) and (\ref{equation-y}).
\end{lemma}
\begin{proof}
Omitted.
\end{proof}
\begin{lemma}
\label{lemma-without-a-tag}
Not a document.
\end{lemma}
\section{Big sets}
\begin{definition}
\label{definition-big}
Big is what \cite{Kunen} calls so.
\end{definition}
\begin{proposition}
\label{proposition-second}
Second.
\end{proposition}

\begin{proof}[Short proof]
By Definition \ref{definition-big} and Lemmas \ref{lemma-first} and \ref{lemma-first},
\begin{equation}
\label{equation-kept}
1
\end{equation}
not by \ref{proposition-second}, \ref{lemma-without-a-tag}.
\end{proof}
"""
CATEGORIES = r"""\title{Categories}
\section{Objects}
\begin{theorem}
\label{theorem-third}
Third.
\end{theorem}
\begin{proof}
Follows from Sets,
Lemma \ref{sets-lemma-first}.
\end{proof}
\begin{lemma}
\label{lemma-told-later}
Fourth.
\end{lemma}
We interrupt.
\begin{proof}
See Theorem \ref{theorem-third}.
\end{proof}
"""
STACKS = {
    "COPYING": "Copy freely.\n",
    "tags/tags": TAGS,
    "sets.tex": SETS,
    "categories.tex": CATEGORIES,
}
STACKS_OUTPUTS = {
    "COPYING.stacks": ["Copy freely."],
    "corpus.jsonl.gz": [
        r'{"doc_id": "0001", "kind": "lemma", "name": "Choice", "chapter": "Set Theory", "section": "Small sets", '
        r'"text": "Every set $S_{50\\%}$ is \\'
        r"""'small'.\n[ref] and ([ref]).", "slogan": "Sets choose others."}""",
        '{"doc_id": "0002", "kind": "definition", "name": "", "chapter": "Set Theory", "section": "Big sets", '
        '"text": "Big is what [cite] calls so.", "slogan": ""}',
        '{"doc_id": "0003", "kind": "proposition", "name": "", "chapter": "Set Theory", "section": "Big sets", '
        '"text": "Second.", "slogan": ""}',
        '{"doc_id": "0004", "kind": "theorem", "name": "", "chapter": "Categories", "section": "Objects", '
        '"text": "Third.", "slogan": ""}',
        '{"doc_id": "0005", "kind": "lemma", "name": "", "chapter": "Categories", "section": "Objects", '
        '"text": "Fourth.", "slogan": ""}',
    ],
    # random.Random(13) leaves two in their order, so that the first is the test query.
    "queries.test.jsonl": [
        r'{"query_id": "0003", "text": "Second.", "excluded_ids": ["0003"], "proof": "[Short proof]\nBy [ref] and '
        r"[ref] and [ref],\n\\begin{equation}\n\\label{equation-kept}\n1\n\\end{equation}\n"
        r'not by [ref], [ref]."}'
    ],
    "queries.train.jsonl": [
        r'{"query_id": "0004", "text": "Third.", "excluded_ids": ["0004"], "proof": "Follows from Sets,\n[ref]."}'
    ],
    "qrels/test.tsv": ["0003\t0\t0002\t1", "0003\t0\t0001\t1"],
    "qrels/train.tsv": ["0004\t0\t0001\t1"],
}

CLAIMS = """id,claim,evidence_doc_id,evidence_label,evidence_sentences,cited_doc_ids
3,"It binds, it does.",7,SUPPORT,[0 2],[ 7 88  7]
3,"It binds, it does.",7,SUPPORT,[1],[ 7 88  7]
3,"It binds, it does.",88,CONTRADICT,[0],[ 7 88  7]
"""
SCIFACT = {
    "corpus_train": r"""doc_id,title,abstract,structured
7,Binding,"['One – \'sic\' .' ""CD33's  motif""
 'two\n  lines']",True
88,Other,['Alone.'],False
""",
    "claims_train": "id,claim,evidence_doc_id,evidence_label,evidence_sentences,cited_doc_ids\n"
    "1,Nobody knows.,,,[],[88]\n2,Nobody is cited.,,,[],[]\n",
    "claims_validation": CLAIMS,
}
SCIFACT_OUTPUTS = {
    "corpus.jsonl.gz": [
        '{"doc_id": "7", "title": "Binding", "sentences": ["One – \'sic\' .", "CD33\'s motif", "two lines"], '
        '"structured": true}',
        '{"doc_id": "88", "title": "Other", "sentences": ["Alone."], "structured": false}',
    ],
    "queries.train.jsonl": ['{"query_id": "1", "text": "Nobody knows.", "evidence": {}}'],
    "queries.test.jsonl": [
        '{"query_id": "3", "text": "It binds, it does.", "evidence": {"7": {"label": "SUPPORT", "rationales": '
        '[[0, 2], [1]]}, "88": {"label": "CONTRADICT", "rationales": [[0]]}}}'
    ],
    "qrels/train.tsv": ["1\t0\t88\t1"],
    "qrels/test.tsv": ["3\t0\t7\t1", "3\t0\t88\t1"],
}

GSM8K = '{"question": "1 + 1\\u2028?", "answer": "#### 2"}\n'
AQUA = '{"question": "\\u221a4?", "options": ["A)2", "B)3"], "rationale": "2", "correct": "A"}\n'
MATH = {
    "grade_school_math/data/train.jsonl": GSM8K * 2,
    "grade_school_math/data/test.jsonl": GSM8K * 2,
    "dev.json": AQUA,
    "test.json": AQUA,
}
MATH_OUTPUTS = {
    "gsm8k_train.jsonl.gz": [GSM8K.strip()] * 2,
    "gsm8k_test.jsonl": [
        '{"id": "gsm8k_test_0", "question": "1 + 1\u2028?", "answer": "#### 2"}',
        '{"id": "gsm8k_test_1", "question": "1 + 1\u2028?", "answer": "#### 2"}',
    ],
    "aqua_dev.jsonl": [AQUA.strip()],
    "aqua_test.jsonl": [
        '{"id": "aqua_test_0", "question": "√4?", "options": ["A)2", "B)3"], "rationale": "2", "correct": "A"}'
    ],
}
OUTPUTS = {"stacks_theorems": STACKS_OUTPUTS, "scifact": SCIFACT_OUTPUTS, "math": MATH_OUTPUTS}


@pytest.fixture
def mini_data(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("mini_data")


@pytest.fixture
def mirror(mini_data, tmp_path):
    """The tiny sources where the true ones lie in a mirror."""
    folder = tmp_path / "mirror"
    texts = {f"{mini_data.STACKS}/{path}": text for path, text in STACKS.items()}
    texts |= {f"{mini_data.GSM8K if '/' in path else mini_data.AQUA}/{path}": text for path, text in MATH.items()}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / mini_data.SCIFACT / "data").mkdir(parents=True)
    with zipfile.ZipFile(folder / mini_data.SCIFACT / "data" / "scifact.zip", "w") as packed:
        for name, text in SCIFACT.items():
            packed.writestr(f"{name}.csv", text)
    return folder


@pytest.fixture
def collections(mini_data, mirror):
    """The three collections with the digests of the tiny sources and of the outputs told above."""
    stacks, *others = mini_data.COLLECTIONS
    stacks = replace(stacks, convert=partial(stacks.convert, tests=1))
    return [
        replace(
            one,
            sources={path: sha256((mirror / path).read_bytes()) for path in one.sources if (mirror / path).exists()},
            outputs={name: sha256(joined(lines)) for name, lines in OUTPUTS[one.name].items()},
        )
        for one in (stacks, *others)
    ]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_from_a_mirror(mini_data, mirror, collections, tmp_path, capsys):
    """All files, each as told above, and nothing beside them; then the licences and the warning."""
    out = tmp_path / "out"
    assert mini_data.main([str(out), "--mirror", str(mirror)], collections) == 0
    made = {str(path.relative_to(out)): unpacked(path) for path in out.rglob("*") if path.is_file()}
    assert made == {f"{name}/{file}": joined(lines) for name, files in OUTPUTS.items() for file, lines in files.items()}
    printed = capsys.readouterr().out
    assert "scifact: wrote qrels/test.tsv, 2 lines" in printed
    assert "Free Documentation License 1.2" in printed and "MIT; AQuA" in printed and "ODC-By" in printed
    assert printed.endswith(mini_data.WARNING + "\n")


@pytest.mark.parametrize("name", OUTPUTS)
def test_conversion_alone(mini_data, mirror, collections, name):
    """What a conversion gives line by line, so that a difference is seen and not only a digest."""
    collection = next(one for one in collections if one.name == name)
    texts = {path.split("/", 3)[3]: (mirror / path).read_bytes() for path in collection.sources}
    assert collection.convert(texts) == OUTPUTS[name]


def test_goes_on_where_it_stopped(mini_data, mirror, collections, tmp_path, capsys):
    """Only what is absent, altered or cut short is written again; what is whole asks for no source."""
    out = tmp_path / "out"
    mini_data.main([str(out), "--mirror", str(mirror)], collections)
    corpus, queries, qrels = (
        out / "scifact" / name for name in ("corpus.jsonl.gz", "queries.test.jsonl", "qrels/test.tsv")
    )
    whole = corpus.read_bytes()
    corpus.write_bytes(whole[:-9])
    queries.write_text("{}\n")
    qrels.unlink()
    capsys.readouterr()
    mini_data.main([str(out), "--mirror", str(mirror)], collections)
    wrote = [line for line in capsys.readouterr().out.splitlines() if " wrote " in line]
    assert [line.split()[2].rstrip(",") for line in wrote] == [
        "corpus.jsonl.gz",
        "queries.test.jsonl",
        "qrels/test.tsv",
    ]
    assert corpus.read_bytes() == whole
    assert mini_data.main([str(out), "--mirror", str(tmp_path / "nowhere")], collections) == 0


def test_a_changed_source_is_refused(mini_data, mirror, tmp_path, capsys):
    """The tiny sources under the pinned digests: nothing is written, and the line tells file, digests and remedy."""
    assert mini_data.main([str(tmp_path / "out"), "--mirror", str(mirror)]) == 2
    error = capsys.readouterr().err
    assert f"{mini_data.STACKS}/COPYING: sha256 {sha256(b'Copy freely.' + bytes([10]))}, expected 4b2c8fc3" in error
    assert "get it again" in error
    assert not (tmp_path / "out").exists()


def test_an_absent_source_is_named(mini_data, tmp_path, capsys):
    assert mini_data.main([str(tmp_path / "out"), "--mirror", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{mini_data.STACKS}/COPYING: not there" in error
    assert f"copy https://raw.githubusercontent.com/{mini_data.STACKS}/COPYING there, or leave --mirror out" in error


def test_a_changed_conversion_writes_nothing(mini_data, mirror, collections, tmp_path, capsys):
    """An output that is not the pinned one never takes its place in the folder."""
    (math,) = [replace(one, outputs={"aqua_dev.jsonl": "0" * 64}) for one in collections if one.name == "math"]
    assert mini_data.main([str(tmp_path / "out"), "--mirror", str(mirror)], [math]) == 2
    assert f"aqua_dev.jsonl: sha256 {sha256(AQUA.encode())}, expected 000" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.jsonl"))


@pytest.fixture
def host(mini_data, mirror, monkeypatch):
    """A server of the tiny sources in GitHub's place: what it was asked for, and whether it answers."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=mirror)

        def do_GET(self):
            asked.append(self.path.strip("/"))
            super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(mini_data, "HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(mini_data, "WAIT", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield asked
    server.shutdown()
    server.server_close()


def test_downloads(mini_data, mirror, collections, host, tmp_path, capsys):
    """Sources come once and are kept; one cut short comes again; one that is not to be had is tried three times."""
    out = tmp_path / "out"
    (math,) = [one for one in collections if one.name == "math"]
    test, lost = f"{mini_data.AQUA}/test.json", mirror / f"{mini_data.AQUA}/dev.json"
    content = lost.read_bytes()
    lost.unlink()
    assert mini_data.main([str(out)], [math]) == 2
    assert "dev.json: no download in 3 tries (HTTP Error 404: File not found); see" in capsys.readouterr().err
    assert [path.rsplit("/", 1)[1] for path in host] == ["train.jsonl", "test.jsonl", *["dev.json"] * 3]

    host.clear()
    lost.write_bytes(content)
    kept = out / ".sources" / mini_data.GSM8K / "grade_school_math/data/test.jsonl"
    kept.write_bytes(kept.read_bytes()[:-9])
    assert mini_data.main([str(out)], [math]) == 0
    assert host == [f"{mini_data.GSM8K}/grade_school_math/data/test.jsonl", f"{mini_data.AQUA}/dev.json", test]
    assert unpacked(out / "math" / "gsm8k_train.jsonl.gz") == joined(MATH_OUTPUTS["gsm8k_train.jsonl.gz"])
    assert mini_data.main([str(tmp_path / "again"), "--mirror", str(out / ".sources")], [math]) == 0


def test_the_examples_in_docstrings(mini_data):
    for module in (mini_data, mini_data.stacks_theorems):
        done = doctest.testmod(module)
        assert done.attempted and not done.failed


def test_the_split_is_the_same_in_any_order(mini_data):
    """250 queries, whatever the order that they come in."""
    ids = [f"{number:04}" for number in range(1274)]
    held_out = mini_data.stacks_theorems.held_out
    assert held_out(reversed(ids), 250) == held_out(ids, 250)
    assert len(held_out(ids, 250)) == 250


@pytest.mark.parametrize(
    "tex, told", [("", "has no"), (r"\title{Sets}" + SETS[SETS.index(r"\begin{lemma}") :], "before")]
)
def test_a_chapter_of_another_shape_is_refused(mini_data, tex, told):
    tags = mini_data.stacks_theorems.read_tags(TAGS)
    with pytest.raises(ValueError, match=f"sets.tex.*{told}.*get the file again"):
        list(mini_data.stacks_theorems.statements("sets", tex, tags))


def test_the_digests_are_those_of_the_data(mini_data, shared):
    """The data that figures here were measured on has the content that the script makes."""
    for collection in mini_data.COLLECTIONS:
        folder = shared / "data" / collection.name
        assert {name: sha256(unpacked(folder / name)) for name in collection.outputs} == collection.outputs


def test_real_sources(tmp_path):
    """The true sources become the pinned outputs, checked by the script itself."""
    sources = os.environ.get("RADER_MINI_SOURCES")
    if not sources:
        pytest.skip("RADER_MINI_SOURCES names no mirror of the sources")
    command = [sys.executable, ROOT / "examples" / "mini_data.py", tmp_path, "--mirror", sources]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stacks_theorems: wrote corpus.jsonl.gz, 2,342 lines" in done.stdout
    first = json.loads((tmp_path / "stacks_theorems" / "queries.test.jsonl").read_text().split("\n")[0])
    assert first["query_id"] == "0039"
