"""A line that tells how far a synthesis is: rollouts, problems, solved ones, calls, tokens, cost, refreshed each second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tqdm import tqdm

from rader_ir.lm import Meter
from rader_ir.synth.grow import Standing

EVERY = 1.0  # seconds


@asynccontextmanager
async def shown(standing: Standing, meter: Meter, *, verbose: bool) -> AsyncIterator[None]:
    """Show the line on stderr while the block runs, and its last state when it ends.

    Args:
        standing, meter: kept up to date by whoever works.
        verbose: False shows nothing.
    """
    if not verbose:
        yield
        return
    with tqdm(desc="synthesizing", unit="rollout", dynamic_ncols=True, smoothing=0.05) as bar:

        async def tick() -> None:
            while True:
                _refresh(bar, standing, meter)
                await asyncio.sleep(EVERY)

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            _refresh(bar, standing, meter)


def _refresh(bar: tqdm, standing: Standing, meter: Meter) -> None:
    bar.total, bar.initial, bar.n = standing.rollouts, standing.kept, standing.rollouts_done
    bar.set_postfix_str(line(standing, meter), refresh=True)


def line(standing: Standing, meter: Meter) -> str:
    """The state in words.

    >>> line(Standing(problems=8, problems_done=4, solved=3, under_way=2), Meter(calls=90, tokens_in=8000, tokens_out=1500))
    'problems 4/8 (2 under way), solved 3, calls 90 (0 in flight), tokens 9.5k'
    """
    tokens = meter.tokens_in + meter.tokens_out
    told = [
        f"problems {standing.problems_done}/{standing.problems} ({standing.under_way} under way)",
        f"solved {standing.solved}",
        f"calls {meter.calls} ({meter.in_flight} in flight)",
        f"tokens {_short(tokens)}",
    ]
    failed = sum(meter.failed.values())
    told += [f"failed {failed}"] if failed else []
    told += [f"cost {meter.cost:.2f}"] if any(meter.prices) else []
    return ", ".join(told)


def _short(number: int) -> str:
    for size, sign in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:.1f}{sign}"
    return str(number)
