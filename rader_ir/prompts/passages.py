"""A prompt over several passages as a conversation, in one message or with a message for each of them."""

from collections.abc import Sequence

from rader_ir.prompts import Prompt, fill


def conversation(prompt: Prompt, query: str, passages: Sequence[str]) -> list[dict[str, str]]:
    r"""The messages that ask `prompt` about `query` and `passages`, which are numbered from 1.

    The holes are `{query}`, `{passages}` and `{count}`, and where there is one passage alone also `{document}`, its text; texts
    that are put in are not read again, so braces and TeX stay.

    >>> asked = Prompt("", "Q: {query}\n{passages}\nWhich of {count}?", 9)
    >>> conversation(asked, "{count}?", ["a", "b"])
    [{'role': 'user', 'content': 'Q: {count}?\n[1] a\n[2] b\nWhich of 2?'}]
    """
    # As `fill` does, but sooner: a number holds no hole, and what the text holds is put in last
    forms = (prompt.passage.replace("{number}", str(number)) for number in range(1, len(passages) + 1))
    written = [form.replace("{text}", text) for form, text in zip(forms, passages, strict=True)]
    values = {"query": query, "count": str(len(passages)), "passages": prompt.separator.join(written)}
    if len(passages) == 1:
        values["document"] = passages[0]
    turns = [("system", fill(prompt.system, **values)), ("user", fill(prompt.opening, **values))]
    turns.append(("assistant", fill(prompt.opening_reply, **values)))
    if prompt.passage_reply:
        for number, text in enumerate(written, start=1):
            turns += [("user", text), ("assistant", fill(prompt.passage_reply, number=str(number)))]
    turns.append(("user", fill(prompt.user, **values)))
    return [{"role": role, "content": text} for role, text in turns if text]
