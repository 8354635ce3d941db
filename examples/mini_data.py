"""Makes the data that `rader train mini --data DIR` learns from, out of public sources: python examples/mini_data.py DIR

Three collections: theorems of the Stacks project, the claims of SciFact, and problems from GSM8K and AQuA. Every source
is a file of a public repository at one commit, and its bytes are checked, and so is what is made of it: the folder is
the same wherever it is made. A call that was killed goes on where it stopped.
"""

import argparse
import ast
import csv
import gzip
import hashlib
import http.client
import io
import json
import re
import sys
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import stacks_theorems

from rader_ir.files import replacing

HOST = "https://raw.githubusercontent.com"
TRIES, WAIT, TIMEOUT = 3, 5, 60  # downloads of one file, seconds between them, seconds without an answer
STACKS = "stacks/stacks-project/4ac4815d5a00dc2eacab7824cf4e4baafe2773ac"
SCIFACT = "sumithra-p-v/claimverifier/b42f1c3444b28884ddcfadffafbfe223646c6c37"
AQUA = "google-deepmind/AQuA/26b64ed1f22208c6742f47df547dfd65088ec30d"
GSM8K = "openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c"


@dataclass(frozen=True)
class Collection:
    """One folder of the data.

    sources: `OWNER/REPOSITORY/COMMIT/PATH` -> sha256. outputs: file name -> sha256 of its content, unpacked. convert:
    source contents by PATH -> lines by file name.
    """

    name: str
    licence: str
    sources: dict[str, str]
    outputs: dict[str, str]
    convert: Callable[[dict[str, bytes]], dict[str, list[str]]]


def scifact(texts: dict[str, bytes]) -> dict[str, list[str]]:
    """SciFact's CSV tables -> abstracts, and the claims that cite any; the validation claims make the test split."""
    with zipfile.ZipFile(io.BytesIO(texts["data/scifact.zip"])) as packed:
        tables = {
            name: list(csv.DictReader(io.StringIO(packed.read(f"{name}.csv").decode(), newline="")))
            for name in ("corpus_train", "claims_train", "claims_validation")
        }
    files = {"corpus.jsonl.gz": [_json(_abstract(row)) for row in tables["corpus_train"]]}
    for split, table in (("train", "claims_train"), ("test", "claims_validation")):
        queries, qrels = _claims(tables[table])
        files[f"queries.{split}.jsonl"] = [_json(query) for query in queries]
        files[f"qrels/{split}.tsv"] = qrels
    return files


def _abstract(row: dict[str, str]) -> dict:
    return {
        "doc_id": row["doc_id"],
        "title": row["title"],
        "sentences": sentences(row["abstract"]),
        "structured": row["structured"] == "True",
    }


def sentences(printed: str) -> list[str]:
    r"""The strings of an array as numpy prints it, in either kind of quotes and without commas.

    >>> sentences("['It binds.'\n \"CD33's  motif\" 'ends']")
    ['It binds.', "CD33's motif", 'ends']
    """
    literals = re.finditer(r"""(['"])(?:(?!\1)[^\\]|\\.)*\1""", printed)
    return [" ".join(ast.literal_eval(literal[0]).split()) for literal in literals]


def _claims(rows: Iterable[dict[str, str]]) -> tuple[list[dict], list[str]]:
    """Queries and judgements from rows of one rationale each; a claim that cites nothing is left out."""
    queries, qrels = {}, []
    for row in rows:
        cited = dict.fromkeys(re.findall(r"\d+", row["cited_doc_ids"]))  # one claim names an abstract twice
        if not cited:
            continue
        if row["id"] not in queries:
            queries[row["id"]] = {"query_id": row["id"], "text": row["claim"], "evidence": {}}
            qrels.extend(f"{row['id']}\t0\t{doc_id}\t1" for doc_id in cited)
        if row["evidence_doc_id"]:
            evidence = queries[row["id"]]["evidence"]
            found = evidence.setdefault(row["evidence_doc_id"], {"label": row["evidence_label"], "rationales": []})
            found["rationales"].append([int(number) for number in re.findall(r"\d+", row["evidence_sentences"])])
    return list(queries.values()), qrels


def problems(texts: dict[str, bytes]) -> dict[str, list[str]]:
    """GSM8K and AQuA, a problem a line; those of the test splits get ids."""
    lines = {path: content.decode().removesuffix("\n").split("\n") for path, content in texts.items()}
    gsm8k = "grade_school_math/data"
    return {
        "gsm8k_train.jsonl.gz": lines[f"{gsm8k}/train.jsonl"],
        "gsm8k_test.jsonl": _with_ids("gsm8k_test", lines[f"{gsm8k}/test.jsonl"]),
        "aqua_dev.jsonl": lines["dev.json"],
        "aqua_test.jsonl": _with_ids("aqua_test", lines["test.json"]),
    }


