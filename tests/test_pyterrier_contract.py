"""What PyTerrier expects of a plugin, point by point, held for every transformer of the package.

Inspection, compiling with `% k`, equality and repr from the configuration, PyTerrier's own test class, pickling, artifacts and
their entry point; and that none of it loads a model library, in a process of its own.
"""

import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

import pyterrier_rader  # noqa: E402
from pyterrier_rader import (  # noqa: E402
    Bm25Index,
    Bm25Retriever,
    CachedScores,
    DeARListwiseReranker,
    DeARReranker,
    ExcludeDocuments,
    ICRReranker,
    IDCMReranker,
    LLMRatingReranker,
    ProRankLMReranker,
    ProRankReranker,
    RaDeREncoder,
    RaDeRFusion,
    RaDeRIndex,
    RaDeRReranker,
    RaDeRRetriever,
    RankGPTReranker,
    RankR1Reranker,
    ReasoningQuery,
    ReciprocalRankFusion,
    SafeQueries,
)
from pyterrier_rader.artifacts import Writer  # noqa: E402
from pyterrier_rader.indexes import VectorLoader  # noqa: E402
from tests import pyterrier_cases as cases  # noqa: E402
from tests.pyterrier_cases import CASES, documents, results, topics  # noqa: E402
from tests.toys import WordEncoder, WordOverlap  # noqa: E402

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())

# PyTerrier's own tests (inspection of inputs and outputs, schematic), offline, once for every case
for _number, _case in enumerate(CASES.values()):
    globals()[f"TestByPyTerrier{_number}"] = pt.testing.transformer_test_class(_case.make)

# Made of settings alone, so that `repr` must rebuild them
CONFIGURED = [
    RaDeREncoder(),
    RaDeREncoder("minilm", task="biology", passage_length=64, device="cpu", dtype="float32"),
    RaDeREncoder("minilm", text_field="body", instruction="Find it: ").query_encoder(),
    RaDeREncoder("minilm").doc_encoder(),
    RaDeREncoder("minilm", passage_length=64, passage_stride=32).text_scorer(num_results=5),
    RaDeRReranker(),
    RaDeRReranker("minilm", query_field="query_0", num_results=7, max_length=512),
    RaDeRFusion("dense", "sparse", alpha=0.8, normalise="minmax", over="all", missing="drop", depth=10),
    RaDeRFusion(RaDeRReranker(), SafeQueries()),
    ReciprocalRankFusion(RaDeRReranker(), SafeQueries(), k=10),
    ExcludeDocuments({"q1": ["d1", "d2"]}),
    SafeQueries(),
    Bm25Index("somewhere", variant="bright", k1=1.2),
    Bm25Retriever("somewhere", num_results=10, excluded={"q1": ["d1"]}),
    RaDeRIndex("somewhere", RaDeREncoder("minilm")),
    RaDeRRetriever("somewhere", RaDeREncoder("minilm"), kind="hnsw", check=False),
    RaDeRIndex("somewhere").vec_loader(),
    Bm25Index("somewhere").indexer(mode="overwrite"),
    CachedScores(RaDeRReranker(), "scores"),
    IDCMReranker("somewhere", strong="minilm", passages=2, missing="mean", snippets=False, num_results=9),
    RankR1Reranker("http://127.0.0.1:9/v1", lm_model="r1", children=9, passage_words=400),
    RankGPTReranker("local:somewhere", method="setwise", top=5, num_results=5),
    DeARReranker("local:somewhere", padding="max_length", shuffle=True, query_words=9, num_results=7),
    DeARReranker(stage="pointwise", dtype="bfloat16"),
    DeARListwiseReranker("vllm:somewhere", first=20, cache="replies", details=True),
    LLMRatingReranker("local:somewhere", method="expected", task="pony", plain=True),
    ReasoningQuery("http://127.0.0.1:9/v1", lm_model="instruct", expand=True, cache="replies"),
    ReasoningQuery("local:somewhere", max_tokens=512, temperature=0.7, seed=3, timeout=900.0),
    ProRankLMReranker("vllm:somewhere", instruction="find", passage_words=300, num_results=5),
    ProRankReranker("organisation/judge", prompt=None, instruction="find", max_length=900),
    ICRReranker(),
    ICRReranker("organisation/instruct", method="qa", layers=(8, 12), window=20, num_results=5),
    ICRReranker("organisation/instruct", heads=((3, 1), (4, 0)), calibrated=False, dtype="bfloat16"),
]
configured = pytest.mark.parametrize("transformer", CONFIGURED, ids=[type(t).__name__ for t in CONFIGURED])


