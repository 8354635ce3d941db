"""Which way a model reads packed texts: the fastest that gives what the library's own padded forward gives.

On CPUs that is a forward of our own where there is one, elsewhere the library's with a registered attention function. Every way
is compared with the padded forward on a few short texts before it is used; what differs, fails or is unknown is read the plain
way, and the log says so.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rader_ir.packed.bert import Bert
from rader_ir.packed.decoder import Decoder
from rader_ir.packed.int8 import Int8, in_int8
from rader_ir.packed.packs import Pack
from rader_ir.packed.padded import Padded

logger = logging.getLogger(__name__)

# Largest difference to the padded forward, as a share of its largest state; rounding alone makes a tenth of it
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
_LENGTHS = (5, 2, 9, 5)


class Engine:
    """A model with the ways that it can be read.

    Attributes:
        way: the fastest that was found right.
        plain: the padded one.
        longest: tokens that a text may have for `way`, its prefix included, or None.
    """

    def __init__(self, model: nn.Module, *, name: str, causal: bool):
        """Choose and compare.

        Args:
            model: with or without a head, in evaluation, on its device.
            name: of the checkpoint, for the log.
            causal: whether the checkpoint is a decoder that attends causally.
        """
        body = model.base_model
        self.name = name
        self.plain = self.way = Padded(body)
        self.longest = _window(body.config)
        kinds, reasons = _kinds(body), []
        if not kinds:
            reasons.append(f"device {body.device.type!r} has no attention for packed texts")
        for kind in kinds:
            reason = kind.refusal(body.config)
            if reason is None:
                way, reason = _tried(kind, self.plain, body, causal)
            if reason is None:
                self.way = way
                return
            reasons.append(reason)
        logger.warning(
            "%s: texts are padded, and prefixes that they share are read for each of them: %s", name, "; ".join(reasons)
        )

    def way_for(self, longest: int):
        """The way to read texts of at most `longest` tokens, prefixes included."""
        if self.longest is None or longest <= self.longest:
            return self.way
        if self.way is not self.plain:
            window = (
                "%s: texts of up to %d tokens pass the window of its attention and are padded; up to %d they are not"
            )
            logger.info(window, self.name, longest, self.longest)
        return self.plain

    def multiply_in_int8(self, rows: Sequence[Sequence[int]], pooling: str, marks: frozenset[int]) -> None:
        """Read texts by products in int8 from now on, but those that `int8.Int8` leaves out; arguments as there.

        Raises:
            ValueError: the model is not read by a BERT's forward of our own, or loses too much.
        """
        if not isinstance(self.way, Bert):
            raise ValueError("dtype 'int8' is for BERT encoders that are read packed; take dtype 'float32'")
        self.way = self.plain = Int8(self.way, in_int8(self.way, rows, pooling), rows, marks)


def _kinds(body: nn.Module) -> list:
    from rader_ir.packed.library import Library  # brings all that transformers needs to load models, 2 s of importing

    if body.device.type != "cpu":
        return [Library] if body.device.type == "cuda" else []
    return [Bert if body.config.model_type == "bert" else Decoder, Library]


def _window(config) -> int | None:
    """Tokens up to which every layer sees the whole text."""
    window = getattr(config, "sliding_window", None)
    layers = getattr(config, "layer_types", None)  # where there are no kinds of layers, all are of one kind
    return window - 1 if window and (not layers or "sliding_attention" in layers) else None


def _tried(kind, plain: Padded, body: nn.Module, causal: bool) -> tuple[object | None, str | None]:
    """A way of this kind, and why it is not to be used, or None."""
    try:
        way = kind(body, causal=causal)
        return way, _difference(way, plain, body)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        return None, f"{kind.__name__} failed: {error}"


@torch.inference_mode()
def _difference(way, plain: Padded, body: nn.Module) -> str | None:
    """How `way` differs from the padded forward beyond rounding, or None."""
    words = body.config.vocab_size
    rows = [[(7 * place + 3 * length + 1) % words for place in range(length)] for length in _LENGTHS]
    expected = plain.pooled(Pack(rows, body.device), "last").float()
    found = [way.pooled(Pack(rows, body.device), "last")]
    if way.continues:
        joint = [(11 * place + 5) % words for place in range(6)]
        whole = plain.pooled(Pack([joint + row for row in rows], body.device), "last").float()
        known = way.prefixes(Pack([joint], body.device))
        belongs = np.array([-1] + [0] * (len(rows) - 1))  # the first continues nothing
        continued = Pack(rows, body.device, prefixes=belongs, offsets=len(joint) * (belongs + 1))
        found.append(way.pooled(continued, "last", known))
        expected = torch.cat([expected, expected[:1], whole[1:]])
    difference = (torch.cat(found).float() - expected).abs().max() / expected.abs().max()
    tolerance = _TOLERANCE[body.dtype]
    if not difference <= tolerance:
        return f"{type(way).__name__} differs from the library's forward by {difference:.1e}, more than {tolerance:.0e}"
    return None
