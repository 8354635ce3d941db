"""The readable card of a checkpoint (README.md), in the hub's form, written from the run's card.

It says how to use the checkpoint in every door, what it was made of, and what it reached on the development set; nothing in it
is a promise about other data.
"""

from collections.abc import Mapping

from rader_ir.prompts import fill
from rader_ir.train.remarks import after

README = "README.md"


def readme(card: Mapping) -> str:
    """The text of README.md: YAML for the hub, then Markdown.

    Args:
        card: as `rader_ir.train.card.run_card` made it.
    """
    retriever = card["kind"] == "retriever"
    base, about = card["base"], card.get("about", {})
    command = about.get("command", f"rader train {card['kind']}")
    library, task = ("sentence-transformers", "sentence-similarity") if retriever else ("transformers", "text-ranking")
    lines = [
        "---",
        f"library_name: {library}",
        f"pipeline_tag: {task}",
        *([f"base_model: {base['origin']}"] if base["on_hub"] else []),
        "tags:",
        *(f"- {tag}" for tag in ("rader-ir", "retrieval", "reasoning", card["kind"])),
        "---",
        "",
        f"# A {card['kind']} trained with rader-ir",
        "",
        f"Trained from {_start(base)} by `{command}`"
        f" ([RaDeR](https://arxiv.org/abs/2505.18405)) on {card['data']['train']['examples']} examples.",
        "",
        *_sources(about),
        "## Use",
        "",
        *{"retriever": _retriever_use, "idcm": _idcm_use}.get(card["kind"], _reranker_use)(card),
        "",
        "## Text path",
        "",
        *(f"- {name}: `{value}`" for name, value in card["text_path"].items() if value is not None),
        "",
        "## Figures",
        "",
        *_figures(card["figures"]),
        "",
        *(f"{remark[0].upper()}{remark[1:]}." for remark in after(card)),
        *_chosen(card),
        "",
        "## Options, data, versions",
        "",
        "Everything is in `training/run_card.json`, the log in `training/log.jsonl`, the curve in `training/curve.png`.",
        "",
        *(f"- {name}: {value}" for name, value in _options(card).items() if value is not None),
        *(f"- data, {name}: {_told(facts)}" for name, facts in card["data"].items() if any(facts.values())),
        *(f"- {name} {version}" for name, version in card["versions"].items()),
    ]
    return "\n".join(lines) + "\n"


def _start(base: Mapping) -> str:
    over = f"`{base['name']}`, an adapter over " if base.get("adapter") else ""
    return f"{over}`{base['origin']}`"


def _options(card: Mapping) -> Mapping:
    """The run's, where the layers that were adapted stand in place of those that were asked for."""
    found = card.get("adapted_layers")
    return card["options"] if found is None else {**card["options"], "lora_targets": found}


def _chosen(card: Mapping) -> list[str]:
    if card["options"]["measure"] not in card["figures"]:
        return []
    return ["The development set chose the weights, so its figure flatters them a little; measure on data of your own."]


def _retriever_use(card: Mapping) -> list[str]:
    text = card["text_path"]
    return [
        "```python",
        "from rader_ir import Encoder",
        "",
        'encoder = Encoder("path/or/hub-id")',
        'scores = encoder.encode_queries(["..."]) @ encoder.encode_docs(["..."]).T',
        "```",
        "",
        "In PyTerrier `pyterrier_rader.RaDeREncoder`, in Pyserini `rader_ir.pyserini.RaDeRQueryEncoder` and",
        "`RaDeRDocumentEncoder`, and in sentence-transformers `SentenceTransformer(...).encode_query` and `.encode_document`",
        "give the same vectors. With plain transformers, write the text in its form below, take the",
        f"{_pooling(text['pooling'])}, and give it unit length.",
    ]


def _reranker_use(card: Mapping) -> list[str]:
    form = card["text_path"]["pair_form"]
    formed = "tokenizer(query, document)" if form is None else f"tokenizer(f{fill(form, instruction='')!r})"
    given = "" if card["options"]["merged"] else ", num_labels=1, pad_token_id=tokenizer.pad_token_id"
    lines = [
        "```python",
        "from rader_ir import CrossEncoder",
        "",
        'scores = CrossEncoder("path/or/hub-id").score(["a query"], [["a document", "another"]])',
        "```",
        "",
        "In PyTerrier: `pyterrier_rader.RaDeRReranker`. With plain transformers, the logit of",
        f'`AutoModelForSequenceClassification.from_pretrained("path/or/hub-id"{given})` for',
        f"`{formed}` is the score.",
    ]
    if form is None:
        lines.append(
            "`sentence_transformers.CrossEncoder` gives the same" + ("." if not given else " with `num_labels=1`.")
        )
    return lines


def _idcm_use(card: Mapping) -> list[str]:
    return [
        "```python",
        "from rader_ir import open_reranker",
        "",
        'reranker = open_reranker("idcm", checkpoint="path")',
        'scores = reranker.score(["a query"], [["a long document", "another"]])',
        "```",
        "",
        "In PyTerrier: `pyterrier_rader.IDCMReranker`, which shows the windows that were read too. The text path below is the",
        "strong model's, which reads windows of the document.",
    ]


def _sources(about: Mapping) -> list[str]:
    """What it was trained on and under which licences, where the card knows."""
    if not about.get("sources"):
        return []
    sources = [f"- {name}: {licence}" for name, licence in about["sources"].items()]
    return ["## Sources and their licences", "", *sources, "", *about.get("notes", ()), ""]


def _pooling(pooling: str) -> str:
    named = {"last": "last token's state", "mean": "mean of all tokens' states", "first": "first token's state"}
    return named[pooling]


def _figures(figures: Mapping) -> list[str]:
    lines = [f"- optimizer steps: {figures['steps']}; these weights: after step {figures['chosen_step']}"]
    for name, value in figures.items():
        if isinstance(value, Mapping):
            before = "" if value["before"] is None else f"{value['before']:.4f} before training, "
            lines.append(f"- {name} on the development set: {before}{value['chosen']:.4f} after")
    if "last_loss" in figures:
        first = f"{figures['first_loss']:.4f} at first, " if "first_loss" in figures else ""
        lines.append(f"- loss: {first}{figures['last_loss']:.4f} at last")
    return lines


def _told(facts: Mapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
