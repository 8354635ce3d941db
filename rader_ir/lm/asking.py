"""Asking a language model by a prompt: the holes filled, the sampling the caller's but for what the prompt says itself.

A refused call is asked once more without its schema, since some servers refuse structured output; replies are read alike with and
without. Calls that belong together go side by side, and the first exception among them ends the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from rader_ir.lm.replies import Failure, Generates, Reply, Sampling
from rader_ir.prompts import Prompt

Item, Result = TypeVar("Item"), TypeVar("Result")


async def asked(lm: Generates, prompt: Prompt, values: Mapping[str, str], *, sampling: Sampling, seed: int) -> Reply:
    """One reply, or its failure.

    Args:
        lm: the model.
        prompt: the wording; its max_tokens, stop, schema and, where it names one, temperature replace the sampling's.
        values: by hole, what is put in.
        sampling: temperature, top_p and top_k.
        seed: of the reply.
    """
    sampling = _sampling(prompt, sampling)
    messages = prompt.messages(values)
    reply = await lm.generate(messages, sampling=sampling, seed=seed)
    if reply.failure is Failure.REFUSED and sampling.schema is not None:
        reply = await lm.generate(messages, sampling=replace(sampling, schema=None), seed=seed)
    return reply


@lru_cache
def _sampling(prompt: Prompt, sampling: Sampling) -> Sampling:
    temperature = sampling.temperature if prompt.temperature is None else prompt.temperature
    own = {name: getattr(prompt, name) for name in ("max_tokens", "stop", "schema")}
    return replace(sampling, temperature=temperature, **own)


async def together(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results of calls made side by side, in their order; where one raises, the others are ended before that is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def side_by_side(
    items: Sequence[Item], work: Callable[[Item], Awaitable[Result]], *, width: int = 256
) -> list[Result]:
    """`work` of each item, in their order; `width` at a time, so that many items are not as many tasks in memory."""
    results: list[Result | None] = [None] * len(items)
    places = iter(range(len(items)))

    async def worker() -> None:
        for place in places:  # one iterator for all workers: each takes what is next
            results[place] = await work(items[place])

    await together([worker() for _ in range(min(width, len(items)))])
    return results
