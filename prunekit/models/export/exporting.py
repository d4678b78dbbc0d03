"""Models, pruned or not, in a form that others load: checked by loading it again, whole or not there at all."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.config.choices import EXPORT_FORMATS, EXPORT_PRECISIONS
from prunekit.models import checkpoints
from prunekit.models.blocks import attention_for_transformers, describe
from prunekit.models.export import graphs
from prunekit.models.export.card import Facts, card_text
from prunekit.models.export.sessions import Session
from prunekit.models.export.stock_model import stock_model
from prunekit.models.export.stock_shape import stock_shape
from prunekit.models.pretrained import in_one_line, on_device, quiet
from prunekit.models.weight_files import holds_a_model
from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = np.ndarray[Any, Any]
CARD = "README.md"
FILES = (CARD, graphs.MODEL, graphs.READER, graphs.WRITER)
"""Names in an exported folder beside those of a saved model, and the pictures of its card."""
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest difference of outputs, as a share of the largest output; of other dtypes a twentieth."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    format: str
    precision: str
    lost: tuple[str, ...]
    """Where it is larger than the pruned model, a phrase each."""
    parameters: int
    """Of what was written."""
    bytes: int
    """Of its weights or graphs."""
    difference: float
    """Largest difference of its outputs from the model's, as a share of the largest output; on random tokens."""


