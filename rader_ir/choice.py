"""A language model as a reranker: asked whether a document is relevant, it is to answer 1 or 0 (ProRank, arXiv:2506.03487).

The score is the logit of "1" minus that of "0" where the answer begins: the last state times the difference of two rows of the
output layer, in float32, since in bfloat16 a hundred documents share some eighty scores. What the model is asked, in the layout
of its own conversations, is the `pair_form` of its checkpoint, so that serving and training read one text.
"""

from dataclasses import replace

import torch

from rader_ir import loading
from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.prompts import Prompt
from rader_ir.prompts import fields as fields_of
from rader_ir.weights import fetch

YES, NO = "1", "0"


def answer_ids(tokenizer) -> tuple[int, int]:
    """The ids of the answers "1" and "0".

    Raises:
        ValueError: one of them is not a single token.
    """
    ids = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in (YES, NO)]
    if wrong := [answer for answer, found in zip((YES, NO), ids, strict=True) if len(found) != 1]:
        raise ValueError(
            f"the tokenizer writes {wrong[0]!r} in {len(ids[(YES, NO).index(wrong[0])])} tokens, and its logit is to be the "
            "score; take a model that writes 0 and 1 in one token each, such as Qwen2.5"
        )
    return ids[0][0], ids[1][0]


def direction(model: torch.nn.Module, answers: tuple[int, int]) -> torch.Tensor:
    """What a state is multiplied by to give the score: the output layer's row of "1" minus that of "0", float32 [D].

    Args:
        model: with an output layer.
        answers: as `answer_ids` gives them.
    """
    rows = model.get_output_embeddings().weight[list(answers)].float()
    return rows[0] - rows[1]


def chat_form(tokenizer, prompt: Prompt) -> str:
    """The pair form of a prompt: the conversation up to where the answer begins, its holes left open.

    Args:
        tokenizer: with a chat template.
        prompt: with the holes {query} and {document}, in this order, and {instruction} if wished.

    Raises:
        ValueError: no chat template, or one that the tokenizer reads otherwise than it is written; holes out of order.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the tokenizer has no chat template, which the question is written with; take an instruct model"
        )
    turns = [("system", prompt.system), ("user", prompt.user)]
    messages = [{"role": role, "content": text.strip()} for role, text in turns if text]
    form = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    if fields_of(form.partition("{document}")[2]) or form.count("{document}") != 1:
        raise ValueError("the prompt has a hole behind {document}; put {query} and {instruction} before it")
    form = form.removeprefix(loading.beginning(tokenizer))  # which the template writes too
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    if tokenizer(form)["input_ids"] != list(wanted):
        raise ValueError(
            "the tokenizer puts tokens around a text that its chat template does not; save it without them and try again"
        )
    return form


def as_judge(checkpoint: Checkpoint, prompt: Prompt | None, *, max_length: int = 8192) -> Checkpoint:
    """A language model's checkpoint as one that scores pairs by its answers; fetches the files, loads no weights.

    Args:
        checkpoint: of a language model, or one that has been made so; that keeps its own form unless there is a `prompt`.
        prompt: what it is asked.
        max_length: tokens of a pair, at most the model's positions.

    Raises:
        ValueError: an encoder or a model with a head, answers of several tokens, or as `chat_form`.
    """
    files = fetch(checkpoint)
    settled = find_checkpoint(files.checkpoint)
    tokenizer = loading.read_tokenizer(files)
    answer_ids(tokenizer)
    if settled.head == "choice" and prompt is None:
        return settled
    if settled.head == "score" or settled.causal is False:
        raise ValueError(
            f"checkpoint {settled.name!r} is no language model, which is to answer by 1 or 0; open it as system 'rader'"
        )
    form = chat_form(tokenizer, prompt)
    length = min(max_length, loading.longest_text(files) or max_length)
    return replace(
        settled, head="choice", pair_form=form, eos="tokenizer", max_query_length=length, max_doc_length=length
    )


def check_room(checkpoint: Checkpoint, tokenizer, max_length: int) -> None:
    """Raise ValueError unless what stands around query and document takes less than a quarter of `max_length` tokens."""
    before, _, behind = checkpoint.pair_form.partition("{document}")
    for part, what in ((before.partition("{query}")[0], "before the query"), (behind, "behind the document")):
        count = len(tokenizer(part, add_special_tokens=False)["input_ids"])
        if 4 * count >= max_length:
            raise ValueError(
                f"max_length is {max_length}, and the prompt has {count} tokens {what}, a quarter or more; raise max_length to "
                f"{4 * count + 4}, or shorten the prompt"
            )
