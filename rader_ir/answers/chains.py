"""Reading a chain of thought: what a model wrote about a question, without the tags around its thoughts, unless it refuses."""

import re

from rader_ir.answers.judgements import without_thoughts

_TAGS = re.compile(r"</?think(?:ing)?\s*>", re.I)
_SORRY = (
    r"(?:(?:i[’']?m|i am)\s+(?:really |very |so )?(?:sorry|afraid)|sorry|i apologi[sz]e|my apologies|unfortunately)"
)
_CANNOT = r"i (?:can(?:no|[’'])?t|can not|am (?:not able|unable) to|won[’']?t|will not|must decline)"
_HELP = r"(?:to )?(?:help|assist|answer|comply|provide|fulfil+|discuss|support|respond|engage|continue|process|do (?:this|that))"
_REFUSAL = re.compile(rf"\W*(?:{_SORRY}[\s,.;:—-]*(?:but |that )?)?(?:as an ai[^,.]*, )?{_CANNOT}\s+{_HELP}\b", re.I)
_LONGEST_REFUSAL = 60  # words; whatever is longer says something about the subject too


def chain_of_thought(text: str, *, cut_off: bool = False) -> str:
    """What a reply reasons, without tags; "" where it says nothing.

    Of a model that thinks first, what stands behind its thoughts counts, and the thoughts only where nothing does; of a reply
    that was cut off, all that was written.

    >>> chain_of_thought("<think>Areas?</think> Pick's theorem."), chain_of_thought("<think>Areas?</think>")
    ("Pick's theorem.", 'Areas?')
    >>> chain_of_thought("<think>Areas?</think> Pick", cut_off=True)
    'Areas? Pick'
    """
    answer = None if cut_off else without_thoughts(text)
    return (answer or "").strip() or " ".join(filter(None, map(str.strip, _TAGS.split(text))))


def refuses(text: str) -> bool:
    """Whether a short text only says, in English, that it will not help.

    >>> refuses("I'm sorry, but I can't assist with that."), refuses("I cannot count them, so Burnside's lemma is needed.")
    (True, False)
    """
    return bool(_REFUSAL.match(text)) and len(text.split()) <= _LONGEST_REFUSAL