NAMES = {name: getattr(pyterrier_rader, name) for name in pyterrier_rader.__all__}


@configured
def test_repr_rebuilds_and_equality_and_hash_follow(transformer):
    rebuilt = eval(repr(transformer), NAMES | {"VectorLoader": VectorLoader, "Writer": Writer})
    assert rebuilt is not transformer
    assert (rebuilt, hash(rebuilt), repr(rebuilt)) == (transformer, hash(transformer), repr(transformer))
    assert "0x" not in repr(transformer)


def test_any_other_setting_makes_another_transformer():
    variants = [
        *CONFIGURED,
        RaDeREncoder(dtype="bfloat16"),
        RaDeREncoder(max_doc_length=512),
        RaDeREncoder(revision="v2"),
    ]
    assert len(set(variants)) == len(variants)
    assert all(one != other for i, one in enumerate(variants) for other in variants[:i])
    assert RaDeREncoder("minilm") != "minilm"


@configured
def test_attributes_are_the_constructors_arguments(transformer):
    again = pt.inspect.transformer_apply_attributes(transformer)
    assert again is not transformer
    assert again == transformer


def test_str_is_short_where_a_table_shows_it():
    excluded = {f"q{i}": [f"d{j}" for j in range(50)] for i in range(100)}
    assert len(str(ExcludeDocuments(excluded))) < 200 < len(repr(ExcludeDocuments(excluded)))


@every_case
def test_pickled_it_gives_the_same(case):
    transformer = case.make()
    transformer(case.frame())  # what it opened stays here
    again = pickle.loads(pickle.dumps(transformer))
    frame = case.frame()
    drop = ["query_vec", "doc_vec"]
    one, other = (t(frame).drop(columns=drop, errors="ignore") for t in (transformer, again))
    pd.testing.assert_frame_equal(one, other)


def columns(transformer, *given: str) -> list[str]:
    return pt.inspect.transformer_outputs(transformer, list(given))


def test_inspection_tells_the_columns():
    encoder, reranker = RaDeREncoder(), RaDeRReranker()
    assert pt.inspect.transformer_inputs(encoder)[:3] == [
        ["qid", "query"],
        ["docno", "text"],
        ["qid", "docno", "query", "text"],
    ]
    assert columns(encoder, "qid", "query") == ["qid", "query", "query_vec"]
    assert columns(encoder, "docno", "text") == ["docno", "text", "doc_vec"]
    assert columns(encoder, "qid", "query", "docno", "text") == ["qid", "query", "docno", "text", "score", "rank"]
    assert pt.inspect.transformer_inputs(reranker) == [["qid", "docno", "query", "text"]]
    ranked = ["qid", "query", "docno", "text", "score", "rank"]
    assert columns(reranker, *ranked) == ranked
    assert columns(RaDeRReranker(query_field="question", text_field="body"), "qid", "question", "docno", "body")[
        -2:
    ] == [
        "score",
        "rank",
    ]
    assert columns(RaDeRRetriever("nowhere"), "qid", "query") == ["qid", "query", "docno", "score", "rank"]
    assert columns(Bm25Retriever("nowhere"), "qid", "query") == ["qid", "query", "docno", "score", "rank"]
    assert columns(SafeQueries(), "qid", "query") == ["qid", "query_0", "query"]
    assert columns(ReasoningQuery("local:nowhere"), "qid", "query") == ["qid", "query_0", "query", "qreasoning"]
    assert pt.inspect.transformer_inputs(RaDeRFusion("a", "b")) == [["qid", "docno", "a", "b"]]
    hybrid = RaDeRFusion(encoder >> RaDeRRetriever("nowhere"), Bm25Retriever("nowhere"))
    assert ["qid", "query"] in pt.inspect.transformer_inputs(hybrid)
    assert columns(hybrid, "qid", "query") == ["qid", "query", "query_vec", "docno", "score", "rank"]
    assert pt.inspect.indexer_inputs(RaDeRIndex("nowhere")) == [["docno", "doc_vec"]]
    assert pt.inspect.indexer_inputs(Bm25Index("nowhere", text_field="body").indexer()) == [["docno", "body"]]


