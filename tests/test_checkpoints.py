"""Checkpoints are data: names, folders and hub ids become text paths without a network and without torch."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import rader_ir
from rader_ir.checkpoint_folders import FORMS
from rader_ir.checkpoints import (
    CHECKPOINTS,
    DEFAULT_RERANKER,
    DEFAULT_RETRIEVER,
    MINI_RERANKER,
    MINI_RETRIEVER,
    Checkpoint,
    find_checkpoint,
    read_folder,
    write_config,
)

PUBLISHED = [
    "RaDeR_Qwen25_3B_NuminaMath_MATH_allquerytypes",
    "RaDeR_Qwen25-7B_NuminaMath_MATH_allquerytypes",
    "RaDeR_Qwen25-14B_NuminaMath_MATH_allquerytypes",
    "RaDeR_Qwen_25_7B_instruct_MATH_LLMq_CoT_lexical",
    "RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical",
    "lora_RaDeR_Qwen25-7B_instruct_MATH_LLMq_CoT_lexical",
    "lora_RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical",
    "reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes",
    "RaDeR_reranker_Qwen2-7B-instruct_MATH_qCoT_LLMquery_lexicalquery",
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_with_and_without_organisation(name):
    found = find_checkpoint(name)
    assert found == find_checkpoint(f"Raderspace/{name}")
    assert found.weights == f"Raderspace/{name}" and found.revision == "main"
    assert (found.head == "score") == ("reranker" in name)
    assert (found.base is not None) == name.startswith(("lora_", "reranker_", "RaDeR_reranker_"))
    assert (found.pooling, found.eos, found.causal, found.normalise) == ("last", "append", True, True)
    assert found.query_form == "query: {instruction}{text}" and found.doc_form == "document: {text}"
    assert found.pair_form == "query: {instruction}{query} document: {document}"


def test_the_defaults_are_the_published_7b_ones():
    assert DEFAULT_RETRIEVER == "RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical"
    assert DEFAULT_RERANKER == "reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes"
    assert {DEFAULT_RETRIEVER, DEFAULT_RERANKER} < set(CHECKPOINTS)


def test_minilm_is_plain():
    found = find_checkpoint("minilm")
    assert (found.pooling, found.eos, found.causal, found.max_doc_length) == ("mean", "tokenizer", False, 256)
    assert found.doc_form == "{text}"


@pytest.mark.parametrize("name", [MINI_RETRIEVER, MINI_RERANKER])
def test_the_row_of_a_shipped_adapter_says_what_its_folder_says(name):
    found = find_checkpoint(name)
    folder = Path(found.weights)
    assert folder.is_dir() and folder.is_relative_to(Path(rader_ir.__file__).parent)
    own = read_folder(folder)
    assert replace(own, name=found.name, weights=found.weights, settled=True) == found
    from rader_ir.train.mini import RECIPES

    card = json.loads((folder / "training" / "run_card.json").read_text())
    assert card["options"] == {**RECIPES[name].told(), "checkpoint": found.base}


def test_forms_and_revision_in_place_of_its_own():
    found = find_checkpoint(DEFAULT_RETRIEVER, forms="tevatron", revision="abc")
    assert found.query_form == "Query: Query: {instruction}{text}"
    assert found.doc_form == "Passage:  {text}"
    assert found.revision == "abc"
    with pytest.raises(ValueError, match="forms 'other' are unknown; choose 'rader', 'tevatron', 'plain'"):
        find_checkpoint("minilm", forms="other")


def test_hub_ids_settle_later():
    found = find_checkpoint("organisation/model")
    assert not found.settled and found.weights == "organisation/model"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nonsense", ValueError, "'nonsense' is unknown.*minilm"),
        ("./nowhere", FileNotFoundError, "no checkpoint folder './nowhere'"),
        ("/tmp/nowhere/at/all", FileNotFoundError, "give a folder that exists"),
    ],
)
def test_unknown_names(name, error, words):
    with pytest.raises(error, match=words):
        find_checkpoint(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pooling": "eos"}, "pooling 'eos' is unknown; choose 'last', 'mean', 'first'"),
        ({"head": "rank"}, "head 'rank' is unknown"),
        ({"eos": "never"}, "eos 'never' is unknown"),
        ({"doc_form": "document: "}, "doc_form 'document: ' lacks {text}"),
        ({"pair_form": "q: {query}"}, "lacks {document}"),
        ({"max_doc_length": 0}, "max_doc_length is 0; give a whole number of tokens, 4 or more"),
        ({"max_query_length": 8.5}, "max_query_length is 8.5; give a whole number"),
        ({"normalise": "false"}, "normalise is 'false'; give true or false"),
        ({"causal": None}, "causal is None; give true or false"),
        ({"doc_form": None}, "doc_form is None; give a text such as"),
        ({"query_form": 3}, "query_form is 3; give a text such as"),
        ({"pair_form": "d: {document} q: {query}"}, "has fields after {document}; the document.*must come last"),
        ({"pair_form": None, "head": "score"}, "pair_form is None, and a tokenizer without pairs of its own"),
    ],
)
def test_refuses_what_it_does_not_know(change, words):
    with pytest.raises(ValueError, match=words.replace("{", r"\{")):
        Checkpoint("x", "y", **change)


def test_folders_of_decoders_get_raders_text_path(tiny_qwen2, tiny_qwen2_reranker):
    found = read_folder(tiny_qwen2)
    assert found.weights == str(tiny_qwen2) and found.head == "vector"
    assert (found.pooling, found.eos, found.causal) == ("last", "append", True)
    assert found.doc_form == FORMS["rader"]["doc_form"]
    assert found.max_doc_length == 512  # the model has no more positions
    assert read_folder(tiny_qwen2_reranker).head == "score"


def test_folders_of_berts_get_mean_pooling(tiny_bert):
    found = read_folder(tiny_bert)
    assert (found.pooling, found.eos, found.causal, found.doc_form) == ("mean", "tokenizer", False, "{text}")


def test_folders_of_sentence_transformers_keep_their_own(tiny_bert, tmp_path):
    folder = _sentence_transformers_folder(tiny_bert, tmp_path, {"pooling_mode_cls_token": True})
    found = read_folder(folder)
    assert found.pooling == "first" and not found.normalise
    assert found.query_form == "ask: {instruction}{text}" and found.doc_form == "{text}"
    assert found.max_query_length == 99
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "max"}')
    with pytest.raises(ValueError, match="pooling 'max' is not supported"):
        read_folder(folder)
    for broken, words in (
        ('[{"idx": 0', "not valid JSON"),
        ("{}", "holds a dict, not a list"),
        ('[{"x": 1}]', "lacks 'type'"),
    ):
        (folder / "modules.json").write_text(broken)
        with pytest.raises(ValueError, match=rf"modules.json.*{words}"):
            read_folder(folder)


def _sentence_transformers_folder(source, folder, pooling):
    (folder / "config.json").write_text((source / "config.json").read_text())
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "ask: "}}))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 99}')
    return folder


def test_rader_config_decides_and_survives_the_round(tiny_qwen2, tmp_path):
    (tmp_path / "config.json").write_text((tiny_qwen2 / "config.json").read_text())
    written = Checkpoint("mine", "here", pooling="mean", doc_form="d: {text}", max_doc_length=77, causal=False)
    write_config(tmp_path, written)
    found = read_folder(tmp_path)
    assert found == replace(written, name=str(tmp_path), weights=str(tmp_path))
    assert read_folder(tmp_path, find_checkpoint("organisation/model")).name == "organisation/model"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rader_config.json", '{"pooling": "las', "is not valid JSON.*half-written"),
        ("rader_config.json", "[1]", "holds a list, not a dict"),
        ("rader_config.json", '{"doc_form": null}', "doc_form is None; give a text"),
        ("rader_config.json", '{"poling": "last"}', "fields that are unknown: poling"),
        ("notes.txt", "hello", "is no checkpoint: it has neither config.json.*it holds notes.txt"),
    ],
)
def test_broken_folders(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        read_folder(tmp_path)


def test_an_adapter_whose_files_name_two_bases_is_refused(tmp_path):
    """A known name and its weights are one base, and so are a folder beside the files and its whole path."""

    def write(ours, theirs):
        write_config(tmp_path, Checkpoint("mine", "here", base=ours))
        (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": theirs}))

    (tmp_path / "base").mkdir()
    for ours, theirs in (
        ("minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("base", str(tmp_path / "base")),
        ("a/b", "a/b"),
        ("a/b", None),
    ):
        write(ours, theirs)
        assert read_folder(tmp_path).base == ours
    write("minilm", "a/b")
    with pytest.raises(ValueError, match=r"adapter_config.json names the base 'a/b' and rader_config.json .*'minilm'"):
        read_folder(tmp_path)


def test_finding_imports_no_torch():
    code = (
        "import sys; from rader_ir import find_checkpoint; find_checkpoint('minilm'); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_relative_folder_is_recorded_by_its_whole_path(tiny_qwen2, monkeypatch):
    monkeypatch.chdir(tiny_qwen2.parent)
    found = find_checkpoint(f"./{tiny_qwen2.name}")
    assert found.name == found.weights == str(tiny_qwen2)


def test_descriptions_are_json():
    assert json.loads(json.dumps(asdict(find_checkpoint("minilm"))))["name"] == "minilm"
