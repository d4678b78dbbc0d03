"""ONNX graphs of models, pruned or not, of any batch size and length; in float32, or with weights in int8.

An encoder is ``model.onnx``. A translation model is two graphs: ``encoder.onnx`` reads a source once, ``decoder.onnx``
gives the scores of every next word of targets of any length, from which any decoding is a loop.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.models.checkpoints import is_translator
from prunekit.models.export.sessions import check_installed
from prunekit.models.input_tables import input_tables
from prunekit.models.pretrained import in_one_line
from prunekit.models.pruned_format import GRAPHS
from prunekit.support.errors import UserError
from prunekit.support.extras import of_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODEL, READER, WRITER = GRAPHS
Inputs = dict[str, Tensor]


class _Positional(nn.Module):
    """A model that takes its inputs by position and gives the outputs of these names, as graphs have it."""

    def __init__(self, model: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        output = self.model(**dict(zip(self.inputs, inputs, strict=True)))
        return (output,) if isinstance(output, Tensor) else tuple(output[name] for name in self.outputs)


class _Decoder(nn.Module):
    """Of a translation model, what comes after its encoder."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, decoder_input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor) -> Any:
        return self.model(
            decoder_input_ids=decoder_input_ids, encoder_outputs=(encoder_hidden_states,),
            attention_mask=encoder_attention_mask, use_cache=False,
        )  # fmt: skip


def write_graphs(model: PreTrainedModel, folder: Path, precision: str = "float32") -> list[Path]:
    """Write the graphs of a model in eval mode into a folder that is there.

    Args:
        precision: ``float32``, or ``int8``: weights of linear layers in int8, their inputs quantised as they come
            (dynamic quantisation of ONNX Runtime).

    Returns:
        the files.

    Raises:
        UserError: a task head without a graph, a model that is not in float32 or too large for one file, or packages
            that are not installed.
    """
    check_installed()
    if model.dtype != torch.float32:
        raise UserError(f"format: graphs are of float32, the model is of {str(model.dtype).removeprefix('torch.')}")
    if sum(parameter.numel() * 4 for parameter in model.parameters()) > 1.9 * 2**30:
        raise UserError("format: an ONNX file holds 2 GiB at most, this model has more")
    if model.device.type != "cpu":  # ONNX Runtime computes on CPUs, and a graph keeps where its constants were
        model = copy.deepcopy(model).cpu()
    paths = []
    for name, module, inputs, outputs in _parts(model):
        write_graph(module, inputs, outputs, folder / name, precision)
        paths.append(folder / name)
    return paths


def random_inputs(model: PreTrainedModel, rows: int, length: int, seed: int = 0) -> Inputs:
    """Random tokens for a model, padded at the end but for the first row."""
    tables = input_tables(model)
    length = min(length, tables.positions)
    generator = torch.Generator().manual_seed(seed)
    low = min(5, tables.words - 1)
    ids = torch.randint(low, tables.words, (rows, length), generator=generator)
    lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths).long()
    pad = model.config.pad_token_id or 0
    inputs = {"input_ids": ids * mask + pad * (1 - mask), "attention_mask": mask}
    if tables.token_types > 1:
        inputs["token_type_ids"] = (torch.arange(length) >= lengths // 2).long() * mask
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


def random_targets(model: PreTrainedModel, rows: int, length: int, seed: int = 0) -> Tensor:
    """Random starts of targets, (row, token), for a translation model."""
    words = input_tables(model).target_words
    ids = torch.randint(min(5, words - 1), words, (rows, length), generator=torch.Generator().manual_seed(seed + 1))
    ids[:, 0] = model.config.decoder_start_token_id
    return ids.to(model.device)


def _parts(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module, Inputs, list[str]]]:
    """Of every graph: its file, what it runs, inputs by name, names of outputs."""
    inputs = random_inputs(model, 2, 8)
    if is_translator(model):
        encoder: Any = model.base_model.encoder
        with torch.no_grad():
            hidden = encoder(**inputs).last_hidden_state
        yield READER, encoder, inputs, ["last_hidden_state"]
        given = {
            "decoder_input_ids": random_targets(model, 2, 5), "encoder_hidden_states": hidden,
            "encoder_attention_mask": inputs["attention_mask"],
        }  # fmt: skip
        yield WRITER, _Decoder(model), given, ["logits"]
        return
    check_graph(model)
    with torch.no_grad():
        output = model(**inputs)
    yield MODEL, model, inputs, [name for name, value in output.items() if isinstance(value, Tensor)]


def check_graph(model: PreTrainedModel) -> None:
    """
    Raises:
        UserError: a model other than one for translation that has no graph of one input.
    """
    if model.config.is_encoder_decoder or "MultipleChoice" in type(model).__name__:
        raise UserError(
            f"format: {type(model).__name__} has no ONNX graph here; encoders that answer about one input have, and "
            "translation models"
        )


def write_graph(
    module: nn.Module, inputs: Inputs, outputs: list[str], path: Path, precision: str = "float32"
) -> None:
    """Write what a module computes from inputs by name, the first two axes of each of any size.

    Args:
        outputs: names in what it gives; one of any name where it gives a tensor.
    """
    axes = {name: {axis: torch.export.Dim.DYNAMIC for axis in range(2)} for name in inputs}
    with in_one_line("format: the model cannot be written as an ONNX graph"), _quietly():
        torch.onnx.export(
            _Positional(module, list(inputs), outputs).eval(),
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=(tuple(axes.values()),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    _forget_traces(path)
    if precision == "int8":
        quantize_graph(path, path)


def _forget_traces(path: Path) -> None:
    """Leave out what the exporter notes of every node: stack traces with paths of this machine, of more bytes than the
    weights of a small model."""
    import onnx

    graph = onnx.load(path)
    parts = [graph.graph]
    while parts:
        part = parts.pop()
        for item in (part, *part.node, *part.input, *part.output, *part.value_info, *part.initializer):
            item.ClearField("metadata_props")
        inner = [attribute for node in part.node for attribute in node.attribute]
        parts += [one for attribute in inner for one in (*attribute.graphs, *[attribute.g] * attribute.HasField("g"))]
    onnx.save(graph, path)


def quantize_graph(path: Path, target: Path) -> None:
    """Write a graph with its weights in 8 bits; inputs are quantised as they come.

    Weights are symmetric, with a range for each column of a matrix. They are stored with an offset of 128, as unsigned
    numbers: processors without VNNI instructions multiply unsigned by signed ones in pairs whose sum they cut off at
    16 bits, which of a model with large weights leaves nothing.
    """
    with of_extra("onnx"):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    graph = onnx.load(path)
    del graph.graph.value_info[:]  # shapes that the exporter wrote, and quantisation infers otherwise
    onnx.save(graph, target)
    with in_one_line("precision: the graph cannot be written in int8"), _quietly():
        quantize_dynamic(
            target, target, weight_type=QuantType.QUInt8, per_channel=True, extra_options={"WeightSymmetric": True}
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the libraries say of their own ways."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch has handlers of its own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
