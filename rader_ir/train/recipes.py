"""Recipes of reasoning rerankers by name, for `rader train`: how a configuration becomes a run (options: `recipe_settings`).

`dear` and `prorank` learn from pairs, as `rader train reranker` does; the others are language models that learn from what they
write (`prorank-grpo`, `rank-r1`) or from what is given to them (`rank-r1-sft`, `sft-listwise`).
"""

import os
from dataclasses import replace

from rader_ir.train.data import load
from rader_ir.train.dear import train_dear
from rader_ir.train.language_models import read_log
from rader_ir.train.prorank import train_prorank, warm_up_prorank
from rader_ir.train.rank_r1 import train_rank_r1
from rader_ir.train.recipe_settings import OPTIONS
from rader_ir.train.settings import from_toml
from rader_ir.train.sft import read_orders, train_labels, train_listwise

PAIRS = {"dear": train_dear, "prorank": train_prorank}
ANSWERS = {
    "prorank-grpo": warm_up_prorank,
    "rank-r1": train_rank_r1,
    "rank-r1-sft": train_labels,
    "sft-listwise": train_listwise,
}


def train_answers(kind: str, config: str | os.PathLike, out: str | None = None) -> dict:
    """Train a language model as a configuration says.

    Args:
        kind: a key of `ANSWERS`.
        config: a TOML file: options at its top, a table [data] with `examples` (of sft-listwise: files of orders, see
            `rader_ir.train.sft.read_orders`) and `out`.
        out: the folder to make, in place of the table's.

    Returns:
        Counts, the first and the last reward or loss, and the folder.

    Raises:
        ValueError: a wrong option, file or value; the configuration is named.
    """
    options, data = from_toml(config, OPTIONS[kind])
    data = replace(data, out=out or data.out)
    if data.out is None:
        raise ValueError(f"{config} names no folder to make; give --out, or `out` in its table [data]")
    if data.dev or data.dev_fraction or data.dev_docs:
        raise ValueError(f"{config}: rader train {kind} measures nothing on the way; leave data.dev and its kin out")
    if kind == "sft-listwise":
        given = {"orders": [order for path in data.examples for order in read_orders(path)]}
    else:
        given = {"examples": load(data, options.seed)[0]}
    folder = ANSWERS[kind](options, **given, out=data.out)
    key = "reward" if kind in ("prorank-grpo", "rank-r1") else "loss"
    values = read_log(folder, key)
    counts = {name: len(items) for name, items in given.items()}
    return {**counts, "steps": len(values), f"first_{key}": values[0], f"last_{key}": values[-1], "out": str(folder)}
