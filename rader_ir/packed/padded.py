"""The plain way, for architectures that cannot read packs: texts padded on the right, read whole by the library's forward.

It is also what every other way is compared with when a model is loaded. Here nothing is shared between texts, and a batch costs
as much as its longest text for each.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from rader_ir.packed.packs import Pack


class Padded:
    """A model's own forward over the texts of a pack, padded.

    Args:
        model: without a head, in evaluation.
    """

    continues = False  # texts are read whole

    def __init__(self, model: nn.Module):
        self.model = model
        self.options = {"use_cache": False} if getattr(model.config, "use_cache", False) else {}

    def pooled(self, pack: Pack, pooling: str, prefixes: None = None) -> torch.Tensor:
        """One state per text, [n, D], in the order of the rows; pooling as `Pack.pooled`. Texts continue no prefixes here."""
        inputs = padded(pack, self.model.config.pad_token_id)
        hidden = self.model(**inputs, **self.options).last_hidden_state
        return pooled(hidden, inputs["attention_mask"], pooling)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One state per text. hidden: [n, T, D]; mask: [n, T], texts padded on the right -> [n, D]."""
    lengths = mask.sum(dim=1)
    if pooling == "mean":
        return (hidden.float() * mask.unsqueeze(-1).float()).sum(dim=1) / lengths.unsqueeze(-1)
    places = lengths - 1 if pooling == "last" else torch.zeros_like(lengths)
    return hidden[torch.arange(len(hidden), device=hidden.device), places]


def padded(pack: Pack, pad_id: int | None) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and, where the pack has types, `token_type_ids`, each [n, T], in the order of the rows.

    pad_id: stands after the texts' ends, where the mask hides it; None takes 0.
    """
    rows, pad_id = pack.by_text(pack.ids), 0 if pad_id is None else pad_id
    inputs = {
        "input_ids": pad_sequence(rows, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
    }
    if pack.types is not None:
        inputs["token_type_ids"] = pad_sequence(pack.by_text(pack.types), batch_first=True)
    return inputs
