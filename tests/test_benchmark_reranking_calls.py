"""The benchmark of reranking calls: its share of the best, its server, and that its ways do the same; nothing is timed."""

from tests.benchmarks import reranking_calls as calls
from tests.lm_server import LMServer


def test_the_share_of_the_best_by_hand():
    """Of 0 to 99 the best are 90 and more: five of them stand in front."""
    values = list(range(100))
    order = [*range(95, 100), *range(95)]
    assert (calls.found(order, values), calls.found(order[::-1], values)) == (0.5, 0.5)
    assert calls.found(values[::-1], values) == 1.0


def test_the_ways_make_the_same_calls_and_find_the_best(monkeypatch):
    """Against a server without latency; in the benchmark's own process they are the same."""
    monkeypatch.setattr(calls, "DOCUMENTS", 30)
    values = calls.collection(calls.QUERIES)[2]
    for system, count in (("rankgpt", 2 * calls.QUERIES), ("rank-r1", None)):
        seen = []
        for options in ({"streaming": False}, {}, {"alone": True}, {"alone": True, "concurrency": 1}):
            with LMServer(answer=calls.answer) as server:
                way = calls.Way(server.url, system, **options)
                way.rank()
                way.reranker.unload()
                assert way.calls == len(server.requests) and count in (None, way.calls)
            assert [[each[i] for i in order[:10]] for each, order in zip(values, way.orders, strict=True)] == [
                list(range(29, 19, -1))
            ] * calls.QUERIES
            seen.append((way.calls, way.orders))
        assert all(each == seen[0] for each in seen)


def test_the_server_of_its_own_answers_both_kinds_of_prompt(monkeypatch):
    monkeypatch.setattr(calls, "DOCUMENTS", 5)
    with calls.served() as url:
        for system in ("rankgpt", "rank-r1"):
            way = calls.Way(url, system)
            way.rank()
            way.reranker.unload()
            assert way.orders[0] == sorted(range(5), key=lambda i: -calls.collection(1)[2][0][i])