def test_a_missing_column_is_named():
    with pytest.raises(pt.validate.InputValidationError) as error:
        RaDeRReranker()(results().drop(columns="text"))
    assert [mode.missing_columns for mode in error.value.modes] == [["text"]]
    with pytest.raises(pt.validate.InputValidationError):
        Bm25Retriever("nowhere")(results())  # a retriever takes no results


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if hasattr(case.make(), "num_results")])
def test_a_cutoff_fuses_and_gives_what_the_cutoff_gives(name):
    case = CASES[name]
    transformer = case.make()
    fused = (transformer % 2).compile()
    assert type(fused) is type(transformer)
    assert fused.num_results == 2
    assert transformer.num_results in (None, 1000)
    drop = ["query_vec"]
    cut = (transformer % 2)(case.frame()).drop(columns=drop, errors="ignore")
    pd.testing.assert_frame_equal(fused(case.frame()).drop(columns=drop, errors="ignore"), cut)
    assert fused.fuse_rank_cutoff(5) is fused
    assert fused.fuse_rank_cutoff(1).num_results == 1


def test_a_cutoff_goes_before_what_keeps_rows():
    for keeps in (
        RaDeREncoder().query_encoder(),
        RaDeREncoder().doc_encoder(),
        SafeQueries(),
        ReasoningQuery("local:nowhere"),
        RaDeRIndex("x").vec_loader(),
    ):
        compiled = (RaDeRReranker() >> keeps % 3).compile()
        assert list(compiled) == [RaDeRReranker(num_results=3), keeps]


def test_a_cutoff_fuses_into_the_retriever_before_a_text_loader():
    pipeline = Bm25Retriever("nowhere") >> pyterrier_rader.TextLoader({}) % 20 >> RaDeRReranker()
    assert pipeline.compile()[0].num_results == 20


def test_the_engine_is_one_for_all_copies():
    scorer = WordOverlap()
    assert ((RaDeRReranker(scorer) % 2).compile()).checkpoint is scorer
    assert RaDeREncoder("minilm").model() is RaDeREncoder("minilm").text_scorer(num_results=3).encoder.model()
    assert RaDeREncoder("minilm").model() is not RaDeREncoder("minilm", max_doc_length=64).model()
    assert RaDeREncoder("minilm", task="pony").model() is RaDeREncoder("minilm", text_field="body").model()


def test_compiling_a_fusion_compiles_its_systems():
    fusion = RaDeRFusion(RaDeRReranker() % 5, SafeQueries() >> RaDeRReranker() % 4)
    compiled = fusion.compile()
    assert compiled.first.num_results == 5
    assert compiled.second[-1].num_results == 4


def test_parts_show_no_inner_pipelines():
    for part in (RaDeREncoder().query_encoder(), RaDeREncoder().text_scorer(), RaDeRIndex("x").retriever()):
        assert pt.inspect.subtransformers(part) == {}
    assert set(pt.inspect.subtransformers(RaDeRFusion(RaDeRReranker(), SafeQueries()))) == {"first", "second"}
    assert pt.inspect.subtransformers(CachedScores(RaDeRReranker(), "scores")) == {"scorer": RaDeRReranker()}


def test_an_indexing_pipeline_hands_over_as_many_documents_as_the_encoder_says(tmp_path):
    class Counting(WordEncoder):
        sizes: list = []  # noqa: RUF012

        def encode_docs(self, texts):
            self.sizes.append(len(texts))
            return super().encode_docs(texts)

    docs = [{"docno": f"d{i}", "text": f"text {i}"} for i in range(500)]
    (RaDeREncoder(Counting(), batch_size=300) >> RaDeRIndex(tmp_path / "index")).index(docs)
    assert Counting.sizes == [300, 200]