def _with_ids(name: str, lines: Iterable[str]) -> list[str]:
    return [_json({"id": f"{name}_{number}", **json.loads(line)}) for number, line in enumerate(lines)]


def _json(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False)


COLLECTIONS = (
    Collection(
        name="stacks_theorems",
        licence="The Stacks project (https://stacks.math.columbia.edu): GNU Free Documentation License 1.2",
        sources={
            f"{STACKS}/COPYING": "4b2c8fc390f802cd92f0622dc00a708a588bec54d0145d2ee135d6d7672bfe85",
            f"{STACKS}/tags/tags": "098f77cce75f8359f1eacb22b7aa0088099b09e5b3ffcad2de513cbd1a8a9f1c",
            f"{STACKS}/sets.tex": "9bcc55e7f11cf36b0665ae549d5ba76be6a0edd00f7fca36a567e367099603f9",
            f"{STACKS}/categories.tex": "62f7611af4c3feebd041db4728b42c7112004cfbb9fa5ecb643c6f5d90db3f25",
            f"{STACKS}/topology.tex": "44548f530113104b4e64385090ee1ac7be2d64e5841d749ab986e04efaaf5981",
            f"{STACKS}/fields.tex": "87e07f0373dc60cfc284e2f19078bc9bc7ab0b89c40eef83941f6c38c765c549",
            f"{STACKS}/algebra.tex": "fa8bb92e58a4f78a2bd01b3b6a4a87de0a0d279f5dd90641b574dd5fbfffa4f3",
            f"{STACKS}/homology.tex": "483caf01b4bd164dbc9103d76196e294e00efe17e706178ecf2dc2c1def4abe0",
            f"{STACKS}/sheaves.tex": "ac4f9edc7db85e66329806ec9ea42816187a469772844baea663e1c9a9f00b38",
            f"{STACKS}/brauer.tex": "b2504820d769ebe4e9e33b8add78753fb30aca6e8a7f75c8d54dda885edcd682",
        },
        outputs={
            "COPYING.stacks": "4b2c8fc390f802cd92f0622dc00a708a588bec54d0145d2ee135d6d7672bfe85",
            "corpus.jsonl.gz": "719d7a94b6004c1c1a14123923897d8253a371ce42f010e1f28e48273daa8aae",
            "queries.train.jsonl": "0c784e307029c94b3f3b1ce77956ea6f4a514f025195e3d8d15159c334a02ae4",
            "queries.test.jsonl": "fba62f506282b7679fc19c286f60a6f53156b887bb6d3f04128c9badf6ca2a46",
            "qrels/train.tsv": "d1dd34fb94315229d1de1c171a2529c47fd7fde6ec47def746543519a9d1b7e9",
            "qrels/test.tsv": "d500ba69524715cc491eb3c2fa9ebc51a3c4e1a39d2d6dedb57fa658580dc176",
        },
        convert=stacks_theorems.convert,
    ),
    Collection(
        name="scifact",
        licence="SciFact (Wadden et al. 2020, allenai/scifact): claims and evidence CC BY 4.0, abstracts ODC-By 1.0",
        sources={f"{SCIFACT}/data/scifact.zip": "a798a7046af0f6fa04476448459ce7cafeea5bd90d4d99c53a0e27dc5e1a4673"},
        outputs={
            "corpus.jsonl.gz": "daad7ea88f00f20df35aa9ddb306f6bbe533b40bb2ed848cbc5ac798551967a1",
            "queries.train.jsonl": "83ddba511c2ab59b424ce2e244aabca6772355729137851658af4c1ce36649d7",
            "queries.test.jsonl": "6c5e89eaa5e1861d62c55252a8723d40eb50c9dff8c03ea4f79f5c5a13f74b33",
            "qrels/train.tsv": "34fdfaee2a5fa88cab73e00f245c8aaa6fc86f47e7caeb02e6c2ce56c7a7fbad",
            "qrels/test.tsv": "78d5a750c2fff67dbcd38aaceaf2d556b706eb2c6cb82fa3872b27956de11b35",
        },
        convert=scifact,
    ),
    Collection(
        name="math",
        licence="GSM8K (openai/grade-school-math): MIT; AQuA (google-deepmind/AQuA): Apache-2.0",
        sources={
            f"{GSM8K}/grade_school_math/data/train.jsonl": "17f347dc51477c50d4efb83959dbb7c5"
            "6297aba886e5544ee2aaed3024813465",
            f"{GSM8K}/grade_school_math/data/test.jsonl": "3730d312f6e3440559ace48831e51066"
            "acaca737f6eabec99bccb9e4b3c39d14",
            f"{AQUA}/dev.json": "4a52301d8a49ae0b286f8e697f9c5da1b109b247b825b47b4c6de34312dceec5",
            f"{AQUA}/test.json": "de41581881ef95c5588c44ddc701c77fd480839241dd422a0d181262af24520c",
        },
        outputs={
            "gsm8k_train.jsonl.gz": "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
            "gsm8k_test.jsonl": "80a31253e388dc295b96f399147d33f1012fdba2828f4917a622fe5c290d244e",
            "aqua_dev.jsonl": "4a52301d8a49ae0b286f8e697f9c5da1b109b247b825b47b4c6de34312dceec5",
            "aqua_test.jsonl": "66f7a3b5f8366a77c83fd152303b9af0db664ca8df7e215e898c5460afe148fd",
        },
        convert=problems,
    ),
)
WARNING = (
    "The Stacks texts are copyleft (GFDL 1.2): keep stacks_theorems and copies of its texts out of repositories "
    "under MIT or Apache licences."
)


