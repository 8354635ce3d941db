"""What the files of a checkpoint folder say about its text path, read without loading a model.

Three kinds of folder are understood: ours (`rader_config.json`), sentence-transformers' (`modules.json` and what it names),
and plain transformers' (`config.json`, or `adapter_config.json` for a LoRA adapter).
"""

import json
from pathlib import Path

CONFIG_FILE = "rader_config.json"

# model_type of architectures that attend both ways; every other one is taken for a causal decoder
BIDIRECTIONAL = frozenset(
    {
        *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert", "longformer"),
        *("modernbert", "mpnet", "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl"),
    }
)
_DEFAULT_LENGTH = {"decoder": 3900, "encoder": 512}

# How texts are written for a model. `rader` is what the published figures were made with; `tevatron` is what the training
# code really produced from the published rows (their queries begin with "Query: " already, their titles are empty).
FORMS = {
    "rader": {
        "query_form": "query: {instruction}{text}",
        "doc_form": "document: {text}",
        "pair_form": "query: {instruction}{query} document: {document}",
    },
    "tevatron": {
        "query_form": "Query: Query: {instruction}{text}",
        "doc_form": "Passage:  {text}",
        "pair_form": "query: Query: {instruction}{query} document:  {document} ",
    },
    "plain": {"query_form": "{instruction}{text}", "doc_form": "{text}", "pair_form": None},
}


def read_json(path: Path, kind: type = dict):
    """The object (or, for `kind` list, the array) in a JSON file.

    Raises:
        ValueError: not JSON, or of another kind; the file is named.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); the checkpoint may be half-written") from error
    if not isinstance(value, kind):
        raise ValueError(
            f"{path} holds a {type(value).__name__}, not a {kind.__name__}; the checkpoint may be half-written"
        )
    return value


def facts_of_folder(folder: Path) -> dict:
    """Fields of `Checkpoint` that the files in `folder` tell.

    Raises:
        ValueError: the folder holds no model, or a file in it is broken.
    """
    if (folder / CONFIG_FILE).is_file():
        return read_json(folder / CONFIG_FILE)
    if (folder / "adapter_config.json").is_file():
        return _adapter_facts(folder)
    if not (folder / "config.json").is_file():
        held = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise ValueError(
            f"{folder} is no checkpoint: it has neither config.json nor adapter_config.json (it holds {held})"
        )
    facts = _architecture_facts(folder)
    if (folder / "modules.json").is_file():
        facts.update(_sentence_transformers_facts(folder))
    return facts


def _adapter_facts(folder: Path) -> dict:
    config = read_json(folder / "adapter_config.json")
    head = "score" if config.get("task_type") == "SEQ_CLS" else "vector"
    return {"base": config.get("base_model_name_or_path"), "base_revision": config.get("revision"), "head": head}


def _architecture_facts(folder: Path) -> dict:
    config = read_json(folder / "config.json")
    classifier = any("SequenceClassification" in name for name in config.get("architectures") or ())
    facts = {"head": "score" if classifier else "vector"}
    encoder = config.get("model_type") in BIDIRECTIONAL
    length = min(_DEFAULT_LENGTH["encoder" if encoder else "decoder"], config.get("max_position_embeddings") or 10**9)
    facts.update(max_query_length=length, max_doc_length=length)
    if encoder:
        facts.update(FORMS["plain"], pooling="mean", eos="tokenizer", causal=False)
    return facts


def _sentence_transformers_facts(folder: Path) -> dict:
    try:
        modules = [(module["type"], module["path"]) for module in read_json(folder / "modules.json", list)]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder}/modules.json lacks {error} of a module; the checkpoint may be half-written"
        ) from error
    kinds = {name.rsplit(".", 1)[-1]: folder / path for name, path in modules}
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize", "Router"})
    if unknown:
        raise ValueError(f"{folder}/modules.json has modules that are not supported: {', '.join(unknown)}")
    facts = {"normalise": "Normalize" in kinds, "eos": "tokenizer"}
    if "Pooling" in kinds:
        facts["pooling"] = _pooling(kinds["Pooling"] / "config.json")
    prompts = {}
    if (folder / "config_sentence_transformers.json").is_file():
        prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    facts["query_form"] = prompts.get("query", "") + "{instruction}{text}"
    facts["doc_form"] = (prompts.get("document") or prompts.get("passage") or "") + "{text}"
    if (folder / "sentence_bert_config.json").is_file():
        length = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        if length:
            facts.update(max_query_length=length, max_doc_length=length)
    return facts


def _pooling(path: Path) -> str:
    """Pooling of a sentence-transformers module: `pooling_mode` since version 6, one flag per mode before."""
    config = read_json(path)
    mode = config.get("pooling_mode") or next(
        (key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on), ""
    )
    names = {"lasttoken": "last", "mean": "mean", "mean_tokens": "mean", "cls": "first", "cls_token": "first"}
    if mode not in names:
        raise ValueError(f"{path}: pooling {mode!r} is not supported; supported are {', '.join(sorted(names))}")
    return names[mode]
