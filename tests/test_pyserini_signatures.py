"""Our code against the recorded signatures of pyserini 2.4, and the record's tool against the release that is installed."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest

from rader_ir.pyserini import encode, search
from rader_ir.pyserini.encoders import RaDeRDocumentEncoder, RaDeRQueryEncoder
from rader_ir.pyserini.registration import document_encoder
from tests.record_pyserini_signatures import record

RECORD = json.loads(Path(__file__).with_name("pyserini_2_4_signatures.json").read_text())
FAISS, LUCENE = "search/faiss/_searcher.FaissSearcher", "search/lucene/_searcher.LuceneSearcher"
HNSW = "search/lucene/_hnsw_searcher.LuceneFlatDenseSearcher"
CALLS = [  # how our code, examples and README call Pyserini
    (f"{FAISS}.__init__", ("dir", "encoder"), {}),
    (f"{FAISS}.search", ("query", 10), {}),
    (f"{FAISS}.batch_search", (["query"], ["q1"], 10, 1), {}),
    (f"{LUCENE}.__init__", ("dir",), {}),
    (f"{LUCENE}.set_bm25", (0.9, 0.4), {}),
    (f"{LUCENE}.batch_search", (["query"], ["q1"], 10, 1), {"query_generator": None}),
    (f"{HNSW}.__init__", ("dir",), {}),
    (f"{HNSW}.search", ("[0.1, 0.2]", 10), {}),
    ("search/hybrid/_searcher.HybridSearcher.__init__", ("dense", "sparse"), {}),
    ("query_iterator.get_query_iterator", ("topics.tsv", "default"), {}),
    ("encode/_base.QueryEncoder.__init__", ("folder of encoded queries",), {}),
    ("encode/_auto.AutoQueryEncoder.__init__", ("checkpoint", None, "folder of encoded queries"), {}),
]


def signature(parameters: list[str]) -> inspect.Signature:
    """A signature from recorded parameters such as `k=10` and `**kwargs`."""
    found = []
    for written in parameters:
        name, equals, _ = written.partition("=")
        kind = inspect.Parameter.VAR_KEYWORD if name.startswith("**") else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = None if equals else inspect.Parameter.empty
        found.append(inspect.Parameter(name.lstrip("*"), kind, default=default))
    return inspect.Signature(found)


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS, ids=[name for name, *_ in CALLS])
def test_our_calls_fit_2_4(name, args, kwargs):
    recorded = signature(RECORD["signatures"][name])
    bound = recorded.bind(*(["self"] if "self" in recorded.parameters else []), *args, **kwargs)
    assert kwargs.keys() <= bound.arguments.keys()  # none of them vanishes in a **kwargs


def test_what_2_4_hands_over_fits_our_encoders():
    """Every keyword of Pyserini's mains reaches a parameter of ours, or the guesses that are dropped by name."""
    constructor, encoding = {"model_name", "device"}, {"texts", "titles", "fp16", "max_length", "add_sep"}
    handed = {*RECORD["passed"]["encode/__main__"], "titles"}
    assert {"texts", "fp16", "max_length", "add_sep"} <= handed
    inspect.signature(document_encoder).bind(**dict.fromkeys(handed - encoding))
    inspect.signature(RaDeRDocumentEncoder.encode).bind("self", **dict.fromkeys(encoding))
    guesses = {"pooling", "l2_norm", "prefix", "multimodal", "explicit_truncate"}
    assert handed == constructor | encoding | guesses
    always = {"encoder_dir", "tokenizer_name", "device", "prefix", "fp16"}
    assert always <= set(RECORD["passed"]["search/faiss/__main__"])
    inspect.signature(RaDeRQueryEncoder).bind(**dict.fromkeys(always))


def test_our_classes_take_what_stock_classes_take_by_position():
    stock = signature(RECORD["signatures"]["encode/_auto.AutoQueryEncoder.__init__"])
    ours = list(inspect.signature(RaDeRQueryEncoder).parameters)
    theirs = list(stock.parameters)[1:]
    assert ours[:2] == theirs[:2] == ["encoder_dir", "tokenizer_name"]
    assert theirs[2].startswith("encoded_quer") and ours[2].startswith("encoded_quer")
    assert ours[3] == theirs[3] == "device"


def test_the_flags_that_we_hand_on_exist_in_2_4():
    parts = {"": [], "input": ["--corpus", "x"], "output": ["--embeddings", "y"], "encoder": ["--encoder", "z"]}
    args, _ = encode.sections.parse(encode.parsers(), parts)
    args.max_length = 8
    handed = [word for word in encode.completed(args, parts, 4) if word.startswith("--")]
    assert set(handed) <= set(RECORD["options"]["encode/__main__"])
    needed = ["--index", "i", "--topics", "t", "--output", "o", "--encoder", "e", "--device", "cpu", "--fp16"]
    checked = ["--tokenizer", "e", "--query-prefix", "p", "--pooling", "last", "--l2-norm", "--max-length", "8"]
    args, rest = search.parse([*needed, *checked, "--prf-depth", "3"])
    assert rest == ["--prf-depth", "3"]
    handed = [word for word in [*rest, *search.stock_flags(args, ours=True)] if word.startswith("--")]
    assert {*handed, "--hits", "--output"} <= set(RECORD["options"]["search/faiss/__main__"])


def test_encoder_class_has_fixed_choices_in_2_4():
    """Why one more choice must be added, under the name of the option that we extend."""
    for main in ("encode/__main__", "search/faiss/__main__"):
        assert "auto" in RECORD["options"][main]["--encoder-class"]
        assert "rader" not in RECORD["options"][main]["--encoder-class"]


def test_the_installed_release_differs_only_where_we_pass_by_position():
    spec = importlib.util.find_spec("pyserini")
    if spec is None:
        pytest.skip("pyserini is not installed")
    installed = record(Path(spec.submodule_search_locations[0]))
    renamed = {"encoded_query_dir=None": "encoded_queries_dir=None"}  # between 1.6 and 2.4
    for name, parameters in installed["signatures"].items():
        assert [renamed.get(word, word) for word in parameters] == [
            renamed.get(word, word) for word in RECORD["signatures"][name]
        ]
    for part in ("names", "options", "passed"):
        assert installed[part] == RECORD[part]
