"""The model card of an exported model: what it is, what it costs, how it is loaded, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.families.table import task_head
from prunekit.models.input_tables import positions
from prunekit.support.markdown import in_markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.models.export.exporting import Exported

LENGTH = 128
"""Tokens that multiply-accumulates are counted for, where a model has as many positions."""
PIPELINES = {
    "ForSequenceClassification": "text-classification", "ForQuestionAnswering": "question-answering",
    "ForTokenClassification": "token-classification", "ForMaskedLM": "fill-mask", "MTModel": "translation",
}  # fmt: skip
"""What the Hub calls a task head's use."""
INPUTS = {
    "text-classification": '"a sentence"', "question-answering": 'question="Who?", context="It was me."',
    "token-classification": '"a sentence"', "fill-mask": '"a [MASK]"', "translation": '"a sentence"',
}  # fmt: skip
WRITTEN = {
    "native": "safetensors with a record of what was pruned, for transformers with `import prunekit.auto`",
    "plain": "safetensors of the true sizes, for stock transformers",
    "padded": "safetensors with zeros where layers differ, for stock transformers",
    "onnx": "ONNX, of any batch size and length",
}
GREEDY = """\
import numpy as np
import onnxruntime
from transformers import AutoTokenizer, GenerationConfig

tokenizer, settings = AutoTokenizer.from_pretrained("."), GenerationConfig.from_pretrained(".")
encoder, decoder = (onnxruntime.InferenceSession(f"{part}.onnx") for part in ("encoder", "decoder"))
source = dict(tokenizer(["a sentence"], return_tensors="np"))
source = {name: source[name].astype("int64") for name in ("input_ids", "attention_mask")}
[hidden] = encoder.run(None, source)
words = np.full((1, 1), settings.decoder_start_token_id)
while words.shape[1] < 100 and words[0, -1] != settings.eos_token_id:  # greedy
    given = {"encoder_hidden_states": hidden, "encoder_attention_mask": source["attention_mask"]}
    [logits] = decoder.run(None, {"decoder_input_ids": words, **given})
    logits[..., settings.pad_token_id] = -np.inf
    words = np.concatenate([words, logits[:, -1:].argmax(-1)], 1)
print(tokenizer.batch_decode(words, skip_special_tokens=True))"""


@dataclass(frozen=True)
class Facts:
    """What a card says beside what the model itself tells."""

    title: str = "A pruned model"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the card's head, as the Hub names it: ``license``, ``base_model``, ``datasets``, ``language``."""
    results: Sequence[EvalResult] = ()
    """For ``model-index``."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Markdown by heading, before what the model itself tells."""


def card_text(model: PreTrainedModel, written: Exported, facts: Facts, pictures: Sequence[str] = ()) -> str:
    """The card of what was written of ``model``.

    Args:
        pictures: names of files beside the card.
    """
    pipeline = PIPELINES.get(task_head(model))
    data = ModelCardData(
        library_name="onnx" if written.format == "onnx" else "transformers",
        pipeline_tag=pipeline,
        tags=["structured-pruning", "prunekit", written.format],
        model_name=facts.title,
        eval_results=list(facts.results) or None,
        **facts.metadata,
    )
    parts = [f"---\n{data.to_yaml()}\n---", f"# {in_markdown(facts.title)}"]
    parts.append(f"## How to load\n\n```python\n{_how(model, written, pipeline)}\n```")
    parts += [f"## {heading}\n\n{body}" for heading, body in facts.sections.items()]
    parts += [f"## Shape\n\n```\n{describe(model)}\n```", *(f"![{name}]({name})" for name in pictures)]
    length = min(LENGTH, positions(model))
    sizes = cost(model, length)
    parts.append(
        f"{sizes.parameters:,} parameters ({sizes.embeddings:,} of embeddings, {sizes.attention:,} of attention, "
        f"{sizes.ffn:,} of FFNs); {sizes.macs:,} multiply-accumulates of the layers for {length} tokens."
    )
    parts.append("## Files\n\n" + "\n".join(_files(written)))
    return "\n\n".join(parts) + "\n"


def _files(written: Exported) -> list[str]:
    lines = [f"{WRITTEN[written.format]}; {written.bytes / 1e6:.1f} MB."]
    if written.precision == "int8":
        lines[0] = lines[0].removesuffix(".") + ", weights in int8, quantised after training; scores are of float32."
    what = "Largest difference of its outputs from the pruned model's, on random tokens"
    lines.append(f"{what}: {written.difference:.1g} of the largest output.")
    if written.lost:
        more = written.parameters
        lines += ["", f"**No smaller where it is padded**: {more:,} parameters are in the files. Padded are"]
        lines += [f"- {phrase}" for phrase in written.lost]
    lines[0] = lines[0][0].upper() + lines[0][1:]
    return lines


def _how(model: PreTrainedModel, written: Exported, pipeline: str | None) -> str:
    if written.format == "onnx":
        return GREEDY if model.config.is_encoder_decoder else "\n".join((
            "import onnxruntime",
            "from transformers import AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained(".")',
            'batch = tokenizer(["a sentence", "another one"], padding=True, return_tensors="np")',
            'session = onnxruntime.InferenceSession("model.onnx")',
            "names = [item.name for item in session.get_inputs()]",
            'outputs = session.run(None, {name: batch[name].astype("int64") for name in names})',
        ))  # fmt: skip
    first = ["import prunekit.auto  # teaches transformers this kind of model"] if written.format == "native" else []
    if pipeline and pipeline != "translation":
        called = f'answer = pipeline("{pipeline}", model=".")({INPUTS[pipeline]})'
        use = ["from transformers import pipeline", "", called]
    else:
        name = type(model).__name__
        auto = "AutoModelForSeq2SeqLM" if pipeline else "AutoModel" if name.endswith("Model") else name
        use = [f"from transformers import {auto}", "", f'model = {auto}.from_pretrained(".")']
        if written.format == "native" and auto == name:
            first, use = ["import prunekit"], ["", 'model = prunekit.load(".")']
    return "\n".join([*first, *use])
