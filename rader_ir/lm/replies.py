"""What a system asks of a language model and what it gets: sampling, replies, kinds of failure, the two protocols.

A reply holds either a text or a failure, never a text that stands for a failure, so that nothing malformed is taken for a
judgement. Every call names its seed: a reply is a function of model, messages, sampling and seed as far as the back-end keeps
that promise, and so does not depend on what else is under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Message = Mapping[str, str]  # {"role": "system" | "user" | "assistant", "content": text}
PLAIN = "plain"  # the role of a text to be continued without a chat around it


class Failure(StrEnum):
    """How a call can fail; the values are what reports count."""

    TIMEOUT = "timeout"  # no answer within the time
    CONNECTION = "connection"  # refused, reset, or closed before the end
    RATE_LIMIT = "rate_limit"  # 429
    SERVER_ERROR = "server_error"  # 5xx
    REFUSED = "refused"  # any other status: the request, the key or the model is not accepted
    CONTEXT_OVERFLOW = "context_overflow"  # prompt and reply do not fit into the context
    BROKEN = "broken"  # cut-off JSON, or not what the interface promises
    ENDLESS = "endless"  # a body without end
    EMPTY = "empty"  # nothing but white space
    CUT_OFF = "cut_off"  # ran into max_tokens
    FILTERED = "filtered"  # withheld by the server
    MEMORY = "memory"  # the device has not enough, even for this call alone


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What both kinds of answers have in common.

    Attributes:
        failure: its kind, or None.
        detail: about a failure, for people: the server's message, or the beginning of what it wrote.
        finish: why the model stopped, in the back-end's words.
        tokens_in, tokens_out: read and written, as far as the back-end tells them, in the attempt that counted.
        seconds: of that attempt.
        attempts: how many it took; 0 from a cache.
    """

    failure: Failure | None = None
    detail: str = ""
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    attempts: int = 1


@dataclass(frozen=True, kw_only=True)
class Reply(Outcome):
    """A text, or a failure and no text.

    Attributes:
        text: what the model answered.
        thoughts: what it wrote before that, where the back-end tells thoughts apart; of a reply that was cut off, all it wrote.
    """

    text: str | None = None
    thoughts: str = ""

    def __post_init__(self):
        if (self.text is None) == (self.failure is None):
            raise ValueError(f"a reply has a text or a failure; got text {self.text!r} and failure {self.failure!r}")


@dataclass(frozen=True, kw_only=True)
class TokenScores(Outcome):
    """Natural log-probabilities of the tokens asked for, in their order, or a failure and None.

    A token that is not among the most likely ones, which are all that servers tell (20 at most), has -inf.
    """

    logprobs: tuple[float, ...] | None = None

    def __post_init__(self):
        if (self.logprobs is None) == (self.failure is None):
            raise ValueError(f"scores are numbers or a failure; got {self.logprobs!r} and failure {self.failure!r}")


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn; the defaults are the paper's for the tree search (arXiv:2505.18405, Table 8).

    Attributes:
        temperature: 0 takes the most likely token.
        top_p: mass of the most likely tokens that are drawn from.
        top_k: number of tokens that are drawn from; None: all, and nothing is sent to a server, since some refuse it.
        max_tokens: a reply that runs into it is a failure, `Failure.CUT_OFF`.
        stop: texts before which a reply ends.
        schema: a JSON Schema as JSON text, which servers with structured output hold the reply to. `local` and `vllm` do not,
            so read the reply as if there were none.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int | None = None
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    schema: str | None = None

    def __post_init__(self):
        right = {
            "temperature": self.temperature >= 0,
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k is None or self.top_k >= 1,
            "max_tokens": self.max_tokens >= 1,
            "stop": isinstance(self.stop, tuple) and all(isinstance(text, str) and text for text in self.stop),
        }
        for name, holds in right.items():
            if not holds:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected temperature >= 0, 0 < top_p <= 1, top_k None or >= 1, "
                    "max_tokens >= 1, stop a tuple of texts"
                )


class Generates(Protocol):
    """A model that writes. `identity` is whatever of the back-end decides its replies: caches are keyed by it."""

    identity: str

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """One reply to a conversation; a plain string is one message of the user.

        A last message of the assistant is one that it goes on writing, which a back-end can whose `continues` is true. A single
        message of the role `PLAIN` is a text to be continued, without a chat around it.
        """
        ...


class ScoresTokens(Protocol):
    """A model that tells how likely its reply begins with each of some tokens."""

    identity: str

    async def score_tokens(self, messages: str | Sequence[Message], *, tokens: Sequence[str]) -> TokenScores:
        """Log-probability of each of `tokens` as the first token of the reply, at temperature 1."""
        ...


def is_plain(messages: Sequence[Message]) -> bool:
    """Whether this is a text to be continued; ValueError where such a text stands among messages of a chat."""
    plain = [message["role"] == PLAIN for message in messages]
    if any(plain) and len(plain) > 1:
        raise ValueError(f"a message of the role {PLAIN!r} stands among {len(plain)}; such a text is sent alone")
    return all(plain)


def as_messages(messages: str | Sequence[Message]) -> list[dict[str, str]]:
    """The conversation as plain dictionaries; a string becomes one message of the user.

    Raises:
        ValueError: no message, or one that is not a role and a text.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    plain = [dict(message) for message in messages]
    if not plain:
        raise ValueError("the conversation has no message; give at least one, such as a string")
    for message in plain:
        if message.keys() != {"role", "content"} or not all(isinstance(value, str) for value in message.values()):
            raise ValueError(f"message {message!r}; expected {{'role': ..., 'content': text}}")
    return plain
