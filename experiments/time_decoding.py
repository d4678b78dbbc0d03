"""Do translation models without some of their heads translate faster? Words a second of beam search, with heads of all
kinds of attention removed, and of each kind alone.

python -m experiments.time_decoding scale=small task=multi30k model=marian-small
python -m experiments.time_decoding task=wmt14 model=opus-mt-en-fr model.weights=random length=24
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.cli.verb import verb
from prunekit.config.checks import twice
from prunekit.config.ranges import LENGTH, within
from prunekit.heads.settings import TimingSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run



@dataclass(kw_only=True)
class TimeDecoding(TimingSettings):
    """Measured speed of beam search, of a translation model and of what is left of it."""

    autocasts: ClassVar[bool] = False
    shares: list[float] = within([0.25, 0.5, 0.75], 0, 1, fewest=1)
    """Shares of the heads of the chosen kinds that go."""
    length: int | None = within(None, 1, LENGTH)
    """Tokens of a source, unpadded; null for the mean length of the evaluation data (needs a tokenizer)."""
    words: int = within(24, 1, LENGTH)
    """Words of each translation."""

    def problems(self) -> Any:
        yield from super().problems()
        if not self.task.translation:
            yield f"task: {self.task.name} is no translation; `time_inference` times encoders"
        yield from twice("shares", self.shares)
        if self.length is None and self.model.weights == "random":
            yield "length: random weights have no tokenizer to measure the data's mean length with, give length=N"


def procedure(config: TimeDecoding, run: Run) -> None:
    from prunekit.heads.decoding_speed import decoding_row
    from prunekit.heads.timing_subject import timed_model, timed_scores, without_lowest
    from prunekit.models.blocks import describe
    from prunekit.models.input_tables import check_length
    from prunekit.runs.run_data import evaluation_examples

    original, teacher = timed_model(config, run)
    check_length("length", config.length or 0, original)
    check_length("words", config.words, original)
    scores = timed_scores(config, run, original, teacher)
    length = config.length
    if length is None and teacher is not None:
        length = evaluation_examples(config, teacher, run).mean_lengths[0]
    assert length is not None
    kinds = describe(original).kinds
    cells = [(chosen, share) for chosen in (kinds, *((kind,) for kind in kinds)) for share in config.shares]
    rows: list[dict[str, Any]] = []
    with run.stage("time decoding", len(config.batch_sizes) * len(cells)) as advance:
        for batch_size in config.batch_sizes:
            for chosen, share in cells:
                pruned, _, gone = without_lowest(original, scores, chosen, share)
                timed = decoding_row(
                    original, pruned, batch_size, length, config.words, config.evaluation.beams,
                    warmup=config.warmup, repeats=config.repeats, device=run.device,
                )  # fmt: skip
                rows.append({"kinds": "+".join(chosen), "share": share, "achieved_heads": gone, **timed})
                run.log(len(rows), **rows[-1])
                advance(1)
    run.table("decoding", rows)
    largest = [row for row in rows if row["batch_size"] == config.batch_sizes[-1]]
    run.metrics = {
        "words": config.words, "beams": config.evaluation.beams,
        **{f"speedup_{row['kinds']}_{row['share']:g}": row["speedup"] for row in largest},
    }  # fmt: skip
    run.sparsity = {
        "requested_heads": max(config.shares),
        "achieved_heads": max(row["achieved_heads"] for row in rows if row["kinds"] == "+".join(kinds)),
    }


main = verb("time_decoding", TimeDecoding, procedure, revision=1, measures_time=True,
            scores=lambda own: own.model.weights != "random")  # fmt: skip


if __name__ == "__main__":
    main()
