"""Which data, typed: a section of every configuration (:mod:`prunekit.config.sections`), with its checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from prunekit.config.checks import twice
from prunekit.config.ranges import EXAMPLES, LENGTH, path_setting, within
from prunekit.config.task_kinds import TASK_KINDS, kind_settings, problems_of_metric

WHERE_ROWS_COME_FROM = (
    "name", "source", "subset", "columns", "label", "train", "evaluation", "selection", "files", "train_rows",
    "evaluation_rows",
)  # fmt: skip
"""Settings of a task that only say which rows are read; whoever has the rows needs them no more."""
ONE_LABEL_A_ROW = "classification and regression"
"""What verbs take that work on one label a row."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, or is written like one: 1, "+1", "01", 1.0."""
    return _WHOLE.fullmatch(str(value).strip()) is not None


def label_key(value: Any) -> str:
    """What a label is compared by: its text without spaces around it, and one spelling of each whole number."""
    text = str(value).strip()
    return str(int(text.partition(".")[0])) if is_whole(text) else text


@dataclass(kw_only=True)
class TaskConfig:
    """Which data: a preset of ``conf/task/``, or the user's own files."""

    name: str = "???"
    """Preset name; figures and records carry it."""
    source: str = "files"
    """Hub dataset id, ``demo`` (built in, generated), ``files`` (the user's own, see ``files``) or ``sacrebleu`` (the
    test sets that come with it, ``translation`` only)."""
    subset: str | None = None
    """Configuration of the Hub dataset, for example a GLUE task; of ``source=sacrebleu`` the name of the test set."""
    columns: list[str] = field(default_factory=lambda: ["sentence"])
    """One or two text columns; with ``tags`` the one that has the words of a sentence."""
    label: str = "label"
    """Label column; with ``questions`` that of the gold answers, with ``tags`` that of a tag for every word."""
    labels: list[str] = field(default_factory=list)
    """Label names in the order of their numbers, as the data has them (names that are numbers too); empty for
    regression and for ``questions``; of ``tags`` all that occur, as O, B-PER, I-PER."""
    questions: bool = False
    """Extractive question answering: ``columns`` are question and context, the answer is a span of the context."""
    translation: bool = False
    """Translation: ``columns`` are source and target. With ``source=files`` they may also be the suffixes of two
    line-aligned text files."""
    tags: bool = False
    """Token classification: a tag for every word. Columns of a CoNLL file are ``tokens`` (the first), ``tags`` (the
    last), numbers from 0 (-1 is the last), or names that its line ``# global.columns = ...`` gives."""
    vocabulary: int = within(8000, 300, 10_000_000)
    """Pieces that are learned from the training split for a model without a tokenizer of its own: of the joint
    byte-pair encoding of ``translation``, of the words of ``tags``."""
    metrics: list[str] = field(default_factory=lambda: ["accuracy"])
    """Metrics, the first is the one that curves and tables use. As GLUE defines them: ``accuracy``, ``f1`` (two labels)
    and ``matthews`` of classification, ``pearson`` and ``spearman`` of regression; as SQuAD does: ``answer_f1`` and
    ``exact_match`` of questions; as sacreBLEU does: ``bleu`` and ``chrf`` of translation; of tags ``entity_f1``, as
    CoNLL scores entities, and ``token_accuracy``, over words."""
    train: str = "train"
    """Split that teachers are trained on and that importance is estimated from."""
    evaluation: str = "validation"
    """Split that scores are reported on."""
    selection: str | None = None
    """Split that the head that stays alone is chosen on; null for the training split."""
    files: dict[str, str | None] = path_setting({})
    """With ``source=files``: split name to CSV, TSV, JSONL or Parquet file; null for a split that is not there. Of
    ``translation`` also the common part of two file names: train=corpus/train reads corpus/train.de and
    corpus/train.en for ``columns: [de, en]``."""
    max_length: int = within(128, 8, LENGTH)
    """Longest input in tokens; longer ones are cut, contexts of ``questions`` into several windows."""
    question_length: int = within(64, 1, LENGTH)
    """Longest question in tokens; longer ones are cut (``questions`` only)."""
    stride: int = within(128, 0, LENGTH)
    """Tokens that two neighbouring windows of a context share (``questions`` only)."""
    answer_length: int = within(30, 1, LENGTH)
    """Longest answer in tokens that is looked for (``questions`` only)."""
    no_answer: float | None = within(None, -1e9, 1e9)
    """Questions may have no answer, and get none where the score of no answer exceeds that of the best span by more
    than this threshold; null for data that answers every question (``questions`` only)."""
    train_rows: int = within(8000, 1, EXAMPLES)
    """Size of the generated training split (``demo`` only)."""
    evaluation_rows: int = within(2000, 1, EXAMPLES)
    """Size of each generated validation split (``demo`` only)."""

    def problems(self) -> Iterator[str]:
        if not self.name.strip():
            yield "name: it is empty, records and figures need one"
        if len(self.columns) not in (1, 2):
            yield f"columns: {self.columns} has {len(self.columns)} names, give one or two text columns"
        if not self.metrics:
            yield "metrics: give at least one"
        for metric in self.metrics:
            yield from problems_of_metric(self, metric)
        yield from twice("metrics", self.metrics)
        yield from self._problems_of_columns()
        yield from self._problems_of_labels()
        for kind in TASK_KINDS:
            if kind.is_asked(self):
                yield from kind.problems(self)
        if self.source == "sacrebleu" and not (self.translation and self.subset):
            yield "source: sacrebleu has test sets of translation, give translation=true and subset=NAME"
        if self.source == "files" and not any(self.files.values()):
            yield "files: source=files needs task.files.train=PATH and task.files.validation=PATH"

    def _problems_of_columns(self) -> Iterator[str]:
        if len(self.columns) == 2 and self.columns[0] == self.columns[1]:
            yield f"columns: {self.columns} is one column twice, name two"
        if not self.translation and self.label in self.columns:
            yield f"label: {self.label!r} is also a text column, the answer would stand in the input"

    def _problems_of_labels(self) -> Iterator[str]:
        if len(self.labels) == 1:
            yield "labels: one label leaves nothing to learn, name two or more (none for regression)"
        keys = [label_key(name) for name in self.labels]
        for place, key in enumerate(keys):
            if not key:
                yield f"labels: the name of label {place} is empty"
            elif key in keys[:place]:
                yield f"labels: {self.labels[place]!r} stands twice in {self.labels}, each needs a name of its own"
        if self.kind == "classification" and len(self.labels) > 2 and "f1" in self.metrics:
            yield f"metrics: f1 is of two labels and there are {len(self.labels)}, choose accuracy or matthews"

    @property
    def kind(self) -> str:
        """Name in :data:`prunekit.config.task_kinds.TASK_KINDS`."""
        return kind_settings(self).name

    @property
    def regression(self) -> bool:
        return self.kind == "regression"

    @property
    def outputs(self) -> int:
        """Outputs of a model's task head: a score a label, one number, or start and end of the answer; of translation,
        whose output is the vocabulary, none."""
        return kind_settings(self).outputs(self)

    @property
    def metric(self) -> str:
        return self.metrics[0]

    def beyond_rows(self) -> dict[str, Any]:
        """All settings that change what is made of rows, by name: whatever is not known to say where they are."""
        return {name: value for name, value in asdict(self).items() if name not in WHERE_ROWS_COME_FROM}


def without_questions(task: TaskConfig, takes: str = "classification, regression and tags") -> Iterator[str]:
    """For verbs that do not work on questions.

    Args:
        takes: what the verb works on, of encoders.
    """
    if task.questions:
        yield (
            f"task: {task.name} is extractive question answering, this verb takes {takes}; `finetune`, "
            "`prune_fisher`, `prune_cofi`, `compress`, `quantize` and `latency_table` take it"
        )


def without_tags(task: TaskConfig) -> Iterator[str]:
    """For verbs that work on one label a row."""
    if task.tags:
        yield f"task: {task.name} has a tag for every word, this verb takes {ONE_LABEL_A_ROW}"


def without_translation(
    task: TaskConfig, takes: str = "classification, regression, questions and tags"
) -> Iterator[str]:
    """For verbs that work on encoders.

    Args:
        takes: what the verb works on, of encoders.
    """
    if task.translation:
        yield (
            f"task: {task.name} is translation, this verb takes encoders on {takes}; "
            "`finetune`, `ablate_heads`, `prune_heads`, `head_dynamics`, `transfer` and `time_decoding` take it"
        )
