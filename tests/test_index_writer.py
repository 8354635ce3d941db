"""Writing an index: streams, interruptions, appends and shards all end with the bytes of one unbroken call."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rader_ir.index import Index
from rader_ir.index_folder import locked
from rader_ir.index_writer import build_index, merge_shards, write_index
from tests.toy_index import MADE_BY, Toy, contents, cut_after, documents, vector

COUNT, CHUNK = 100, 16
FILES = {"vecs.f4", "docid", "chunks.bin", "docnos.npids", "pt_meta.json", "index", "rader_index.json"}


def build(folder, docs=None, **options):
    docs = documents(COUNT) if docs is None else docs
    options.setdefault("encoder", Toy(batchy=True))
    return build_index(folder, docs, options.pop("encoder"), chunk=CHUNK, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The index of all documents, written by one call."""
    folder = tmp_path_factory.mktemp("whole")
    build(folder)
    return contents(folder)


def test_an_index_holds_what_it_was_given(tmp_path):
    index = build(tmp_path / "new" / "folder", encoder=Toy())
    assert set(os.listdir(index.folder)) == FILES
    assert list(index.doc_ids) == [doc_id for doc_id, _ in documents(COUNT)]
    assert np.array_equal(index.vectors, np.stack([vector(text, 12) for _, text in documents(COUNT)]))
    assert (len(index), index.dimension, index.meta["made_by"]) == (COUNT, 12, MADE_BY)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 50, 99])
def test_an_interrupted_call_goes_on_and_ends_with_the_same_bytes(tmp_path, whole, count):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, cut_after(documents(COUNT), count))
    with pytest.raises(FileNotFoundError, match="half-written" if count >= CHUNK else "holds no index"):
        Index(tmp_path)
    encoder = Toy(batchy=True)
    build(tmp_path, iter(documents(COUNT)), encoder=encoder)
    assert contents(tmp_path) == whole
    assert len(encoder.encoded) == COUNT - count // CHUNK * CHUNK  # whole chunks are not encoded again


@pytest.mark.parametrize("name", ["vecs.f4", "docid", "chunks.bin"])
def test_torn_ends_are_cut_off(tmp_path, whole, name):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, cut_after(documents(COUNT), 50))
    with open(tmp_path / "unfinished" / name, "ab") as file:
        file.write(b"\x01\x02\x03\n\x05")
    build(tmp_path)
    assert contents(tmp_path) == whole


def test_ready_vectors_make_the_same_index(tmp_path, whole):
    index = build(tmp_path / "texts")
    rows = zip(index.doc_ids, index.vectors.astype(np.float64), strict=True)
    write_index(tmp_path / "rows", rows, dimension=12, made_by=MADE_BY, chunk=CHUNK)
    ours = contents(tmp_path / "rows")
    assert {name for name in whole if ours[name] != whole[name]} == {"chunks.bin"}  # digests of vectors, not of texts


def test_the_same_call_on_a_finished_index_changes_nothing(tmp_path, whole):
    build(tmp_path)
    encoder = Toy(batchy=True)
    assert len(build(tmp_path, encoder=encoder)) == COUNT
    assert contents(tmp_path) == whole and encoder.encoded == []


OTHERS = {
    "more": (documents(COUNT + 1), "go on after the 100"),
    "a chunk more": (documents(COUNT + 30), "go on after the 100"),
    "a chunk less": (documents(80), "end before the 100"),
    "one less": (documents(COUNT - 1), "end with 'd9604', but"),
    "one left out": (documents(40) + documents(60, start=41), "document 41 is 'd1681', but .* holds 'd1600' there"),
    "another text": ([*documents(3), ("d9", "another"), *documents(96, start=4)], "a text or vector among .* changed"),
}


@pytest.mark.parametrize(("now", "says"), OTHERS.values(), ids=OTHERS)
def test_a_finished_index_of_other_documents_is_refused(tmp_path, now, says):
    build(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=says):
        build(tmp_path, now)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["one left out", "another text"])
def test_going_on_with_other_documents_is_refused(tmp_path, name):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, cut_after(documents(COUNT), 90))
    now, says = OTHERS[name]
    with pytest.raises(ValueError, match=says):
        build(tmp_path, now)
    with pytest.raises(ValueError, match=r"end with .d2401., but .* holds more"):
        build(tmp_path, documents(50))


