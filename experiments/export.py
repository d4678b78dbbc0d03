"""Take a pruned model away: as stock transformers loads it, as ONNX Runtime runs it, or on the Hub.

    python -m experiments.export source=runs/prune_fisher/RUN_ID format=onnx out=out/pruned
    python -m experiments.export source=runs/prune_cofi/RUN_ID format=onnx precision=int8 out=out/int8
    python -m experiments.export source=runs/prune_cofi/RUN_ID out=out/pruned push_to=NAME/REPOSITORY
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.cli.verb import Command
from prunekit.config.checks import one_of
from prunekit.config.choices import EXPORT_FORMATS, EXPORT_PRECISIONS
from prunekit.config.ranges import path_setting
from prunekit.config.sections import Settings
from prunekit.support.errors import UserError


@dataclass(kw_only=True)
class Export(Settings):
    """The model of a run, or of any saved one, for others; with a model card."""

    source: str | None = path_setting()
    """Folder of a finished run of `prune_heads` (with ``save=true``), `prune_fisher`, `prune_cofi`, `compress`,
    `finetune` or `quantize` (but ``dynamic``), whose record the model card tells of; or a folder or Hub id of a
    model."""
    out: str = path_setting("exported", written=True)
    """Folder that is written; as a whole, or not at all."""
    format: str = "native"
    """``native``: for `import prunekit.auto`; ``plain``: stock transformers loads it, where all layers are alike;
    ``padded``: stock transformers loads any shape, with zeros where layers differ; ``onnx``: for ONNX Runtime."""
    precision: str = "float32"
    """Of ``onnx``: ``float32``, or ``int8`` for weights in 8 bits, quantised after training."""
    push_to: str | None = None
    """Repository on the Hub, ``NAME/REPOSITORY``, that the folder is uploaded to; it is created if it is not there."""
    private: bool = False
    """A repository that is created is private."""

    def problems(self) -> Iterator[str]:
        yield from one_of("format", self.format, EXPORT_FORMATS)
        yield from one_of("precision", self.precision, EXPORT_PRECISIONS)
        if self.precision != "float32" and self.format != "onnx":
            yield f"precision: {self.precision} is of format=onnx, format={self.format} has the model's own"
        if self.push_to is not None and self.push_to.count("/") != 1:
            yield f"push_to: {self.push_to!r} is no repository, give NAME/REPOSITORY"
        if self.private and self.push_to is None:
            yield "private: is about the repository of push_to, give that too"


def pictures(run: Path | None) -> dict[str, bytes]:
    """Of the units that a run kept, layer by layer, as PNG by name; that of its method, or one of any."""
    import analysis

    if run is None:
        return {}
    with TemporaryDirectory() as folder:
        drawn = [path for path in analysis.draw_run(run, Path(folder)) if path.suffix == ".png" and "kept" in path.name]
        return {path.name: path.read_bytes() for path in drawn or analysis.draw_kept(run, Path(folder))}


def perform(config: Export) -> None:
    if config.source is None:
        raise UserError("source: give the folder of a run or of a saved model, or a Hub id")
    from experiments.cli.again import command_of
    from prunekit.runs.finished import unchanged
    from prunekit.runs.model_facts import run_folder, run_model
    from prunekit.support.progress import console

    run = run_folder(config.source, command_of)  # what is wrong with it is refused before torch is imported
    import prunekit
    from prunekit.models.export.card import WARNING
    from prunekit.models.export.hub import push

    with nullcontext() if run is None else unchanged(run):  # record and weights are of one model
        given = run_model(config.source, command_of)
        model, tokenizer, kept = prunekit.load(given.path), given.tokenizer(), pictures(given.run)
    written = prunekit.export(
        model, config.out, config.format, precision=config.precision, tokenizer=tokenizer, facts=given.facts,
        pictures=kept,
    )  # fmt: skip
    console.print(
        f"{written.folder}: {written.format}, {written.precision}, {written.size}; outputs "
        f"{written.apart}",
        soft_wrap=True,
    )
    if written.far:
        console.print(f"  {WARNING}", soft_wrap=True)
    if tokenizer is None:
        console.print(f"  without a tokenizer, as {given.path} has none; text needs one", soft_wrap=True)
    for phrase in written.lost:
        console.print(f"  no smaller where it is padded: {phrase}", soft_wrap=True)
    if config.push_to is not None:
        console.print(f"{push(written.folder, config.push_to, private=config.private)}", soft_wrap=True)


main = Command("export", Export, perform)

if __name__ == "__main__":
    main()
