"""OpenAI's interface for chat completions as pure functions: from a request to its body, from an answer to its meaning.

vLLM, SGLang, llama.cpp and others speak it with small differences, which are read here: the words in which each says that a
prompt is too long, fields that may be absent, errors sent with status 200. Nothing that comes from a server can raise: what
cannot be read is a failure.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rader_ir.lm.replies import Failure, Reply, Sampling, TokenScores, is_plain

MOST_TOLD = 20  # the most likely tokens that servers tell at most
_SHOWN = 300  # characters of a server's words in a failure's detail
_TOO_LONG = re.compile(
    r"context[_ ](?:length|size|window)|exceed_context_size|maximum (?:model|context|sequence|input) length|max_model_len"
    r"|prompt is too long|longer than the (?:model|maximum)|inputs?`? tokens \+ `?max_new_tokens",
    re.IGNORECASE,
)
_CONTINUES = {"vllm", "sglang"}  # who, as /models tells, goes on with a last message of the assistant
_ENDED = {None, "stop", "eos", "eos_token", "stop_sequence"}


class _Unreadable(ValueError):
    """An answer that is not what the interface promises."""


def chat_body(model: str, messages: Sequence[Mapping], sampling: Sampling, seed: int, extra: Mapping) -> dict[str, Any]:
    """The body of a request for one reply; `extra` is put over it."""
    body: dict[str, Any] = {
        "model": model,
        **_prompt(messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
    }
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.schema is not None:
        schema = {"name": "reply", "schema": json.loads(sampling.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body | dict(extra)


def scores_body(model: str, messages: Sequence[Mapping], extra: Mapping) -> dict[str, Any]:
    """The body of a request for the most likely first tokens of a reply."""
    told = {"logprobs": MOST_TOLD} if is_plain(messages) else {"logprobs": True, "top_logprobs": MOST_TOLD}
    return {"model": model, **_prompt(messages), "temperature": 1.0, "max_tokens": 1, **told} | dict(extra)


def _prompt(messages: Sequence[Mapping]) -> dict[str, Any]:
    """The field that holds what is asked, and those by which vLLM and SGLang go on with what the assistant has begun."""
    if is_plain(messages):
        return {"prompt": messages[0]["content"]}
    begun = messages[-1]["role"] == "assistant"
    return {"messages": list(messages)} | (
        {"continue_final_message": True, "add_generation_prompt": False} if begun else {}
    )


def read_reply(status: int, raw: bytes) -> Reply:
    """The reply that an answer holds, or how it fails."""
    if status != 200:
        failure, detail = refusal(status, raw)
        return Reply(failure=failure, detail=detail)
    try:
        answer = _json(raw)
        choice, used = _choice(answer), _usage(answer)
        finish, text, thoughts = _finish(choice), _text(choice), _thoughts(choice)
    except _Unreadable as error:
        return Reply(failure=Failure.BROKEN, detail=f"{error}: {_shown(raw)}")
    failure = _failure(finish, text)
    if failure is not None:
        if failure is Failure.CUT_OFF:  # all that was written, as a model without a parser of thoughts writes it
            thoughts = f"<think>{thoughts}" + (f"</think>{text}" if text else "") if thoughts else text
        return Reply(failure=failure, detail=text[:_SHOWN], thoughts=thoughts, finish=str(finish), **used)
    return Reply(text=text, thoughts=thoughts, finish=str(finish or "stop"), **used)


def read_scores(status: int, raw: bytes, tokens: Sequence[str]) -> TokenScores:
    """The log-probabilities that an answer holds, or how it fails."""
    if status != 200:
        failure, detail = refusal(status, raw)
        return TokenScores(failure=failure, detail=detail)
    try:
        answer = _json(raw)
        told, used = _first_token(_choice(answer)), _usage(answer)
    except _Unreadable as error:
        return TokenScores(failure=Failure.BROKEN, detail=f"{error}: {_shown(raw)}")
    return TokenScores(logprobs=tuple(told.get(token, -math.inf) for token in tokens), **used)


def refusal(status: int, raw: bytes) -> tuple[Failure, str]:
    """What an answer with another status than 200 means, and what it says."""
    detail = f"status {status}: {_message(raw)}"
    if status == 429:
        return Failure.RATE_LIMIT, detail
    if status == 408:
        return Failure.TIMEOUT, detail
    if _TOO_LONG.search(detail) and status in (400, 413, 422, 500):
        return Failure.CONTEXT_OVERFLOW, detail
    return (Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED), detail


def models(raw: bytes) -> dict[str, dict] | None:
    """What an answer to `/models` tells of each model, by name, or None where it lists none that can be read."""
    try:
        data = _json(raw).get("data")
    except _Unreadable:
        return None
    if not isinstance(data, list):
        return None
    return {str(row["id"]): row for row in data if isinstance(row, dict) and "id" in row}


def context_of(row: Mapping) -> int | None:
    """Tokens that a model reads and writes together, where `/models` tells, as vLLM's does."""
    told = row.get("max_model_len")
    return told if type(told) is int and told > 0 else None