@pytest.mark.parametrize("finished", [True, False])
def test_another_encoder_or_setting_is_refused_with_both_sides_named(tmp_path, finished):
    docs = documents(COUNT)
    if finished:
        build(tmp_path, docs)
    else:
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, cut_after(docs, 50))
    with pytest.raises(ValueError, match="pooling: 'none' / 'mean'"):
        build(tmp_path, docs, encoder=Toy(batchy=True, pooling="mean"))
    with pytest.raises(ValueError, match="dimension: 12 / 13"):
        build(tmp_path, docs, encoder=Toy(13))
    with pytest.raises(ValueError, match=r"formats: \['pyserini', 'flex'\] / \['flex'\]"):
        build(tmp_path, docs, formats=["flex"])
    with pytest.raises(ValueError, match="chunk: 16 / 8"):
        build_index(tmp_path, docs, Toy(batchy=True), chunk=8)


@pytest.mark.parametrize("formats", [("pyserini", "flex"), ("pyserini",), ("flex",)])
def test_appending_at_a_chunks_end_equals_writing_at_once(tmp_path, formats):
    build(tmp_path / "once", formats=formats)
    build(tmp_path / "twice", documents(64), formats=formats)
    build(tmp_path / "twice", documents(36, start=64), append=True)
    once, twice = contents(tmp_path / "once"), contents(tmp_path / "twice")
    assert {name for name in once if once[name] != twice.get(name)} == {"rader_index.json", "chunks.bin"}  # the parts
    assert Index(tmp_path / "twice").meta["parts"] == [64, 100]


def test_appending_elsewhere_keeps_every_vector_that_does_not_see_its_batch(tmp_path):
    docs = documents(COUNT)
    for start, end in ((0, 21), (21, 21), (21, 22), (22, COUNT)):
        build(tmp_path, docs[start:end], append=True, encoder=Toy())
    index = Index(tmp_path)
    assert list(index.doc_ids) == [doc_id for doc_id, _ in docs]
    assert np.array_equal(index.vectors, np.stack([vector(text, 12) for _, text in docs]))


def test_the_same_append_again_adds_nothing(tmp_path):
    for _ in range(2):
        build(tmp_path, documents(50))
    for _ in range(3):
        build(tmp_path, documents(50, start=50), append=True)
    assert len(Index(tmp_path)) == COUNT
    with pytest.raises(ValueError, match="was added to"):
        build(tmp_path, documents(50))


def test_appending_a_known_doc_id_is_refused(tmp_path):
    build(tmp_path, documents(50))
    with pytest.raises(ValueError, match=r"doc id 'd2209' comes twice: document 3 has it, and so has line 48 of"):
        build(tmp_path, [("new", "text"), ("newer", "text"), documents(50)[47]], append=True)
    assert len(Index(tmp_path)) == 50


def test_an_unfinished_append_leaves_the_old_index_open_with_a_warning(tmp_path):
    build(tmp_path, documents(50))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, cut_after(documents(50, start=50), 40), append=True)
    with pytest.warns(UserWarning, match="the first 50"):
        assert len(Index(tmp_path)) == 50
    with pytest.raises(ValueError, match=r"an append to .* was interrupted"):
        build(tmp_path, documents(50))
    assert len(build(tmp_path, documents(50, start=50), append=True)) == COUNT


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shards_merge_to_the_bytes_of_one_process(tmp_path, whole, count):
    """Seven chunks; of nine shards two stay empty."""
    for number in reversed(range(count)):
        shard = build(tmp_path, iter(documents(COUNT)), shard=(number, count))
        assert len(shard) == sum(len(documents(COUNT)[k : k + 16]) for k in range(16 * number, COUNT, 16 * count))
    merge_shards(tmp_path, count)
    assert contents(tmp_path) == whole
    assert len(merge_shards(tmp_path, count)) == COUNT


def test_an_interrupted_shard_goes_on(tmp_path, whole):
    build(tmp_path, shard=(0, 2))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, cut_after(documents(COUNT), 60), shard=(1, 2))
    with pytest.raises(FileNotFoundError, match="shard-1-of-2 is not finished"):
        merge_shards(tmp_path, 2)
    with pytest.raises(FileNotFoundError, match="not merged"):
        Index(tmp_path)
    build(tmp_path, shard=(1, 2))
    merge_shards(tmp_path, 2)
    assert contents(tmp_path) == whole


