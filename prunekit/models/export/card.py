"""The model card of an exported model: what it is, what it costs, how it is loaded, and what is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.export.how_to_load import how_to_load, pipeline_of
from prunekit.models.input_tables import positions
from prunekit.models.pruned_format import has_its_own_shape
from prunekit.support.markdown import in_markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.models.export.exporting import Exported

IN_PYTHON = 'In this folder; elsewhere, with its path or its name on the Hub in place of `"."`:'
IN_ITS_FOLDER = "In this folder, which `hf download NAME/REPOSITORY --local-dir .` fetches from the Hub:"
"""Where the lines that load a model are run: graphs are files of a folder."""
INSTALL = (
    "It takes prunekit, the package that wrote this model: `pip install .` in a checkout of prunekit's repository."
)
OF_FLOAT32 = "What follows, up to the shape, was said of the model in float32; in 8 bits it was not measured."
"""Of sections in the card of a model in 8 bits."""
PICTURE = "What each layer kept"
"""Of a picture, where it is not seen."""
LENGTH = 128
"""Tokens that multiply-accumulates are counted for, where a model has as many positions."""
WARNING = (
    "Outputs differ much from the model's own: it may be of no use; measure its score before, as "
    "`python -m experiments.quantize` does."
)
"""Of an export whose outputs are far from the model's."""
WRITTEN = {
    "native": "safetensors with a record of what was pruned, for transformers with `import prunekit.auto`",
    "plain": "safetensors of the true sizes, for stock transformers",
    "padded": "safetensors with zeros where layers differ, for stock transformers",
    "onnx": "ONNX, of any batch size and length",
}


@dataclass(frozen=True)
class Facts:
    """What a card says beside what the model itself tells."""

    title: str = ""
    """Nothing for one that says whether the model is pruned."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the card's head, as the Hub names it: ``license``, ``base_model``, ``datasets``, ``language``."""
    results: Sequence[EvalResult] = ()
    """For ``model-index``."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Markdown by heading, before what the model itself tells."""
    int8: Facts | None = None
    """What is known of the same model in 8 bits; None where nothing is: ``results`` are left out of its card then, and
    ``sections`` said to be of float32."""
    pairs: bool = False
    """Inputs are two texts."""


def card_text(
    model: PreTrainedModel, written: Exported, facts: Facts, pictures: Sequence[str] = (), *, tokenizer: bool = True
) -> str:
    """The card of what was written of ``model``.

    Args:
        pictures: names of files beside the card.
        tokenizer: whether the folder has one.
    """
    unmeasured = written.precision == "int8" and facts.int8 is None
    if written.precision == "int8":
        facts = facts.int8 or dataclasses.replace(facts, results=())
    pruned = has_its_own_shape(model)
    title = facts.title or ("A pruned model" if pruned else "A model")
    data = ModelCardData(
        library_name="onnx" if written.format == "onnx" else "transformers",
        pipeline_tag=pipeline_of(model),
        tags=[*["structured-pruning"] * pruned, "prunekit", written.format],
        model_name=title,
        eval_results=list(facts.results) or None,
        **facts.metadata,
    )
    parts = [f"---\n{data.to_yaml()}\n---", f"# {in_markdown(title)}"]
    lines = how_to_load(model, written.format, pairs=facts.pairs)
    where = IN_ITS_FOLDER if written.format == "onnx" else IN_PYTHON
    parts.append(f"## How to load\n\n{where}\n\n```python\n{lines}\n```")
    if written.format == "native":
        parts.append(INSTALL)
    if not tokenizer:
        parts.append("The folder has no tokenizer; give the one that the model was trained with in place of its own.")
    if unmeasured and facts.sections:
        parts.append(OF_FLOAT32)
    parts += [f"## {heading}\n\n{body}" for heading, body in facts.sections.items()]
    parts += [f"## Shape\n\n```\n{describe(model)}\n```", *(f"![{PICTURE}]({name})" for name in pictures)]
    length = min(LENGTH, positions(model))
    sizes = cost(model, length)
    parts.append(
        f"{sizes.parameters:,} parameters ({sizes.embeddings:,} of embeddings, {sizes.attention:,} of attention, "
        f"{sizes.ffn:,} of FFNs); {sizes.macs:,} multiply-accumulates of the layers for {length} tokens."
    )
    parts.append("## Files\n\n" + "\n".join(_files(written)))
    return "\n\n".join(parts) + "\n"


def _files(written: Exported) -> list[str]:
    lines = [f"{WRITTEN[written.format]}; {written.size}."]
    if written.precision == "int8":
        lines[0] = lines[0].removesuffix(".") + ", weights in int8, quantised after training."
    lines.append(f"Its outputs on random tokens and the model's own {written.apart}.")
    if written.far:
        lines += ["", f"**{WARNING}**"]
    if written.lost:
        more = written.parameters
        lines += ["", f"**No smaller where it is padded**: {more:,} parameters are in the files. Padded are"]
        lines += [f"- {phrase}" for phrase in written.lost]
    lines[0] = lines[0][0].upper() + lines[0][1:]
    return lines
