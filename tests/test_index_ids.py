"""Doc ids: which are refused and why, repeats found by hashes, and the list on disk read piece by piece."""

import numpy as np
import pytest

from rader_ir.index_ids import DocIds, SeenIds, id_problem


@pytest.mark.parametrize("doc_id", ["d1", "aops/12_b.txt", "é", "日本", "a" * 500, "-1", "10.1000/x(2)"])
def test_ordinary_ids_pass(doc_id):
    assert id_problem(doc_id) is None


@pytest.mark.parametrize(
    ("doc_id", "blanks", "says"),
    [
        ("", True, "empty"),
        ("a b", False, "blank_ids='allow'"),
        ("a b", False, "--allow-blank-ids"),
        ("a\u2003b", False, "blank"),
        (" a", True, "begins or ends"),
        ("a\u00a0", True, "begins or ends"),
        ("a\tb", True, "tab"),
        ("a\nb", True, "line break"),
        ("a\x00", True, "control"),
        ("a\ud800", True, "UTF-8"),
        (17, True, "int"),
        (None, True, "NoneType"),
    ],
)
def test_unfit_ids_are_told(doc_id, blanks, says):
    assert says in id_problem(doc_id, blanks=blanks)


def test_inner_blanks_pass_where_they_are_allowed():
    assert id_problem("a b", blanks=True) is None


def test_seen_ids_find_every_repeat_and_nothing_else():
    """Oracle: a plain set, over 300 calls of random sizes."""
    random, seen, known = np.random.default_rng(0), SeenIds(), set()
    for size in random.integers(0, 40, 300).tolist():
        batch = list({str(number) for number in random.integers(0, 20000, size).tolist()})
        assert sorted(seen.add(batch)) == sorted(known & set(batch))
        known |= set(batch)


def test_seen_ids_keep_few_runs():
    """64,000 ids in calls of 8: with runs merged when they match in size, about log2(8000) = 13 remain."""
    seen = SeenIds()
    for start in range(0, 64000, 8):
        seen.add([str(number) for number in range(start, start + 8)])
    assert len(seen._runs) <= 13
    assert sum(map(len, seen._runs)) == 64000


@pytest.fixture
def listed(tmp_path):
    ids = [f"doc {number}é" for number in range(100)]
    path = tmp_path / "docid"
    path.write_text("".join(f"{doc_id}\n" for doc_id in ids) + "half a li", encoding="utf-8")
    return ids, DocIds(path, 100)


def test_ids_are_read_as_a_sequence(listed):
    ids, on_disk = listed
    assert (len(on_disk), on_disk[0], on_disk[99], on_disk[-1]) == (100, ids[0], ids[99], ids[99])
    assert list(on_disk) == ids and np.array(on_disk).tolist() == ids
    assert on_disk[97:].tolist() == ids[97:] and on_disk[::40].tolist() == ids[::40]
    assert on_disk[np.array([5, 0, 5])].tolist() == [ids[5], ids[0], ids[5]]
    assert on_disk[np.array([], np.int64)].tolist() == []


def test_positions_of_ids(listed):
    ids, on_disk = listed
    assert on_disk.positions([ids[7], "absent", ids[0], ids[7]]).tolist() == [7, -1, 0, 7]
    assert on_disk.positions([]).tolist() == []


def test_no_ids(tmp_path):
    empty = DocIds(tmp_path / "absent", 0)
    assert list(empty) == [] and empty.positions(["a"]).tolist() == [-1]


def test_too_few_ids_are_told(tmp_path):
    (tmp_path / "docid").write_text("a\nb\n")
    with pytest.raises(ValueError, match="2 doc ids where 3 belong"):
        DocIds(tmp_path / "docid", 3)
