"""IDCM: a light selector reads a whole document, a strong model only its best windows (arXiv:2105.09816, section 3).

A document is cut into windows of `core` tokens with `overlap` more on both sides; their cores tile it. A convolutional kernel
model (CK) over the strong model's own embeddings scores every window, the best few go to the strong model, and a learned weighted
sum of its highest scores is the document's. Texts become token ids in `rader_ir.idcm_texts`.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from rader_ir.checkpoint_folders import read_json

CONFIG, WEIGHTS, STRONG = "idcm.json", "idcm.safetensors", "strong"
MISSING = ("zero", "mean", "renormalise")
ENDS = ("window", "document")
MEANS, DEVIATION = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5, -0.7, -0.9), 0.1  # of the kernels
_REACH = 3  # tokens of a convolution
_FLOOR = 1e-4  # of a kernel's sum, before its logarithm
_CELLS, _WINDOWS = 1 << 20, 256  # similarities, and windows whose states are in memory, at once

Span = tuple[int, int]
Embed = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class IDCMConfig:
    """What an IDCM is, beside its weights.

    Attributes:
        strong: the strong model: a checkpoint's name, a hub id, or a folder (one inside the IDCM's own folder by its name there).
        core, overlap: tokens of a window's core and on either side of it. The published model has 50 and 7.
        passages: windows of a document that the strong model reads, k in the paper.
        best: of their scores, how many make the document's, l in the paper.
        missing: where a document has fewer than `best`: `zero` counts them as 0, as the published model does, so that of
            documents whose scores are all negative the longer one is punished; `mean` as the mean of the others;
            `renormalise` shares their weights among the others.
        ends: whether the tokens that close the strong model's pair stand behind every `window`, as it was trained, or once
            behind the `document`, as in the published model.
        projected, channels: of the selector: width to which embeddings are reduced, and of its convolution; None keeps what
            comes in. 384 and 128 is the paper's small one.
        max_query_length, max_doc_length: tokens of a query's and a document's text that are read; None reads all. The
            published model has 30 and 2000.

    Raises:
        ValueError: a value out of range.
    """

    strong: str
    core: int = 50
    overlap: int = 7
    passages: int = 4
    best: int = 3
    missing: str = "zero"
    ends: str = "window"
    projected: int | None = None
    channels: int | None = None
    max_query_length: int | None = None
    max_doc_length: int | None = None

    def __post_init__(self):
        for name in ("core", "passages", "best"):
            _check_whole(name, getattr(self, name), 1)
        _check_whole("overlap", self.overlap, 0)
        for name in ("projected", "channels", "max_query_length", "max_doc_length"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1)
        for name, allowed in (("missing", MISSING), ("ends", ENDS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose {', '.join(map(repr, allowed))}")

    @property
    def width(self) -> int:
        """Tokens of a window with all of its overlap."""
        return self.core + 2 * self.overlap


def _check_whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; give a whole number, {least} or more")


def spans(length: int, core: int, overlap: int) -> list[Span]:
    """(begin, end) of each window of a document of `length` tokens, overlap included as far as there are tokens.

    Cores [p * core, (p + 1) * core) tile the document; one without tokens has one empty window.

    >>> spans(7, core=3, overlap=1)
    [(0, 4), (2, 7), (5, 7)]
    >>> spans(0, core=3, overlap=1)
    [(0, 0)]
    """
    starts = range(0, max(length, 1), core)
    return [(max(0, start - overlap), min(length, start + core + overlap)) for start in starts]


def frames(ids: Sequence[int], core: int, overlap: int, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows of a document as the selector reads them: each core at the same place, padding where the document is not.

    Returns:
        Token ids, int64 [P, core + 2 * overlap], and the mask of those that are no padding, bool of the same shape.
    """
    count, width = max(1, -(-len(ids) // core)), core + 2 * overlap
    padded = np.full(count * core + 2 * overlap, pad_id, dtype=np.int64)
    padded[overlap : overlap + len(ids)] = ids
    places = np.arange(count)[:, None] * core + np.arange(width)
    return padded[places], (places >= overlap) & (places < overlap + len(ids))


def aggregate(scores: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor, missing: str) -> torch.Tensor:
    """Scores of documents, float32 [n], from those of their windows: the highest, from high to low, times learned weights.

    Args:
        scores: [n, P].
        mask: bool [n, P], where there is a window, at least one in each row.
        weights: [l].
        missing: as `IDCMConfig`.
    """
    count = min(len(weights), scores.shape[1])
    top = scores.float().masked_fill(~mask, -torch.inf).topk(count, dim=1).values
    top = functional.pad(top, (0, len(weights) - count))
    there = torch.arange(len(weights), device=mask.device) < mask.sum(dim=1, keepdim=True)
    top = torch.where(there, top, 0.0)
    if missing == "mean":
        top = torch.where(there, top, top.sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True))
    found = (top * weights).sum(dim=1)
    return found * weights.sum() / (there * weights).sum(dim=1) if missing == "renormalise" else found


class Selector(nn.Module):
    """CK: how well windows fit a query, by convolved embeddings and kernels over their cosines (section 3.3).

    Args:
        dimension: of the embeddings, which are not its own and stay frozen.
        projected, channels: as `IDCMConfig`.
    """

    def __init__(self, dimension: int, *, projected: int | None = None, channels: int | None = None):
        super().__init__()
        wide = projected or dimension
        self.project = nn.Linear(dimension, wide) if projected else nn.Identity()
        self.convolve = nn.Conv1d(wide, channels or wide, _REACH)
        self.scale = nn.Parameter(torch.ones(len(MEANS)))
        self.combine = nn.Linear(len(MEANS), 1, bias=False)
        nn.init.uniform_(self.combine.weight, -0.014, 0.014)

    def states(self, embedded: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Unit states [n, T, C] of embeddings [n, T, D]; `mask` [n, T] takes out what follows a query's end."""
        found = self.project(embedded.float())
        if mask is not None:
            found = found * mask.unsqueeze(-1)
        found = functional.pad(found.transpose(1, 2), (0, _REACH - 1))
        found = functional.relu(self.convolve(found)).transpose(1, 2)
        return found / (found.norm(dim=-1, keepdim=True) + 1e-13)

    def forward(
        self, queries: torch.Tensor, query_mask: torch.Tensor, windows: torch.Tensor, window_mask: torch.Tensor
    ) -> torch.Tensor:
        """Scores [n] of n pairs by their states [n, Q, C], [n, T, C] and masks [n, Q], [n, T]."""
        cosines = queries @ windows.transpose(1, 2)
        there = window_mask.unsqueeze(1)
        sums = [
            (torch.exp(-((cosines - mean) ** 2) / (2 * DEVIATION**2)) * there).sum(dim=2) for mean in MEANS
        ]  # each [n, Q]
        kernels = (torch.stack(sums, dim=-1) * self.scale).clamp(min=_FLOOR).log() * query_mask.unsqueeze(-1)
        return self.combine(kernels.sum(dim=1))[:, 0]


def embedder(model: nn.Module) -> Embed:
    """Ids [n, T] to the embeddings [n, T, D] that a model's first layer reads, with positions where it adds them there."""
    body = model.base_model
    layer = getattr(body, "embeddings", None) or body.get_input_embeddings()
    return lambda ids: layer(ids).detach().float()


def query_states(selector: Selector, embed: Embed, queries: Sequence[Sequence[int]], device: torch.device):
    """States [q, Q, C] and mask [q, Q] of queries, each as if it stood alone."""
    longest = max(map(len, queries))
    ids, mask = np.zeros((len(queries), longest), dtype=np.int64), np.zeros((len(queries), longest), dtype=bool)
    for row, query in enumerate(queries):
        ids[row, : len(query)], mask[row, : len(query)] = query, True
    mask = torch.from_numpy(mask).to(device)
    return selector.states(embed(torch.from_numpy(ids).to(device)), mask), mask


@torch.inference_mode()
def select_scores(
    selector: Selector,
    embed: Embed,
    queries: Sequence[Sequence[int]],
    docs: Sequence[tuple[np.ndarray, np.ndarray]],
    pairs: Sequence[tuple[int, int]],
    device: torch.device,
) -> list[np.ndarray]:
    """The selector's scores of all windows of each pair; each window's states are made once, however many queries read it.

    Args:
        selector: on `device`.
        embed: of `embedder`.
        queries: token ids.
        docs: each document's windows, as `frames` gives them.
        pairs: (query, document) by their places.
        device: of the model.

    Returns:
        For each pair, float32 [P].
    """
    if not pairs:
        return []
    made, query_mask = query_states(selector, embed, queries, device)
    lengths = query_mask.sum(dim=1).cpu().numpy()
    sizes = np.array([len(ids) for ids, _ in docs])
    starts = np.cumsum(sizes) - sizes
    ids, masks = (torch.from_numpy(np.concatenate(part)) for part in zip(*docs, strict=True))
    of_query = np.concatenate([np.full(sizes[doc], query) for query, doc in pairs])
    of_window = np.concatenate([starts[doc] + np.arange(sizes[doc]) for _, doc in pairs])
    order = np.lexsort((lengths[of_query], of_window // _WINDOWS))
    chunks = (of_window // _WINDOWS)[order]
    scores = np.empty(len(order), dtype=np.float32)
    for chunk in np.unique(chunks):
        first = int(chunk) * _WINDOWS
        part = slice(first, first + _WINDOWS)
        states, window_mask = selector.states(embed(ids[part].to(device))), masks[part].to(device)
        rows = order[slice(*np.searchsorted(chunks, (chunk, chunk + 1)))]
        step = max(1, _CELLS // (ids.shape[1] * int(lengths[of_query[rows]].max())))
        for some in (rows[start : start + step] for start in range(0, len(rows), step)):
            query, window = torch.from_numpy(of_query[some]), torch.from_numpy(of_window[some] - first)
            long = int(lengths[of_query[some]].max())
            found = selector(made[query, :long], query_mask[query, :long], states[window], window_mask[window])
            scores[some] = found.cpu().numpy()
    return np.split(scores, np.cumsum([sizes[doc] for _, doc in pairs])[:-1])


def choose(scores: np.ndarray, passages: int) -> np.ndarray:
    """The places of the highest scores, as many as `passages`, of equal ones the first, in the document's order.

    >>> choose(np.array([0.1, 0.7, 0.7, 0.2, 0.7]), 2).tolist()
    [1, 2]
    """
    return np.sort(np.argsort(-scores, kind="stable")[:passages])


def new_weights(config: IDCMConfig, dimension: int, seed: int = 0) -> tuple[Selector, torch.Tensor]:
    """An untrained selector for embeddings of `dimension`, and weights of 1 for the sum of scores."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        selector = Selector(dimension, projected=config.projected, channels=config.channels)
    return selector.eval(), torch.ones(config.best)


def write_idcm(folder: str | os.PathLike, config: IDCMConfig, selector: Selector, weights: torch.Tensor) -> None:
    """Write `idcm.json` and `idcm.safetensors` into a folder that exists; the strong model is written beside them, or named."""
    tensors = {f"selector.{name}": tensor.contiguous() for name, tensor in selector.state_dict().items()}
    save_file({**tensors, "weights": weights.detach().float().contiguous()}, Path(folder) / WEIGHTS)
    text = json.dumps(asdict(config), indent=2) + "\n"
    (Path(folder) / CONFIG).write_text(text, encoding="utf-8")


def read_config(folder: str | os.PathLike) -> IDCMConfig:
    """The configuration of an IDCM's folder, its strong model by a name that works from anywhere.

    Raises:
        FileNotFoundError: the folder is none of an IDCM.
        ValueError: an unknown or wrong entry.
    """
    folder = Path(folder).expanduser()
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {CONFIG}, so it is no IDCM; `rader train idcm` makes one, and --system rader opens a strong "
            "model alone"
        )
    told = read_json(folder / CONFIG)
    if unknown := sorted(set(told) - {field.name for field in fields(IDCMConfig)}):
        raise ValueError(f"{folder / CONFIG} has fields that are unknown: {', '.join(unknown)}")
    try:
        inside = folder / str(told.get("strong"))
        return IDCMConfig(**{**told, **({"strong": str(inside.absolute())} if inside.is_dir() else {})})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error


def read_weights(folder: str | os.PathLike, config: IDCMConfig, dimension: int) -> tuple[Selector, torch.Tensor]:
    """The selector, in evaluation, and the weights of the sum of scores, float32 [best], on the CPU.

    Raises:
        FileNotFoundError: no weights there.
        ValueError: weights of another shape, as of another strong model.
    """
    path = Path(folder).expanduser() / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the folder is half-written, train it again")
    tensors = load_file(path)
    weights = tensors.pop("weights")
    selector, _ = new_weights(config, dimension)
    try:
        selector.load_state_dict({name.removeprefix("selector."): tensor for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit a strong model whose embeddings have {dimension} numbers: {' '.join(str(error).split())}"
        ) from error
    return selector, weights
