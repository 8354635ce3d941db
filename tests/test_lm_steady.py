"""A model that is watched: a server that is gone ends the work, a call that fails does not, a budget that is reached does."""

import asyncio

import pytest

from rader_ir.lm import Failure, Meter, Reply, Sampling
from rader_ir.lm.steady import IN_A_ROW, Budget, Limited, Spent, Steady, within


class Flaky:
    """A back-end whose call fails; `there` says whether its server answers when it is asked."""

    identity, meter = "flaky", Meter()

    def __init__(self, failure, there):
        self.failure, self.there, self.looks = failure, there, 0

    async def generate(self, messages, *, sampling, seed):
        return Reply(failure=self.failure)

    async def check(self):
        self.looks += 1
        await asyncio.sleep(0)
        if not self.there:
            raise ConnectionError("nothing answers")


def asked(lm, times=4):
    async def ask():
        calls = [Steady(lm)] * times
        return await asyncio.gather(*(call.generate("x", sampling=Sampling(), seed=i) for i, call in enumerate(calls)))

    return asyncio.run(ask())


def test_a_server_that_is_gone_ends_the_run_and_one_that_is_there_does_not():
    with pytest.raises(ConnectionError, match="nothing answers"):
        asked(Flaky(Failure.CONNECTION, there=False))
    lm = Flaky(Failure.TIMEOUT, there=True)
    assert [reply.failure for reply in asked(lm)] == [Failure.TIMEOUT] * 4
    assert lm.looks == 1  # one for all
    lm = Flaky(Failure.CUT_OFF, there=False)  # the model's own doing: nobody looks
    assert [reply.failure for reply in asked(lm)] == [Failure.CUT_OFF] * 4 and lm.looks == 0


def test_a_server_that_is_there_and_answers_nothing_ends_the_run():
    lm = Flaky(Failure.SERVER_ERROR, there=True)
    assert len(asked(lm, IN_A_ROW - 1)) == IN_A_ROW - 1
    with pytest.raises(ConnectionError, match=f"{IN_A_ROW} calls in a row failed, the last by server_error: .*kept"):
        asked(lm, IN_A_ROW)


def test_one_answer_between_failures_keeps_the_run_going():
    lm = Flaky(Failure.SERVER_ERROR, there=True)
    steady = Steady(lm)

    async def ask():
        for number in range(3 * IN_A_ROW):
            lm.failure = Failure.SERVER_ERROR if number % IN_A_ROW else Failure.CUT_OFF
            await steady.generate("x", sampling=Sampling(), seed=number)

    asyncio.run(ask())
    assert lm.looks == 3 * (IN_A_ROW - 1)


@pytest.mark.parametrize(
    ("budget", "meter", "seconds", "said"),
    [
        (Budget(), Meter(attempts=10**9), 1e9, ""),
        (Budget(calls=5), Meter(attempts=4), 0, ""),
        (Budget(calls=5), Meter(attempts=5), 0, "5 calls"),
        (Budget(tokens=100), Meter(tokens_in=60, tokens_out=40), 0, "100 tokens"),
        (Budget(hours=0.5), Meter(), 1799, ""),
        (Budget(hours=0.5), Meter(), 1800, "0.5 hours"),
    ],
)
def test_budgets(budget, meter, seconds, said):
    assert budget.reached(meter, seconds) == said


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="budget of calls is 0"):
        Budget(calls=0)


class Counting:
    """A back-end that answers at once and counts the attempts."""

    identity = "counting"

    def __init__(self):
        self.meter = Meter()

    async def generate(self, messages, *, sampling, seed):
        self.meter.attempts += 1
        return Reply(text="x")


def test_a_budget_ends_the_asking_and_an_empty_one_leaves_the_model_as_it_is():
    """Three calls are allowed, so the fourth is not made."""
    steady = Steady(Counting())
    assert within(steady, Budget(), width=4) is steady
    limited = within(steady, Budget(calls=3), width=1)
    assert isinstance(limited, Limited)

    async def ask():
        for number in range(9):
            await limited.generate("x", sampling=Sampling(), seed=number)

    with pytest.raises(Spent, match="3 calls"):
        asyncio.run(ask())
    assert steady.meter.attempts == 3


class Slow(Counting):
    """A back-end that takes a while; even seeds lie in a cache and are no attempts."""

    def __init__(self):
        super().__init__()
        self.under_way = self.most = 0

    async def generate(self, messages, *, sampling, seed):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(seed % 3 + 1):
            await asyncio.sleep(0)
        self.under_way -= 1
        if seed % 2:
            self.meter.attempts += 1
        return Reply(text="x")


@pytest.mark.parametrize("calls", [1, 5, 15, 16])
def test_never_more_calls_are_under_way_than_the_budget_leaves(calls):
    """Of 32 calls at once 16 are attempts: as many as the budget allows are made, all if it suffices."""
    lm = Slow()
    limited = within(Steady(lm), Budget(calls=calls), width=64)

    async def ask():
        each = (limited.generate("x", sampling=Sampling(), seed=number) for number in range(32))
        return await asyncio.gather(*each, return_exceptions=True)

    found = asyncio.run(ask())
    assert lm.meter.attempts == calls and lm.most <= calls
    assert all(isinstance(one, Reply) or str(one) == f"{calls} calls" for one in found)
    assert sum(isinstance(one, Reply) for one in found) >= calls


def test_a_call_that_is_given_up_leaves_its_place():
    lm = Slow()
    limited = within(Steady(lm), Budget(calls=1), width=64)

    async def ask():
        first = asyncio.ensure_future(limited.generate("x", sampling=Sampling(), seed=5))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(limited.generate("x", sampling=Sampling(), seed=0))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(ask()).text == "x"
