"""Language models as systems use them: two protocols, and back-ends that keep them.

A back-end is a server with OpenAI's interface (`server`), an instruct model through transformers (`local`) or vLLM in this
process (`vllm`); `cache` puts a file of earlier replies before any of them. A failure of a model is a value with a kind
(`replies`), which is counted (`meter`); an exception is kept for what no retry can mend: no server there, a model that it lacks.
"""

import os
from pathlib import Path

from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure, Generates, Message, Outcome, Reply, Sampling, ScoresTokens, TokenScores

__all__ = [
    "Failure",
    "Generates",
    "Message",
    "Meter",
    "Outcome",
    "Reply",
    "Sampling",
    "ScoresTokens",
    "TokenScores",
    "api_key",
    "open_lm",
    "width_of",
]

LOCAL, VLLM = "local:", "vllm:"
WIDTH = 64  # calls under way at a time


def open_lm(
    where: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    concurrency: int = WIDTH,
    prices: tuple[float, float] = (0.0, 0.0),
    timeout: float | None = None,
    retries: int | None = None,
    answer_retries: int | None = None,
    cache: str | Path | None = None,
):
    """A language model by its address, to be entered by `async with`, which is when it is looked for.

    Args:
        where: the base URL of a server (`http://127.0.0.1:8000/v1`), `local:` or `vllm:` with a folder or a name on the hub.
        model: the name under which a server has it; only for URLs, and needed there.
        api_key: sent to a server as bearer token.
        concurrency: calls under way at a time; in this process, replies of one batch.
        prices: of a million tokens read and of a million tokens written, in any currency.
        timeout, retries, answer_retries: of a server, in place of its own (seconds of one attempt, attempts after the first where
            no answer came, and where it was empty or cut off).
        cache: file of earlier replies; made if it is not there.

    Raises:
        ValueError: an address of no known kind, a URL without model, or a model beside `local:` and `vllm:`.
        ModuleNotFoundError: the library of this back-end is not installed.
    """
    of_server = {"api_key": api_key, "timeout": timeout, "retries": retries, "answer_retries": answer_retries}
    lm = _open(
        where, model, concurrency, prices, {name: value for name, value in of_server.items() if value is not None}
    )
    if cache is None:
        return lm
    from rader_ir.lm.cache import Cached

    return Cached(lm, cache)


def width_of(lm: object, concurrency: int | None) -> int:
    """Calls under way at a time: `concurrency`, or what suits the back-end; of a model through transformers a batch of 8."""
    return concurrency or (8 if isinstance(lm, str) and lm.startswith(LOCAL) else WIDTH)


def api_key(variable: str | None) -> str | None:
    """The key that an environment variable holds; None where none is named.

    Raises:
        ValueError: the environment lacks it.
    """
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise ValueError(f"api_key_env {variable!r}: the environment has no such variable, or it is empty; export it")
    return os.environ[variable]


def _open(where, model, concurrency, prices, of_server):
    if where.startswith(("http://", "https://")):
        from rader_ir.lm.server import Server

        if not model:
            raise ValueError(
                f"no model was named for {where}; name one that the server has, as its {where}/models lists it"
            )
        return Server(where, model, concurrency=concurrency, prices=prices, **of_server)
    kind = next((kind for kind in (LOCAL, VLLM) if where.startswith(kind)), None)
    if kind is None:
        raise ValueError(f"language model {where!r} is of no known kind; give http://…/v1, local:FOLDER or vllm:FOLDER")
    path = where.removeprefix(kind)
    if model:
        raise ValueError(f"model {model!r} was named beside {where!r}, which names one itself; leave one of them out")
    if kind == LOCAL:
        from rader_ir.lm.local import Local

        return Local(path, batch_size=concurrency, prices=prices)
    from rader_ir.lm.vllm import Vllm

    return Vllm(path, batch_size=concurrency, prices=prices)
