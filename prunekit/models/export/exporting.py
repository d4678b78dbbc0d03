"""Models, pruned or not, in a form that others load: checked by loading it again, whole or not there at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.checks import one_of
from prunekit.config.choices import EXPORT_FORMATS, EXPORT_PRECISIONS
from prunekit.models import checkpoints
from prunekit.models.blocks import attention_for_transformers, describe
from prunekit.models.export import graphs
from prunekit.models.export.card import Facts, card_text
from prunekit.models.export.destination import check_destination
from prunekit.models.export.same_outputs import Answers, Array, answers_of, difference, tolerance
from prunekit.models.export.sessions import Session, check_int8
from prunekit.models.export.stock_model import stock_model
from prunekit.models.export.stock_shape import stock_shape
from prunekit.models.families.anatomy import Encoder
from prunekit.models.families.table import family_of
from prunekit.models.pretrained import in_one_line, on_device, quiet
from prunekit.models.pushing import CARD
from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path, remove_abandoned

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

FAR = 0.2
"""As a share of the largest output: where outputs in int8 differ by more, whoever exports is warned of it."""


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

    @property
    def far(self) -> bool:
        """Whether it may be of no use."""
        return self.difference > FAR

    @property
    def size(self) -> str:
        """Of weights or graphs, in words."""
        return f"{self.bytes / 1e6:{'.1f' if self.bytes >= 1e6 else '.1g'}} MB"

    @property
    def apart(self) -> str:
        """What its outputs and the model's do, in words."""
        return f"differ by {self.difference:.1g} of the largest" if self.difference else "are the same"


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
        folder: replaced as a whole if it holds an earlier export in the same format; its parent folders are created.
        precision: of ``onnx``: ``float32``, or ``int8`` (weights in int8, activations quantised as they come).
        tokenizer: saved beside the model if given.
        facts: what the model card says beside what the model itself tells.
        pictures: PNG files by name, for the card.
        exact: of ``int8``: a folder with the same model's graphs in float32, so that they need not be written again;
            their outputs are compared with the model's first.

    Returns:
        what was written, and by how much its outputs differ; of int8 they do.

    Raises:
        UserError: a format that the shape does not allow (what is in the way), a folder that holds something else
            (also the model itself, or another saved one) or cannot be written, graphs in ``exact`` that are not there
            or another model's, outputs that are not finite or differ, a package that is not installed, a machine
            without 8 bits.
    """
    check_choice(format, precision)
    if precision == "int8":
        check_int8("precision: int8", "use float32")
    if exact is not None and precision != "int8":
        raise UserError("exact: graphs in float32 are for precision=int8; leave it out")
    describe(model)
    folder = Path(folder)
    _check_beside(tokenizer, pictures or {})
    check_destination(model, folder, format)
    problem = f"{folder}: cannot export the model there"
    remove_abandoned(folder)
    with _evaluating(model), in_one_line(problem), atomic_path(folder) as temporary:
        write, again = _WRITERS[format](model, precision)
        if exact is not None:
            _check_exact(model, exact, again)
            write = partial(_write_quantized, model, exact)
        stock = write(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        with quiet():
            apart = difference(model, again(temporary))
        if precision == "float32" and not apart <= tolerance(model):
            raise UserError(
                f"format: outputs of {format} differ from the model's by {apart:.2g} of the largest{stock.inexact}; "
                "nothing was written, use another format"
            )
        weights = [path for path in temporary.iterdir() if path.suffix in (".onnx", ".safetensors")]
        written = Exported(
            folder, format, precision, stock.lost, stock.parameters, sum(path.stat().st_size for path in weights),
            apart,
        )  # fmt: skip
        for name, picture in (pictures or {}).items():
            (temporary / name).write_bytes(picture)
        card = card_text(
            model, written, facts or Facts(), sorted(pictures or {}), tokenizer=tokenizer is not None
        )  # fmt: skip
        (temporary / CARD).write_text(card, encoding="utf-8")
    return written


def _check_beside(tokenizer: Any, pictures: Mapping[str, bytes]) -> None:
    """Refuse what cannot lie beside a model, before it is computed."""
    if tokenizer is not None and not hasattr(tokenizer, "save_pretrained"):
        raise UserError(f"tokenizer: a {type(tokenizer).__name__}, give one of transformers")
    for name in pictures:
        if Path(name).name != name or Path(name).suffix != ".png":
            raise UserError(f"pictures: {name!r} is no name of a PNG file, give one such as shape.png")


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
    for problem in (*one_of("format", format, EXPORT_FORMATS), *one_of("precision", precision, EXPORT_PRECISIONS)):
        raise UserError(problem)
    if precision != "float32" and format != "onnx":
        raise UserError(f"precision: {precision} is of format=onnx, format={format} has the model's own")


@dataclass(frozen=True)
class _Stock:
    """What a writer has written."""

    lost: tuple[str, ...]
    parameters: int
    inexact: str = ""
    """Why its outputs may differ, if it is known."""


Write = Callable[[Path], _Stock]


def _native(model: PreTrainedModel, precision: str) -> tuple[Write, Callable[[Path], Answers]]:
    def write(folder: Path) -> _Stock:
        checkpoints.save(model, folder)
        return _Stock((), model.num_parameters())

    def again(folder: Path) -> Answers:
        loaded = checkpoints.load(folder, attention=model.config._attn_implementation, dtype=model.dtype)
        return answers_of(on_device(loaded, model.device))

    return write, again


def _stock(model: PreTrainedModel, plain: bool) -> tuple[Write, Callable[[Path], Answers]]:
    shape = stock_shape(model)
    if plain and shape.lost:
        raise UserError(
            f"format: stock {model.config.model_type} has no such shape: {'; '.join(shape.lost)}; format=padded writes "
            f"it so, native and onnx take any shape{_searched(model)}"
        )

    def write(folder: Path) -> _Stock:
        written = stock_model(model, shape)
        checkpoints.save(written, folder)
        return _Stock(shape.lost, written.num_parameters(), shape.inexact)

    def again(folder: Path) -> Answers:
        attention = attention_for_transformers(model.config, model.config._attn_implementation)
        loaded = type(model).from_pretrained(folder, dtype=model.dtype, attn_implementation=attention)
        return answers_of(on_device(loaded.eval(), model.device))

    return write, again


def _searched(model: PreTrainedModel) -> str:
    """How to come by a shape that ``plain`` takes; nothing for encoder-decoders, which `compress` does not prune."""
    family = family_of(model.config)
    if not isinstance(family, Encoder):
        return ""
    shared = " refit=none" if "num_hidden_groups" in family.sizes else ""
    return (
        f"; `python -m experiments.compress ... uniform=true all_heads=true{shared}` searches for one that plain takes"
    )


def _write_quantized(model: PreTrainedModel, exact: Path, folder: Path) -> _Stock:
    """Graphs in int8 of those in float32 in ``exact``."""
    folder.mkdir()
    for name in _names_of_graphs(model):
        graphs.quantize_graph(exact / name, folder / name)
    return _beside_graphs(model, folder)


def _check_exact(model: PreTrainedModel, exact: Path, again: Callable[[Path], Answers]) -> None:
    """Refuse a folder that has not the graphs of a model in float32."""
    for name in _names_of_graphs(model):
        if not (exact / name).is_file():
            raise UserError(f"exact: {exact} has no {name}; give a folder that the model was exported to in float32")
    with in_one_line(f"exact: the graphs in {exact} cannot be asked what this model is asked"):
        apart = difference(model, again(exact), "exact")
    if not apart <= tolerance(model):
        raise UserError(
            f"exact: outputs of the graphs in {exact} differ from the model's by {apart:.2g} of the largest: they are "
            "another model's, or not in float32; export this one in float32 first"
        )


def _names_of_graphs(model: PreTrainedModel) -> list[str]:
    return [graphs.READER, graphs.WRITER] if checkpoints.is_translator(model) else [graphs.MODEL]


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