def test_shards_of_different_documents_or_settings_do_not_merge(tmp_path):
    build(tmp_path / "a", shard=(0, 2))
    build(tmp_path / "a", documents(COUNT - 1), shard=(1, 2))
    with pytest.raises(ValueError, match="different documents"):
        merge_shards(tmp_path / "a", 2)
    build(tmp_path / "b", shard=(0, 2))
    build(tmp_path / "b", shard=(1, 2), encoder=Toy(pooling="mean"))
    with pytest.raises(ValueError, match="shard-0-of-2 and shard-1-of-2 differ: pooling: 'none' / 'mean'"):
        merge_shards(tmp_path / "b", 2)


def test_a_doc_id_in_two_shards_is_found_by_the_merge(tmp_path):
    docs = [*documents(COUNT - 1), documents(1)[0]]
    for number in (0, 1):
        build(tmp_path, docs[:17] + docs[-1:], shard=(number, 2))
    with pytest.raises(ValueError, match="doc id 'dé0' comes twice: document 18"):
        merge_shards(tmp_path, 2)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_an_impossible_shard_is_refused(tmp_path, shard):
    with pytest.raises(ValueError, match="0 <= i < n"):
        build(tmp_path, shard=shard)


def test_shards_and_index_keep_out_of_each_others_way(tmp_path):
    build(tmp_path / "a", shard=(0, 2))
    with pytest.raises(FileExistsError, match="merge_shards"):
        build(tmp_path / "a")
    build(tmp_path / "b")
    with pytest.raises(FileExistsError, match="elsewhere"):
        build(tmp_path / "b", shard=(0, 2))


BAD_DOCUMENTS = [
    ([("a", "text"), ("a", "other")], "'a' comes twice: documents 1 and 2"),
    ([*documents(40), documents(1)[0]], "'dé0' comes twice: document 41"),
    ([("a b", "text")], "'a b' of document 1 holds a blank"),
    ([("a\tb", "text")], "holds a tab"),
    ([("a", "text"), ("", "text")], "'' of document 2 is empty"),
    ([(3, "text")], "is a int"),
    ([("a", None)], r"document 'a' \(number 1\): its text is None"),
    ([("a", "")], r"document 'a' \(number 1\): its text is empty"),
    ([("a", " \n")], "its text is empty"),
    ([("a", float("nan"))], "its text is nan"),
    ([("a", "broken \ud800")], r"document 'a' \(number 1\): .*surrogates"),
]


@pytest.mark.parametrize(("docs", "says"), BAD_DOCUMENTS, ids=[says for _, says in BAD_DOCUMENTS])
def test_bad_documents_are_refused_by_name_and_leave_no_index(tmp_path, docs, says):
    with pytest.raises(ValueError, match=says):
        build(tmp_path, docs)
    assert set(os.listdir(tmp_path)) == ({"unfinished"} if len(docs) > CHUNK else set())


def test_no_documents_make_no_index(tmp_path):
    """But a shard that no chunk falls to is as good as any other."""
    with pytest.raises(ValueError, match=r"there are no documents to put into .*none"):
        build(tmp_path / "none", [])
    assert not contents(tmp_path / "none")
    for number in (0, 1):
        build(tmp_path / "parts", [("a", "text")], shard=(number, 2))
    assert len(merge_shards(tmp_path / "parts", 2)) == 1


def test_files_cut_short_are_named(tmp_path):
    index = build(tmp_path, documents(40))
    index.add_hnsw()
    graph, meta = tmp_path / "hnsw.faiss", tmp_path / "rader_index.json"
    for size in (0, 10, graph.stat().st_size // 2):
        os.truncate(graph, size)
        with pytest.raises(ValueError, match=r"hnsw\.faiss is missing, cut short or damaged; .* again"):
            Index(tmp_path).search(index.vectors[:1], kind="hnsw")
    os.truncate(meta, 50)
    with pytest.raises(ValueError, match=r"rader_index\.json is cut short or damaged .* build the index again"):
        Index(tmp_path)


def test_blank_ids_and_empty_texts_pass_on_request(tmp_path):
    index = build(tmp_path, [("a b", ""), ("c", "text")], blank_ids="allow", empty_texts="allow")
    assert list(index.doc_ids) == ["a b", "c"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (np.full(3, np.nan), "'b'.*NaN or infinity"),
        (np.array([1, np.inf, 0]), "'b'.*NaN or infinity"),
        (np.zeros(4), r"'b'.*shape \(4,\), expected \(3,\)"),
        (np.zeros((1, 3)), r"'b'.*shape \(1, 3\)"),
        (["x", "y", "z"], "'b'.*could not convert"),
        (None, "'b'"),
    ],
)
def test_bad_vectors_are_refused_by_name(tmp_path, row, says):
    with pytest.raises(ValueError, match=says):
        write_index(tmp_path, [("a", np.zeros(3)), ("b", row)], dimension=3, made_by={})
    with pytest.raises(FileNotFoundError, match="holds no index"):
        Index(tmp_path)