def export(
    model: PreTrainedModel,
    folder: str | Path,
    format: str = "native",
    *,
    precision: str = "float32",
    tokenizer: Any = None,
    facts: Facts | None = None,
    pictures: Mapping[str, bytes] | None = None,
    exact: Path | None = None,
) -> Exported:
    """Write a model so that others load it, with a model card; checked against the model, all of it or nothing.

    ``native``: as :func:`prunekit.save` has it, for ``import prunekit.auto``. ``plain``: stock transformers loads it,
    in its true sizes; only where those are the same in all layers. ``padded``: stock transformers loads it, whatever
    its shape, with zeros where sizes differ. ``onnx``: graphs for ONNX Runtime, of any batch size and length.

    Args:
        folder: replaced as a whole if it holds a saved or exported model; its parent folders are created.
        precision: of ``onnx``: ``float32``, or ``int8`` (weights in int8, activations quantised as they come).
        tokenizer: saved beside the model if given.
        facts: what the model card says beside what the model itself tells.
        pictures: PNG files by name, for the card.
        exact: of ``int8``: a folder with the same model's graphs in float32, so that they need not be written again.

    Returns:
        what was written, and by how much its outputs differ; of int8 they do.

    Raises:
        UserError: a format that the shape does not allow (what is in the way), a folder that holds something else or
            cannot be written, a package that is not installed.
    """
    check_choice(format, precision)
    describe(model)
    folder = Path(folder)
    _check_beside(tokenizer, pictures or {})
    if folder.exists() and not (folder.is_dir() and holds_a_model(folder, (*FILES, *_pictures_in(folder)))):
        raise UserError(f"{folder}: holds something else than a saved model; give a new folder")
    problem = f"{folder}: cannot export the model there"
    with _evaluating(model), in_one_line(problem), atomic_path(folder) as temporary:
        write, again = _WRITERS[format](model, precision)
        if exact is not None:
            write = partial(_write_quantized, model, exact)
        stock = write(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        with quiet():
            difference = _difference(model, again(temporary))
        if precision == "float32" and not difference <= TOLERANCE.get(model.dtype, 0.05):
            raise UserError(
                f"format: outputs of {format} differ from the model's by {difference:.2g} of the largest; nothing was "
                "written, use another format"
            )
        weights = [path for path in temporary.iterdir() if path.suffix in (".onnx", ".safetensors")]
        written = Exported(
            folder, format, precision, stock.lost, stock.parameters, sum(path.stat().st_size for path in weights),
            difference,
        )  # fmt: skip
        for name, picture in (pictures or {}).items():
            (temporary / name).write_bytes(picture)
        card = card_text(model, written, facts or Facts(), sorted(pictures or {}))
        (temporary / CARD).write_text(card, encoding="utf-8")
    return written


def _check_beside(tokenizer: Any, pictures: Mapping[str, bytes]) -> None:
    """Refuse what cannot lie beside a model, before it is computed."""
    if tokenizer is not None and not hasattr(tokenizer, "save_pretrained"):
        raise UserError(f"tokenizer: a {type(tokenizer).__name__}, give one of transformers")
    for name in pictures:
        if Path(name).name != name or Path(name).suffix != ".png":
            raise UserError(f"pictures: {name!r} is no name of a PNG file, give one such as shape.png")


def _pictures_in(folder: Path) -> list[str]:
    """The pictures that the card of a folder shows."""
    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    return re.findall(r"^!\[[^]]*\]\(([^/)]+\.png)\)$", text, re.MULTILINE)


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """In eval mode; afterwards every module is in its own again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def check_choice(format: str, precision: str) -> None:
    """
    Raises:
        UserError: a format or precision that is none, or a precision that the format does not have.
    """
    if format not in EXPORT_FORMATS:
        raise UserError(f"format: {format!r} is not one of {', '.join(EXPORT_FORMATS)}")
    if precision not in EXPORT_PRECISIONS:
        raise UserError(f"precision: {precision!r} is not one of {', '.join(EXPORT_PRECISIONS)}")
    if precision != "float32" and format != "onnx":
        raise UserError(f"precision: {precision} is of format=onnx, format={format} has the model's own")


@dataclass(frozen=True)
class _Stock:
    """What a writer has written."""

    lost: tuple[str, ...]
    parameters: int


Write = Callable[[Path], _Stock]
Answers = Callable[[dict[str, torch.Tensor]], list[Array]]
"""Outputs of what was written to inputs of the model."""


def _native(model: PreTrainedModel, precision: str) -> tuple[Write, Callable[[Path], Answers]]:
    def write(folder: Path) -> _Stock:
        checkpoints.save(model, folder)
        return _Stock((), model.num_parameters())

    def again(folder: Path) -> Answers:
        loaded = checkpoints.load(folder, attention=model.config._attn_implementation, dtype=model.dtype)
        return _answers(on_device(loaded, model.device))

    return write, again


def _stock(model: PreTrainedModel, plain: bool) -> tuple[Write, Callable[[Path], Answers]]:
    shape = stock_shape(model)
    if plain and shape.lost:
        raise UserError(
            f"format: stock {model.config.model_type} has no such shape: {'; '.join(shape.lost)}; format=padded writes "
            "it so, native and onnx take any shape; `python -m experiments.compress ... uniform=true all_heads=true` "
            "searches for one that plain takes"
        )

    def write(folder: Path) -> _Stock:
        written = stock_model(model, shape)
        checkpoints.save(written, folder)
        return _Stock(shape.lost, written.num_parameters())

    def again(folder: Path) -> Answers:
        attention = attention_for_transformers(model.config, model.config._attn_implementation)
        loaded = type(model).from_pretrained(folder, dtype=model.dtype, attn_implementation=attention)
        return _answers(on_device(loaded.eval(), model.device))

    return write, again


def _write_quantized(model: PreTrainedModel, exact: Path, folder: Path) -> _Stock:
    """Graphs in int8 of those in float32 in ``exact``."""
    folder.mkdir()
    for path in exact.glob("*.onnx"):
        graphs.quantize_graph(path, folder / path.name)
    return _beside_graphs(model, folder)


def _beside_graphs(model: PreTrainedModel, folder: Path) -> _Stock:
    """Write the configurations that graphs have beside them."""
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    return _Stock((), model.num_parameters())


def _onnx(model: PreTrainedModel, precision: str) -> tuple[Write, Callable[[Path], Answers]]:
    def write(folder: Path) -> _Stock:
        folder.mkdir()
        graphs.write_graphs(model, folder, precision)
        return _beside_graphs(model, folder)

    def again(folder: Path) -> Answers:
        if not checkpoints.is_translator(model):
            session = Session(folder / graphs.MODEL)
            return lambda inputs: list(session(inputs).values())
        reader, writer = Session(folder / graphs.READER), Session(folder / graphs.WRITER)

        def answers(inputs: dict[str, torch.Tensor]) -> list[Array]:
            hidden = reader(inputs)["last_hidden_state"]
            given = {"encoder_hidden_states": hidden, "encoder_attention_mask": inputs["attention_mask"]}
            return [writer(inputs | given)["logits"]]

        return answers

    return write, again


_WRITERS: dict[str, Callable[[Any, str], tuple[Write, Callable[[Path], Answers]]]] = {
    "native": _native,
    "plain": lambda model, precision: _stock(model, plain=True),
    "padded": lambda model, precision: _stock(model, plain=False),
    "onnx": _onnx,
}


def _answers(model: Any) -> Answers:
    """What a model says to inputs; of an encoder-decoder without words what its task head is given."""
    translates = checkpoints.is_translator(model)

    @torch.no_grad()
    def answers(inputs: dict[str, torch.Tensor]) -> list[Array]:
        asked = model
        if model.config.is_encoder_decoder and not translates:
            asked = model.base_model
        elif "MultipleChoice" in type(model).__name__:
            inputs = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}
        output = asked(**inputs)
        values = [output.logits] if translates else output.values()
        return [value.cpu().double().numpy() for value in values if isinstance(value, torch.Tensor)]

    return answers


def _difference(model: PreTrainedModel, written: Answers) -> float:
    """Largest difference from a model's outputs, as a share of the largest, on two batches of random tokens."""
    largest = difference = 0.0
    for rows, length, seed in ((3, 11, 1), (1, 5, 2)):
        inputs = graphs.random_inputs(model, rows, length, seed)
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = graphs.random_targets(model, rows, 4, seed)
        for ours, theirs in zip(_answers(model)(inputs), written(inputs), strict=True):
            if not np.isfinite(ours).all():
                raise UserError("model: its outputs are not finite; check its weights")
            largest = max(largest, float(np.abs(ours).max()))
            difference = max(difference, float(np.abs(ours - theirs).max()))
            if not np.isfinite(theirs).all():
                return float("inf")
    return difference / largest if largest else difference
