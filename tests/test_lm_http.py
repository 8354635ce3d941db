"""The parsing of HTTP answers, held to h11's reading of the same bytes, in whatever pieces they come."""

import itertools

import pytest

pytest.importorskip("h11")

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.lm import Failure
from rader_ir.lm.http import Answer, NoAnswer, Reading

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = {
    "told length": HEAD + b'Content-Length: 9\r\n\r\n{"a": 12}',
    "no body": HEAD + b"content-length:0\r\n\r\n",
    "twice the same length": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "chunks": HEAD + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A;x=1\r\n0123\r\n6789\r\n0\r\n\r\n",
    "chunks and a trailer": HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
    "closes": HEAD + b"Connection: Keep-Alive, Close\r\nContent-Length: 2\r\n\r\n{}",
    "an old protocol": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no reason": b"HTTP/1.1 429 \r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
    "nothing after the status": b"HTTP/1.1 503\r\nContent-Length: 1\r\n\r\nx",
    "without content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "continues first": b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
    "a folded header": HEAD + b"X-Long: one\r\n  two\r\nX-Long: three\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
}
UP_TO_END = {"no length": HEAD + b"\r\nall that comes", "no length, no body": HEAD + b"\r\n"}
BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "another version": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a header without colon": HEAD + b"oops\r\n\r\n",
    "a blank before the colon": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length that is none": HEAD + b"Content-Length: -2\r\n\r\n",
    "a coding that was not asked for": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is too long": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a head without end": HEAD + b"X: " + b"y" * 70_000,
    "a chunk's line without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"y" * 70_000,
}


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


def read(parts, *, ends=False, largest=1000) -> tuple[int, bytes, dict[str, str], bool, bool]:
    """Status, body, headers, whether that is whole, and whether the connection is of no more use."""
    answer = Answer(largest)
    reading = Reading(answer)
    for part in parts:
        reading.feed(part)
    if ends:
        reading.end()
    return answer.status, bytes(answer.body), answer.headers, reading.done, reading.last


def by_h11(data: bytes) -> tuple[int, bytes, dict[str, str], bool]:
    """Status, body, headers, and whether the connection is of no more use; the data ends when it ends."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    for part in (data, b""):
        connection.receive_data(part)
    status, body, headers = 0, b"", {}
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
            for name, value in event.headers:
                name, value = name.decode(), value.decode()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    return status, body, headers, connection.their_state is h11.MUST_CLOSE


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_an_answer_is_what_h11_reads_however_it_comes(name, cuts):
    status, body, headers, done, last = read(pieces(WHOLE[name], cuts))
    expected = by_h11(WHOLE[name])
    assert done and (status, body, last) == (expected[0], expected[1], expected[3])
    same = ("twice the same length", "chunks")  # where h11 puts a header into its own words
    assert headers == expected[2] or name in same


@pytest.mark.parametrize("name", UP_TO_END)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=6))
def test_a_body_without_length_goes_up_to_the_end(name, cuts):
    parts = pieces(UP_TO_END[name], cuts)
    assert read(parts)[3] is False
    status, body, headers, done, last = read(parts, ends=True)
    assert (status, body, headers) == by_h11(UP_TO_END[name])[:3] and done and last


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_proper_http_fails_as_a_connection_does(name):
    data = BROKEN[name]
    for parts in ([data], pieces(data, list(range(0, len(data), 1 + len(data) // 500)))):
        with pytest.raises(NoAnswer, match="no proper HTTP") as failed:
            read(parts)
        assert failed.value.failure is Failure.CONNECTION


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_is_cut_off_is_none(name):
    for length in range(len(WHOLE[name])):
        with pytest.raises(NoAnswer, match="closed the connection before the end"):
            read([WHOLE[name][:length]], ends=True)


def test_a_body_that_is_too_long_is_endless():
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"a\r\n0123456789\r\n" * 101
    for data in (HEAD + b"Content-Length: 2000\r\n\r\n" + b"x" * 1001, HEAD + b"\r\n" + b"x" * 1001, chunked):
        with pytest.raises(NoAnswer, match="more than 1000 bytes") as failed:
            read([data])
        assert failed.value.failure is Failure.ENDLESS


def test_what_nobody_asked_for_makes_a_connection_useless():
    assert read([WHOLE["told length"]])[3:] == (True, False)
    assert read([WHOLE["told length"] + b"HTTP/1.1 200"])[3:] == (True, True)