def test_an_encoder_that_gives_rubbish_is_refused_by_document(tmp_path):
    class Broken(Toy):
        def encode_docs(self, texts):
            vectors = super().encode_docs(texts)
            vectors[np.array(texts) == "text number 20"] = np.nan
            return vectors if len(texts) == CHUNK else vectors[:-1]

    with pytest.raises(ValueError, match=r"NaN or infinity for document 'd400' \(number 21\)"):
        build(tmp_path / "a", encoder=Broken())
    with pytest.raises(ValueError, match=r"shape \(1, 12\), expected \(2, 12\)"):
        build(tmp_path / "b", documents(2), encoder=Broken())


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="index format 'lucene' is unknown"):
        build(tmp_path, formats=["lucene"])
    with pytest.raises(ValueError, match="formats is empty"):
        build(tmp_path, formats=[])
    with pytest.raises(ValueError, match="blank_ids 'yes' is unknown; choose 'refuse' or 'allow'"):
        build(tmp_path, blank_ids="yes")
    with pytest.raises(ValueError, match="chunk is 0"):
        build_index(tmp_path, documents(2), Toy(), chunk=0)


def test_one_writer_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(RuntimeError, match="another process is writing"):
        build(tmp_path)
    build(tmp_path)


def test_foreign_files_are_not_overwritten(tmp_path):
    (tmp_path / "docid").write_text("mine\n")
    with pytest.raises(FileExistsError, match="holds docid"):
        build(tmp_path)
    assert contents(tmp_path) == {"docid": b"mine\n"}
    with pytest.raises(NotADirectoryError, match="is a file"):
        build(tmp_path / "docid")


def test_a_corpus_larger_than_the_disk_is_refused_before_it_is_written(tmp_path):
    """A list has a length: 10^9 vectors of 12 floats, twice, take 96 GB and more; a generator is told by `total`."""
    needed = r"needs \d{3,}\.\d+ GB more and its disk has"
    with pytest.raises(OSError, match=needed):
        build(tmp_path, iter(documents(2)), total=10**10)
    assert "vecs.f4" not in contents(tmp_path)


def test_a_disk_that_fills_up_is_told_and_the_same_call_goes_on(tmp_path, whole):
    """The limit on file sizes stands in for a full disk: the system refuses the same write."""
    script = f"""
import resource, signal
from tests.test_index_writer import build
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
build({str(tmp_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "no room left while writing" in done.stderr and "make the same call again" in done.stderr
    build(tmp_path)
    assert contents(tmp_path) == whole


def test_room_is_looked_at_before_every_chunk(tmp_path, whole, monkeypatch):
    """The disk's report is made to shrink below what the copy for faiss will need."""
    free = iter([10**9, 10**9, 2000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, next(free)))
    with pytest.raises(OSError, match=r"needs 0\.00\d GB more and its disk has 0\.000 GB free; make room"):
        build(tmp_path)
    monkeypatch.undo()
    build(tmp_path)
    assert contents(tmp_path) == whole


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """Root may write everywhere, so as root the call runs without that privilege."""
    tmp_path.chmod(0o555)
    bare = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.getuid() == 0 else []
    if bare and not shutil.which("setpriv"):
        pytest.skip("root, and no setpriv to give the privilege up")
    script = f"from tests.test_index_writer import build; build({str(tmp_path)!r})"
    command = [*bare, sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr.splitlines()[-1]
    assert "make the folder writable or choose another one" in done.stderr.splitlines()[-1]


def test_writing_imports_no_model_library():
    script = (
        "import rader_ir.index_writer, sys; print([m for m in ('torch', 'faiss', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_progress_is_shown_on_request_only(tmp_path, capsys):
    build(tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    build(tmp_path / "b", verbose=True)
    assert "100/100" in capsys.readouterr().err