def test_an_experiment_shares_prefixes_and_validates():
    """The reranker behind an equal first stage is asked once per pair, though two systems use it."""
    scorer = WordOverlap()
    first = cases.bm25_index().retriever() >> pyterrier_rader.TextLoader(cases.TEXTS)
    reranked = first >> RaDeRReranker(scorer)
    systems = {
        "two": reranked % 2,
        "all": first >> RaDeRReranker(scorer),
        "hybrid": first >> RaDeRFusion(RaDeRReranker(scorer), pt.Transformer.identity()),
    }
    qrels = pd.DataFrame([("q1", "d1", 1), ("q2", "d2", 1)], columns=["qid", "docno", "label"])
    table = pt.Experiment(
        list(systems.values()),
        topics(),
        qrels,
        ["ndcg_cut_10", "mrt"],
        names=list(systems),
        plan="tree",
        validate="error",
    )
    assert table.set_index("name").loc["all", "ndcg_cut_10"] == 1.0
    pairs = sum(len(first(topics()[topics()["qid"] == qid])) for qid in topics()["qid"])
    assert len(scorer.pairs) == 2 * pairs  # once for "two" and "all" together, once inside the fusion


def test_verbose_is_off_unless_asked_for(capfd):
    assert not RaDeREncoder().verbose
    assert not RaDeRReranker().verbose
    for case in CASES.values():
        case.make()(case.frame())
    assert capfd.readouterr() == ("", "")


def test_artifacts_say_what_they_are_and_load_by_their_entry_point(tmp_path):
    index = (RaDeREncoder(WordEncoder()) >> RaDeRIndex(tmp_path / "dense")).index(documents().to_dict("records"))
    assert pt.inspect.artifact_type_format(index) == ("dense_index", "rader")
    meta = json.loads((tmp_path / "dense" / "pt_meta.json").read_text())
    assert meta == {"type": "dense_index", "format": "rader", "package_hint": "rader-ir"}
    points = {point.name: point.value for point in importlib.metadata.entry_points(group="pyterrier.artifact")}
    assert points["dense_index.rader"] == "pyterrier_rader:RaDeRIndex"
    loaded = pt.Artifact.load(str(tmp_path / "dense"))
    assert type(loaded) is RaDeRIndex
    assert len(loaded) == len(documents())
    bm25 = Bm25Index(tmp_path / "bm25").index(documents().to_dict("records"))
    assert json.loads((tmp_path / "bm25" / "pt_meta.json").read_text())["format"] == "rader_bm25"
    assert Bm25Index.load(str(tmp_path / "bm25")).retriever()(topics()).equals(bm25.retriever()(topics()))


LAZY = """
import sys
import pandas as pd
import pyterrier as pt
from pyterrier_rader import *
encoder, reranker = RaDeREncoder(task="biology"), RaDeRReranker(passage_length=128)
judge = RankR1Reranker("local:nowhere", details=True) >> LLMRatingReranker("vllm:nowhere", num_results=3)
judge = judge >> DeARReranker("local:nowhere") >> DeARListwiseReranker("vllm:nowhere") >> RankGPTReranker("local:nowhere")
judge = judge >> ProRankLMReranker("vllm:nowhere") >> ICRReranker("organisation/nowhere", layers=[3, 5], num_results=3)
reason = ReasoningQuery("vllm:nowhere", cache="replies") >> SafeQueries()
long = IDCMReranker("nowhere") >> IDCMReranker("nowhere", snippets=False)
dense, bm25 = encoder >> RaDeRIndex("nowhere").retriever(), Bm25Retriever("nowhere")
pipeline = RaDeRFusion(dense, SafeQueries() >> bm25) % 100 >> TextLoader({}) >> CachedScores(reranker, "nowhere") % 10
fused = ReciprocalRankFusion(dense, bm25)
for whole in (pipeline.compile(), fused, encoder, encoder.text_scorer(), reranker, judge, long, reason):
    repr(whole), str(whole), hash(whole), whole == whole
    pt.schematic.draw(whole)
    for columns in pt.inspect.transformer_inputs(whole):
        outputs = pt.inspect.transformer_outputs(whole, columns)
        assert list(whole(pd.DataFrame(columns=columns)).columns) == outputs
repr(pipeline), hash(pipeline), pt.inspect.transformer_inputs(pipeline)
heavy = {"torch", "transformers", "faiss", "bm25s", "sentence_transformers", "pyterrier_dr"} & set(sys.modules)
assert not heavy, heavy
"""


def test_nothing_is_loaded_before_the_first_row(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", LAZY]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
