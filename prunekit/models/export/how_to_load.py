"""The lines of a model card by which an exported model is loaded and used; run in the folder, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunekit.models.checkpoints import is_translator
from prunekit.models.families.table import task_head
from prunekit.models.input_tables import input_tables, positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PIPELINES = {
    "ForSequenceClassification": "text-classification", "ForQuestionAnswering": "question-answering",
    "ForTokenClassification": "token-classification", "ForMaskedLM": "fill-mask", "MTModel": "translation",
    "ForConditionalGeneration": "translation",
}  # fmt: skip
"""What the Hub calls a task head's use."""
SENTENCES, PAIRS = '"a sentence"', '{"text": "a sentence", "text_pair": "and another one"}'
WORDS = 100
"""That a translation has at most, where the model has as many positions."""
ANSWER = """\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForQuestionAnswering.from_pretrained(".")
batch = tokenizer("Who was it?", "It was me.", truncation="only_second", max_length={length}, return_tensors="pt")
with torch.no_grad():
    output = model(**batch)
outside = torch.tensor([part != 1 for part in batch.sequence_ids(0)])  # of the context
start, end = (logits[0].masked_fill(outside, float("-inf")) for logits in (output.start_logits, output.end_logits))
spans = (start[:, None] + end).masked_fill(torch.ones(len(start), len(end)).tril(-1).bool(), float("-inf"))
first, last = divmod(int(spans.argmax()), len(end))
answer = tokenizer.decode(batch["input_ids"][0, first : last + 1])"""
TRANSLATE = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForSeq2SeqLM.from_pretrained(".")
batch = tokenizer(["a sentence"], return_tensors="pt")
words = model.generate(batch["input_ids"], attention_mask=batch["attention_mask"], max_length={words})
answer = tokenizer.batch_decode(words, skip_special_tokens=True)"""
GREEDY = """\
import numpy as np
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
encoder, decoder = (onnxruntime.InferenceSession(f"{{part}}.onnx") for part in ("encoder", "decoder"))
source = dict(tokenizer(["a sentence"], return_tensors="np"))
source = {{name: source[name].astype("int64") for name in ("input_ids", "attention_mask")}}
[hidden] = encoder.run(None, source)
words = np.array([{start}])
while words.shape[1] < {words}:  # greedy
    given = {{"encoder_hidden_states": hidden, "encoder_attention_mask": source["attention_mask"]}}
    [logits] = decoder.run(None, {{"decoder_input_ids": words, **given}})
    logits[..., {pad}] = -np.inf
    words = np.concatenate([words, logits[:, -1:].argmax(-1)], 1)
    if words[0, -1] == {end}:
        break
answer = tokenizer.batch_decode(words, skip_special_tokens=True)"""
RUN_GRAPH = """\
session = onnxruntime.InferenceSession("model.onnx")
names = [item.name for item in session.get_inputs()]
outputs = session.run(None, {name: batch[name].astype("int64") for name in names})"""
GRAPH = """\
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
batch = tokenizer({texts}, padding=True, return_tensors="np"{types})
{run}"""
TAG_GRAPH = """\
import onnxruntime
from transformers import AutoConfig, AutoTokenizer

tokenizer, tags = AutoTokenizer.from_pretrained("."), AutoConfig.from_pretrained(".").id2label
words = ["a", "sentence", "of", "words"]
batch = tokenizer(words, is_split_into_words=True, return_tensors="np"{types})
{run}
first = [batch.word_ids(0).index(place) for place in range(len(words))]  # the first token of a word has its tag
answer = [(word, tags[int(tag)]) for word, tag in zip(words, outputs[0][0, first].argmax(-1))]"""


def pipeline_of(model: PreTrainedModel) -> str | None:
    """What the Hub calls a model's use; None for those that it has no name for."""
    return PIPELINES.get(task_head(model))


def how_to_load(model: PreTrainedModel, format: str, *, pairs: bool = False) -> str:
    """Python that loads what was exported of a model, with its tokenizer, and asks it something.

    Args:
        pairs: inputs are two texts.
    """
    if format == "onnx":
        return _greedy(model) if is_translator(model) else _graph(model, pairs)
    how = _in_transformers(model, pairs)
    if format != "native":
        return how
    if "Auto" in how or "pipeline" in how:
        return f"import prunekit.auto  # teaches transformers this kind of model\n{how}"
    return 'import prunekit\n\nmodel = prunekit.load(".")'


def _in_transformers(model: PreTrainedModel, pairs: bool) -> str:
    pipeline, name = pipeline_of(model), type(model).__name__
    if pipeline == "translation":
        return TRANSLATE.format(words=min(WORDS, positions(model)))
    if pipeline == "question-answering":
        return ANSWER.format(length=positions(model))
    if pipeline == "fill-mask":
        asked = 'fill = pipeline("fill-mask", model=".")\nanswer = fill(f"a {fill.tokenizer.mask_token}")'
        return f"from transformers import pipeline\n\n{asked}"
    if pipeline:
        asked = PAIRS if pairs and pipeline == "text-classification" else SENTENCES
        return f'from transformers import pipeline\n\nanswer = pipeline("{pipeline}", model=".")({asked})'
    auto = "AutoModel" if name.endswith("Model") else name
    return f'from transformers import {auto}\n\nmodel = {auto}.from_pretrained(".")'


def _graph(model: PreTrainedModel, pairs: bool) -> str:
    pairs = pairs or pipeline_of(model) == "question-answering"
    texts = '["a sentence", "another one"]'
    types = ", return_token_type_ids=True" if input_tables(model).token_types > 1 else ""
    if pipeline_of(model) == "token-classification":
        return TAG_GRAPH.format(types=types, run=RUN_GRAPH)
    return GRAPH.format(texts=f"{texts}, {texts}" if pairs else texts, types=types, run=RUN_GRAPH)


def _greedy(model: PreTrainedModel) -> str:
    """Decoding as ``generate`` has it without beams: with the first word that the model is told to begin with."""
    config, settings = model.config, model.generation_config

    def token(name: str) -> int | None:
        values = (getattr(where, name, None) for where in (settings, config))
        value = next((value for value in values if value is not None), None)
        return value[0] if isinstance(value, list) else value

    start = [token("decoder_start_token_id"), token("forced_bos_token_id")]
    return GREEDY.format(
        start=[word for word in start if word is not None], end=token("eos_token_id"), pad=token("pad_token_id"),
        words=min(WORDS, positions(model)),
    )  # fmt: skip
