"""The tokenizer that belongs to a model: its own from the Hub or a folder, the demo task's word list, or a joint
byte-pair encoding learned from parallel text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from prunekit.config.sections import ModelConfig
from prunekit.data import demo
from prunekit.support.errors import UserError, first_line
from prunekit.support.fingerprints import fingerprint
from prunekit.support.hub_names import check_there


def load_tokenizer(model: ModelConfig, *, of_words: bool = False, setting: str = "model.path") -> Any:
    """A fast tokenizer that returns what the model takes.

    Args:
        of_words: for texts that are split into words: each of them is then preceded by a space, the first too.
        setting: that names the path.

    Raises:
        UserError: none can be loaded. (Where its files are missing transformers makes one that knows no word.)
    """
    if model.path is None:
        return demo_tokenizer()
    check_there(model.path, setting)
    from transformers import AutoTokenizer

    from prunekit.models.pretrained import quiet

    try:
        with quiet():  # it warns of the model type that a pruned model's folder has
            tokenizer = AutoTokenizer.from_pretrained(model.path)
            if of_words and tells_spaces(tokenizer):
                tokenizer = AutoTokenizer.from_pretrained(model.path, add_prefix_space=True)
    except Exception as error:
        raise UserError(f"{setting}: no tokenizer can be loaded from {model.path}: {first_line(error)}") from error
    if not tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens):
        raise UserError(
            f"{setting}: {model.path} has no tokenizer; put the files of the model's own there, such as tokenizer.json"
        )
    return tokenizer


def tells_spaces(tokenizer: Any) -> bool:
    """Whether a word without a space before it is read as the end of another, as in RoBERTa's bytes."""
    own = tokenizer.backend_tokenizer.pre_tokenizer if tokenizer.is_fast else None
    state = "" if own is None else own.__getstate__().decode()
    return '"ByteLevel"' in state and '"add_prefix_space":false' in state


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash of all that decides which tokens a text becomes, and which text tokens become."""
    parts = {
        "class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab(),
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }  # fmt: skip
    if tokenizer.is_fast:  # truncation and padding are left from its last call
        own = json.loads(tokenizer.backend_tokenizer.to_str())
        parts["rules"] = {name: value for name, value in own.items() if name not in ("truncation", "padding")}
    return fingerprint(parts)


def joint_bpe(texts: Sequence[str], size: int) -> Any:
    """A byte-pair encoding of both languages (Sennrich et al. 2016, Sec. 3.2), which ends every text with ``</s>``.

    Decoding gives the text back, spaces and punctuation as they were.

    Args:
        texts: of both languages.
        size: pieces, at most; small data has fewer.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, special_tokens=special, min_frequency=2, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", special.index("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def word_pieces(words: Sequence[str], size: int) -> Any:
    """A byte-pair encoding (Sennrich et al. 2016, Sec. 3.2) of words, case as it is, with BERT's special tokens.

    Args:
        words: of the training data.
        size: pieces, at most; small data has fewer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, special.index(name)) for name in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def is_built_in(tokenizer: Any) -> bool:
    """Whether a tokenizer has the words of the built-in data and no others, wherever it was loaded from."""
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    return words == set(demo.vocabulary())


def demo_tokenizer() -> Any:
    """One id a word of the demo grammar, with BERT's special tokens and token types."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = {word: number for number, word in enumerate([*special, *demo.vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