def continues(row: Mapping) -> bool:
    """Whether the server goes on with a last message of the assistant, by who it says it is."""
    return row.get("owned_by") in _CONTINUES


def wait_asked(headers: Mapping[str, str]) -> float:
    """Seconds that `Retry-After` asks for, as a number or as a date; 0 where it is absent or cannot be read."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value)
    return seconds if 0 < seconds < math.inf else 0.0


def _until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def _json(raw: bytes) -> dict:
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        raise _Unreadable("broken JSON") from None
    if not isinstance(answer, dict):
        raise _Unreadable("no JSON object")
    return answer


def _choice(answer: dict) -> dict:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _Unreadable("no choices")
    return choices[0]


def _text(choice: dict) -> str:
    """What the model said, without what a reasoning model thought before; empty where it said nothing."""
    message = choice.get("message", {"content": choice["text"]} if "text" in choice else None)
    if not isinstance(message, dict) or not isinstance(message.get("content"), str | None):
        raise _Unreadable("no message with a text")
    text = message.get("content") or ""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Unreadable("half a surrogate pair in the text") from None
    return text


def _thoughts(choice: dict) -> str:
    """What a reasoning model thought, where the server tells it apart."""
    message = choice.get("message")
    told = [message.get(name) for name in ("reasoning_content", "reasoning")] if isinstance(message, dict) else []
    text = next((one for one in told if isinstance(one, str)), "")
    return text.encode(errors="replace").decode()


def _finish(choice: dict) -> str | None:
    finish = choice.get("finish_reason")
    if not isinstance(finish, str | None):
        raise _Unreadable("a finish_reason that is no text")
    return finish


def _failure(finish: str | None, text: str) -> Failure | None:
    if finish == "length":
        return Failure.CUT_OFF
    if finish == "content_filter":
        return Failure.FILTERED
    if finish not in _ENDED:
        return Failure.BROKEN
    return None if text.strip() else Failure.EMPTY


def _first_token(choice: dict) -> dict[str, float]:
    try:
        if "text" in choice:
            told = {str(token): float(value) for token, value in choice["logprobs"]["top_logprobs"][0].items()}
        else:
            rows = choice["logprobs"]["content"][0]["top_logprobs"]
            told = {str(row["token"]): float(row["logprob"]) for row in rows}
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _Unreadable("no top_logprobs; the server must tell log-probabilities") from None
    if any(math.isnan(value) for value in told.values()):
        raise _Unreadable("a log-probability that is no number")
    return told


def _usage(answer: dict) -> dict[str, int]:
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = {"tokens_in": usage.get("prompt_tokens"), "tokens_out": usage.get("completion_tokens")}
    return {name: count if type(count) is int and count > 0 else 0 for name, count in counts.items()}


def _message(raw: bytes) -> str:
    """The words of an error, wherever the server put them."""
    try:
        answer = _json(raw)
    except _Unreadable:
        return _shown(raw)
    error = answer.get("error", answer)
    if isinstance(error, dict):
        words = [str(error[name]) for name in ("message", "detail", "code", "type") if error.get(name)]
        return " | ".join(words)[:_SHOWN] or _shown(raw)
    return str(error)[:_SHOWN]


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace")