def make(collection: Collection, folder: Path, mirror: Path | None = None) -> None:
    """Writes the collection's files below `folder`; what is there and whole is left alone.

    Sources come from `mirror`, a folder of OWNER/REPOSITORY/COMMIT/PATH, or else from GitHub, and are then kept in
    `folder`/.sources, which serves as a mirror elsewhere.

    Raises:
        OSError: a source cannot be had. ValueError: a source, or what was made of it, is not what is expected.
    """
    target = folder / collection.name
    missing = [name for name, digest in collection.outputs.items() if not _whole(target / name, digest)]
    if not missing:
        print(f"{collection.name}: whole already", flush=True)
        return
    texts = {}
    for number, (source, digest) in enumerate(collection.sources.items(), start=1):
        print(f"{collection.name}: source {number} of {len(collection.sources)}, {source}", flush=True)
        path = source.split("/", 3)[3]
        texts[path] = _mirrored(mirror, source, digest) if mirror else _fetched(folder / ".sources", source, digest)
    contents = {name: "".join(f"{line}\n" for line in lines) for name, lines in collection.convert(texts).items()}
    for name in missing:
        _check(
            contents[name].encode(), collection.outputs[name], target / name, "not written: the conversion has changed"
        )
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(target / name) as file:
            file.write(contents[name])
        print(f"{collection.name}: wrote {name}, {contents[name].count(chr(10)):,} lines", flush=True)


def _whole(path: Path, digest: str) -> bool:
    if not path.exists():
        return False
    content = path.read_bytes()
    try:
        return _sha256(gzip.decompress(content) if path.suffix == ".gz" else content) == digest
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False


def _mirrored(mirror: Path, source: str, digest: str) -> bytes:
    path = mirror / source
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: not there; a mirror holds OWNER/REPOSITORY/COMMIT/PATH: copy {HOST}/{source} there, or leave "
            "--mirror out"
        )
    return _check(path.read_bytes(), digest, path)


def _fetched(kept: Path, source: str, digest: str) -> bytes:
    """A source from GitHub, or as an earlier call kept it."""
    path = kept / source
    if path.is_file() and _sha256(path.read_bytes()) == digest:
        return path.read_bytes()
    content = _check(_download(f"{HOST}/{source}"), digest, f"{HOST}/{source}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.buffer.write(content)
    return content


def _download(url: str) -> bytes:
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException) as error:
            if attempt == TRIES:
                advice = "see that this machine reaches it, or give the sources as --mirror DIR"
                raise OSError(f"{url}: no download in {TRIES} tries ({error}); {advice}") from error
            time.sleep(WAIT)


def _check(
    content: bytes, digest: str, what: str | Path, advice: str = "get it again, as it is at this commit"
) -> bytes:
    if (found := _sha256(content)) != digest:
        raise ValueError(f"{what}: sha256 {found}, expected {digest}; {advice}")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(argv: Sequence[str] | None = None, collections: Iterable[Collection] = COLLECTIONS) -> int:
    """Makes all collections; returns 0, or 2 after one line on stderr that names what is wrong."""
    parser = argparse.ArgumentParser(description="Make the data that `rader train mini --data DIR` learns from.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the data goes")
    parser.add_argument("--mirror", type=Path, help="folder of OWNER/REPOSITORY/COMMIT/PATH to read instead of GitHub")
    args = parser.parse_args(argv)
    try:
        for collection in collections:
            make(collection, args.folder, args.mirror)
    except (OSError, ValueError) as error:
        print(f"mini_data: {error}", file=sys.stderr)
        return 2
    print("\nLicences:", *(f"- {one.name}: {one.licence}" for one in collections), WARNING, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
