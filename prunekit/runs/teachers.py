"""Teachers: fine-tuned models, trained once for each (model, data, recipe) and shared by all experiments."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.config.sections import Experiment, ModelConfig, Settings, model_of_teacher, require_scores
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds import encode_for, kind_of, new_tokenizer
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import load_tokenizer
from prunekit.evaluation.evaluate import evaluate, model_record
from prunekit.models import checkpoints
from prunekit.models.pretrained import on_device
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Ahead, Run, execute
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import weights_fingerprint
from prunekit.training import processes
from prunekit.training.finetuning import steps_in, train, training_attention
from prunekit.training.loop import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REVISION = 1
"""Raised whenever `finetune` gives other numbers for the same configuration."""


@dataclass
class Teacher:
    """A fine-tuned model in eval mode on the run's device, with its tokenizer and how records name it."""

    model: PreTrainedModel
    tokenizer: Any
    record: dict[str, Any]
    source: dict[str, Any]

    def encode(self, rows: Rows) -> Examples:
        return encode_for(self.model, rows, self.tokenizer)


def finetune(config: Settings, run: Run) -> None:
    """Procedure of the verb `finetune`: train a teacher, evaluate it, keep its weights in ``model/``."""
    rows = load_rows(config.task, config.task.train).sample(config.train.examples)
    evaluation = load_rows(config.task, config.task.evaluation).sample(config.train.evaluation_examples)
    tokenizer = new_tokenizer(config.model, rows)
    model, created = new_model(config.model, config.task, config.train.seed, tokenizer)
    train_rows, held_out = _split(rows, config)
    encoded = partial(encode_for, model, tokenizer=tokenizer)
    examples, tested = encoded(train_rows), encoded(evaluation)
    judged = encoded(held_out) if len(held_out) else None

    def held_out_score(current: PreTrainedModel) -> float:
        assert judged is not None  # train.keep=best, see `_split`
        return evaluate(config.task, current, judged, device=run.device).metrics[config.task.metric]

    def keep_snapshot(epoch: int) -> None:
        if epoch in config.train.snapshots:
            checkpoints.save(model, snapshot_folder(run.folder, epoch), tokenizer=tokenizer)

    inputs = {
        "start": weights_fingerprint(model), "examples": examples.fingerprint(),
        "held-out rows": held_out.fingerprint(),
    }  # fmt: skip
    attention = training_attention(model, run.device, config.train)
    with attention, run.stage("train", steps_in(len(examples), config.train)) as advance:
        context = Context(
            examples=examples, device=run.device, folder=run.folder, checkpoint_seconds=config.run.checkpoint_seconds,
            inputs=inputs,
            on_resume=lambda step: (run.logged(until=step), None)[1],
            on_log=lambda step, values: run.log(step, **values), on_step=advance,
        )  # fmt: skip
        state = train(model, config.train, context, evaluate=held_out_score, on_epoch=keep_snapshot)
    if processes.rank() > 0:
        return  # it has helped to train
    with run.stage("evaluate", len(tested)) as advance:
        evaluated = evaluate(config.task, model, tested, device=run.device, on_rows=advance)
    run.answers.add("evaluation", [{"stage": "final"}], evaluated.answers)
    if names := kind_of(config.task).output_names(config.task):
        model.config.id2label = dict(enumerate(names))
        model.config.label2id = {name: number for number, name in model.config.id2label.items()}
    record_beside_trivial(run, config.task, model, evaluation, evaluated)
    checkpoints.save(model, run.folder / "model", tokenizer=tokenizer)
    run.leftovers += [run.folder / name for name in ("checkpoint.safetensors", "best.safetensors")]
    run.metrics = {**evaluated.metrics, "steps": state.step, "created": created}
    if config.train.keep == "best":
        run.metrics |= {"held_out": state.best, "best_step": state.best_step}
    run.model = model_record(model, config.model.name, config.model.path, config.model.weights)
    run.data = [train_rows.record("train"), evaluation.record("evaluation")]


