"""Tiny checkpoints with random weights, made on the spot: the same files a published one has, in kilobytes.

Each function writes a folder (config, safetensors, tokenizer) into `folder` and returns its path. The tokenizers are
trained on a few sentences, so that texts split into several tokens as real ones do.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2Model,
)

SENTENCES = [
    "query: what is the law of large numbers? document: the sample average converges to the expected value.",
    "query: Instruct: Given a Math problem, retrieve relevant theorems that help answer the problem\nQuery: prove it",
    "document: Every finite integral domain is a field. Let $x^{2} + y^{2} = z^{2}$ hold for integers.",
    "Passage: a graph is bipartite if and only if it contains no odd cycle. The determinant of a product is a product.",
    "How many ways are there to divide a set of 8 elements into 5 non-empty ordered subsets?",
]
SHAPE = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=512,
    initializer_range=0.3,
)


def byte_level_tokenizer(special: list[str], bos: str | None = None, *, texts=SENTENCES, size=400) -> Tokenizer:
    """A byte-level BPE tokenizer as Qwen and Llama 3 have, with `special` tokens; `bos`, if given, is put first.

    It is trained on `texts` until it knows `size` tokens, or until they give no more.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = (
        processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        if bos
        else processors.ByteLevel(trim_offsets=False)
    )
    return tokenizer


def qwen2(folder: Path, *, eos="<|im_end|>", pad="<|endoftext|>", labels: int | None = None, seed=0, **config) -> Path:
    """A two-layer Qwen2: an encoder, or with `labels` a classification head. gte-Qwen2 has eos == pad."""
    tokenizer = qwen2_tokenizer(eos=eos, pad=pad)
    return _save(folder, tokenizer, Qwen2Config, Qwen2Model, Qwen2ForSequenceClassification, labels, seed, config)


CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen2_chat(folder: Path, *, seed=0, **config) -> Path:
    """A two-layer Qwen2 that writes, with the template of its conversations and its two end tokens, as Qwen2.5-Instruct has."""
    tokenizer = qwen2_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    shape = {**SHAPE, "vocab_size": len(tokenizer), "num_key_value_heads": 2, **config}
    model = Qwen2ForCausalLM(Qwen2Config(**shape)).eval()
    ids = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    model.generation_config.update(eos_token_id=ids, do_sample=True, repetition_penalty=1.3, top_k=2, temperature=0.7)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def qwen2_tokenizer(*, eos="<|im_end|>", pad="<|endoftext|>", **options) -> PreTrainedTokenizerFast:
    """Qwen2's kind of tokenizer; `options` as `byte_level_tokenizer`."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(special, **options), eos_token=eos, pad_token=pad, padding_side="right"
    )


def llama(folder: Path, *, labels: int | None = None, seed=0, **config) -> Path:
    """A two-layer Llama 3: a beginning-of-text token that its tokenizer adds, and no padding token."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(["<|begin_of_text|>", "<|eot_id|>"], bos="<|begin_of_text|>"),
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
    )
    return _save(folder, tokenizer, LlamaConfig, LlamaModel, LlamaForSequenceClassification, labels, seed, config)


def bert(folder: Path, *, labels: int | None = None, seed=0, **config) -> Path:
    """A two-layer BERT with a WordPiece tokenizer that adds [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    return _save(folder, fast, BertConfig, BertModel, BertForSequenceClassification, labels, seed, config)


def _save(folder, tokenizer, config_class, model_class, classifier_class, labels, seed, options) -> Path:
    torch.manual_seed(seed)
    shape = {**SHAPE, "vocab_size": len(tokenizer), **options}
    if config_class is not BertConfig:
        shape.setdefault("num_key_value_heads", 2)
    config = config_class(**shape)
    if labels is None:
        model = model_class(config)
    else:
        config.num_labels = labels
        model = classifier_class(config)
    model.eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return Path(folder)
