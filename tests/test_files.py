import gzip

import pytest

from rader_ir.files import numbered_lines, read_text, replacing, replacing_bytes


def test_lines_end_at_line_feeds_only_and_keep_their_numbers(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\n  \nfo\u2028ur\x0b\n".encode())
    assert list(numbered_lines(tmp_path / "a.txt")) == [(1, "one"), (4, "fo\u2028ur\x0b")]
    assert read_text(tmp_path / "a.txt") == "one\n\n  \nfo\u2028ur\x0b"


def test_bytes_that_are_no_utf8_are_named_by_line(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"latin\.txt:2: not UTF-8"):
        list(numbered_lines(tmp_path / "latin.txt"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_told_by_the_first_line(tmp_path, encoding):
    """Without a byte order mark the bytes of such a file are UTF-8 too, with a 0 beside each letter."""
    (tmp_path / "wide.trec").write_bytes("q1 Q0 d1 1 0.5 tag\n".encode(encoding))
    with pytest.raises(ValueError, match=r"wide\.trec: UTF-16 or UTF-32, by its first line; convert the file to UTF-8"):
        list(numbered_lines(tmp_path / "wide.trec"))


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_packed_or_plain_is_told_by_the_content(tmp_path, name):
    for content in (b"one\ntwo\n", gzip.compress(b"one\ntwo\n")):
        (tmp_path / name).write_bytes(content)
        assert list(numbered_lines(tmp_path / name)) == [(1, "one"), (2, "two")]


def test_gzip_that_is_cut_short_or_damaged_is_refused(tmp_path):
    whole = gzip.compress(b"".join(b"line %d\n" % number for number in range(10_000)))
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.gz: broken gzip data after line \d+"):
        list(numbered_lines(tmp_path / "cut.gz"))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    (tmp_path / "damaged.gz").write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"damaged\.gz"):
        list(numbered_lines(tmp_path / "damaged.gz"))


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, name):
    with replacing(tmp_path / name) as file:
        file.write("old é\n")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(RuntimeError), replacing(tmp_path / name) as file:
        file.write("new\n" * 100_000)
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before
    assert list(numbered_lines(tmp_path / name)) == [(1, "old é")]


def test_a_failed_picture_leaves_the_old_one(tmp_path):
    with replacing_bytes(tmp_path / "a.png") as file:
        file.write(b"\x89old")
    with pytest.raises(RuntimeError), replacing_bytes(tmp_path / "a.png") as file:
        file.write(b"new")
        raise RuntimeError
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"\x89old")]


def test_packed_bytes_carry_no_time_and_no_name(tmp_path):
    for name in ("a.gz", "b.gz"):
        with replacing(tmp_path / name) as file:
            file.write("same\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)  # the header's time stamp