def untrained(config: Experiment, run: Run) -> Teacher:
    """What the fine-tuning of a teacher starts from: its pretrained weights, or random ones, and a new task head."""
    rows = load_rows(config.task, config.task.train).sample(config.train.examples)
    tokenizer = new_tokenizer(config.model, rows)
    model, _ = new_model(config.model, config.task, config.train.seed, tokenizer)
    on_device(model, run.device)
    run.model = model_record(model, config.model.name, config.model.path, config.model.weights)
    return Teacher(model, tokenizer, run.model, {"run_id": None})


def load_teacher(config: Experiment, run: Run) -> Teacher:
    """The teacher of an experiment: fine-tuned now if no run before did, or the user's own.

    Raises:
        UserError: the user's model has another kind of task head, or another number of outputs than the task has
            labels; see :func:`check_scores` where it is fine-tuned now.
    """
    dtype = torch.float64 if config.dtype == "float64" else torch.float32
    if config.teacher is not None:
        folder = config.teacher
        source: dict[str, Any] = {"run_id": None, "path": config.teacher}
    else:
        wanted = Settings(
            model=config.model, task=config.task, train=config.train, scale=config.scale,
            run=dataclasses.replace(config.run, force=False),
        )  # fmt: skip
        record = execute(
            "finetune", REVISION, wanted, finetune, check=lambda own, _: check_scores(own), needs_model=True,
            ahead=Ahead(run, "teacher"),
        )  # fmt: skip
        metric = config.task.metric
        folder = str(Path(config.run.folder) / "finetune" / record["run_id"] / "model")
        run.data = [item for item in record["data"] if item["role"] == "train"]
        value = record["metrics"][metric]
        source = {
            "run_id": record["run_id"], "seed": config.train.seed, "metric": metric, "value": value,
            "device": f"{record['device']['name']} ({record['device']['type']})",
        }  # fmt: skip
    model = checkpoints.load(folder, attention=config.model.attention, dtype=dtype)
    on_device(model, run.device)
    kind_of(config.task).check_fits(model, f"teacher: {folder}", config.task)
    tokenizer = load_tokenizer(dataclasses.replace(config.model, path=folder))
    run.teacher = source
    if config.teacher is not None:
        run.model = teacher_record(model, config.teacher)
    else:
        run.model = model_record(model, config.model.name, config.model.path, config.model.weights)
    return Teacher(model, tokenizer, run.model, source)


def check_scores(config: Settings) -> None:
    """Refuse what could not be scored in the end, before anything is trained.

    Raises:
        UserError: random weights, or a package is not installed that scores are computed with.
    """
    require_scores(config.model)
    kind_of(config.task).check_installed(config.task)


def teacher_record(model: PreTrainedModel, path: str) -> dict[str, Any]:
    """How the run record names a model of the user's: by its folder, or its name on the Hub."""
    return model_record(model, model_of_teacher(path, "sdpa").name, path, "pretrained")


def snapshot(config: Experiment, teacher: Teacher, run: Run, epoch: int) -> PreTrainedModel:
    """The teacher as it was after an epoch of its training, one of ``config.train.snapshots``, on the run's device."""
    home = Path(config.run.folder) / "finetune" / teacher.source["run_id"]
    dtype = torch.float64 if config.dtype == "float64" else torch.float32
    model = checkpoints.load(snapshot_folder(home, epoch), attention=config.model.attention, dtype=dtype)
    return on_device(model, run.device)


def snapshot_folder(folder: Path, epoch: int) -> Path:
    """Where the run of a teacher keeps the model as it was after an epoch (from 1)."""
    return folder / "epochs" / str(epoch)


def new_model(
    config: ModelConfig, task: TaskConfig, seed: int, tokenizer: Any = None
) -> tuple[PreTrainedModel, list[str]]:
    """A model to be trained or timed, see :meth:`prunekit.data.kinds.base.TaskKind.new_model`."""
    return kind_of(task).new_model(config, task, seed, tokenizer)


def _split(rows: Rows, config: Settings) -> tuple[Rows, Rows]:
    if config.train.keep == "last":
        return rows, rows.take([])
    if config.train.held_out >= len(rows):
        raise UserError(f"train.held_out: {config.train.held_out} of {len(rows)} training rows leave none to train on")
    order = np.random.default_rng(config.train.seed).permutation(len(rows))
    return rows.take(np.sort(order[config.train.held_out :])), rows.take(np.sort(order[: config.train.held_out]))
