"""What ProRank's score needs in memory against a forward pass that makes all logits: `python -m tests.benchmarks.prorank`.

A batch of pairs of equal length goes through a decoder with random weights and Qwen2.5's vocabulary, each way in a process of its
own; what is told is the highest memory above that of one pair of 704 tokens by two logits, weights and libraries. The
arithmetic beside it is that of the logits alone: pairs x tokens x vocabulary x bytes.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from rader_ir import loading
from rader_ir.rerank.prorank import ProRank
from rader_ir.tokens import TextTokens
from tests import tiny
from tests.benchmarks.memory import peak

VOCABULARY = 151936  # Qwen2.5's
SHAPE = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)


def made(folder: Path, dtype: str) -> Path:
    """The folder of a chat model with a big vocabulary and little else."""
    tokenizer = tiny.qwen2_tokenizer()
    tokenizer.chat_template = tiny.CHAT_TEMPLATE
    torch.manual_seed(0)
    config = Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=8192, **SHAPE, tie_word_embeddings=True)
    Qwen2ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def two_logits(folder: str):
    """ProRank's own way, its batches as big as asked for."""

    def score(batch: int, tokens: int, dtype: str) -> list[float]:
        ranker = ProRank(folder, batch_tokens=batch * tokens, max_length=tokens, dtype=dtype)
        # documents of other beginnings, so that all they share is the prompt and the query
        return ranker.score(["odd cycle"], [[f"{i} " + "graph " * tokens for i in range(batch)]])[0].tolist()

    return score


def all_logits(folder: str):
    """The library's forward pass over the same ids, and of its logits two at the end."""

    def score(batch: int, tokens: int, dtype: str) -> list[float]:
        judge = ProRank(folder, max_length=tokens).reader.model
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
        tokenizer = loading.read_tokenizer(judge.files())
        docs = [f"{i} " + "graph " * tokens for i in range(batch)]
        rows = TextTokens(tokenizer, judge.settled()).pairs(["odd cycle"] * batch, docs, "", tokens).rows
        one, zero = tokenizer.convert_tokens_to_ids(["1", "0"])
        with torch.inference_mode():
            logits = model(torch.tensor(rows), use_cache=False).logits[:, -1]
        return (logits[:, one].float() - logits[:, zero].float()).tolist()

    return score


WAYS = {"two": two_logits, "all": all_logits}


def measured(batch: int, tokens: int, dtype: str) -> dict[str, float]:
    """{way: megabytes above those of one short pair by two logits}."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch) / "model", dtype)
        for way in WAYS:
            options = dict(threads=1, scratch=Path(scratch))
            found[way] = peak("tests.benchmarks.prorank", way, folder, [batch, tokens, dtype], **options)
        least = peak("tests.benchmarks.prorank", "two", folder, [1, 704, dtype], **options)
    return {way: most - least for way, most in found.items()}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    args = parser.parse_args()
    found = measured(args.batch, args.tokens, args.dtype)
    size = {"bfloat16": 2, "float32": 4}[args.dtype]
    print(f"{args.batch} pairs of {args.tokens} tokens, {args.dtype}\n\n| way | MB |\n| --- | --- |")
    print(f"| logits of two tokens, one place each | {found['two']:.0f} |")
    print(f"| all logits | {found['all']:.0f} |")
    print(f"| all logits, by arithmetic | {args.batch * args.tokens * VOCABULARY * size / 1e6:.0f} |")


if __name__ == "__main__":
    main()
