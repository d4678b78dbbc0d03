"""What runs would take: every step runs at the model's own shape, and totals are steps times their number."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra import initialize_config_dir

from experiments.benchmarks.estimate import runs_of, totals
from experiments.cli.composition import CONF
from experiments.estimates.random_inputs import random_examples
from experiments.estimates.reproduction import Planned, estimate, subject_of, what_is_measured
from experiments.estimates.split_rows import ROWS, sampled_rows
from experiments.estimates.steps import STEPS, Measured, measured
from experiments.estimates.work import Work, seconds_of, teacher_of, work_of
from prunekit.models.blocks import describe
from prunekit.models.checkpoints import build
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError
from prunekit.support.progress import plain_console
from tests.support.commands import TINY, called, composed, perform
from tests.support.fake_cuda import fake_cuda

CPU = torch.device("cpu")
SHAPE = "{vocab_size: 90, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 8, " \
        "max_position_embeddings: 40}"  # fmt: skip
SMALL = ["model=bert-base", "model.weights=scratch", f"model.shape={SHAPE}", "task.max_length=16", "train.batch_size=4",
         "evaluation.batch_size=4"]  # fmt: skip
BERT = describe(build("bert", {"hidden_size": 24, "num_hidden_layers": 12, "num_attention_heads": 12,
                               "intermediate_size": 320, "vocab_size": 30}, 2))  # fmt: skip
SECONDS = {
    "step of training": 2.0, "row of evaluation": 0.1, "row of importance": 0.3, "row of ablation": 5.0,
    "row of gradients": 0.5, "row of tuning": 0.25, "step of CoFi": 3.0,
}  # fmt: skip


def units(work: list[Work], step: str) -> list[float]:
    return [part.units for part in work if part.step == step]


@pytest.mark.parametrize("task", ["mnli", "stsb", "squad"])
@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_every_step_runs_and_leaves_the_model_as_it_was(family: str, task: str) -> None:
    asked = ["task.question_length=4", "task.stride=2"] * (task == "squad")
    config = composed("prune_cofi", f"task={task}", *SMALL, *asked, f"model.family={family}", "student.batch_size=2")
    subject = subject_of(Planned("", "prune_cofi", config), CPU)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    for name in STEPS:
        if task != "squad" or name not in ("row of importance", "row of ablation"):  # as the verbs that take them
            assert measured(name, subject).seconds > 0
    assert all(value.equal(before[name]) for name, value in subject.model.state_dict().items())
    lengths = random_examples(subject.model, config.task, 3, seed=0).lengths
    assert lengths.tolist() == [16] * 3


def test_steps_of_translation() -> None:
    config = composed("prune_heads", "task=multi30k", "model=marian-demo", "task.max_length=8", "train.batch_size=2",
                      "evaluation.batch_size=2", "evaluation.beams=2", "task.vocabulary=300")  # fmt: skip
    subject = subject_of(Planned("", "prune_heads", config), CPU)
    assert subject.model.config.vocab_size == 300
    for name in ("step of training", "row of evaluation", "row of importance"):
        assert measured(name, subject).seconds > 0
    ablation = composed("ablate_heads", "task=multi30k", "model=marian-demo", "evaluation.examples=100",
                        "selection_examples=7")  # fmt: skip
    work = work_of("ablate_heads", ablation, describe(subject.model))  # 9 sublayers of 4 heads
    assert units(work, "row of ablation") == [] and units(work, "row of evaluation")[1:] == [3600, 3600, 252]


def test_a_batch_is_as_large_as_the_verb_s() -> None:
    config = composed("prune_cofi", "task=mnli", *SMALL, "student.batch_size=3", "evaluation.batch_size=5")
    subject = subject_of(Planned("", "prune_cofi", config), CPU)
    assert {name: STEPS[name](subject)[1] for name in STEPS if name != "row of ablation"} == {
        "step of training": 1, "row of evaluation": 5, "row of importance": 32, "row of gradients": 32,
        "row of tuning": 32, "step of CoFi": 1,
    }  # fmt: skip
    assert STEPS["row of ablation"](subject)[1] == 2**11 // 2 // 16
    longer = dataclasses.replace(subject, task=dataclasses.replace(subject.task, max_length=40))
    assert STEPS["row of ablation"](longer)[1] == 25


def test_work_by_hand() -> None:
    """At the paper's scale, of MNLI, without what is timed."""
    config = composed("prune_heads", "scale=paper", "order=importance")
    work = work_of("prune_heads", config, BERT)
    assert units(work, "step of training") == [3 * 12272]  # 392,702 pairs in batches of 32
    assert units(work, "row of evaluation") == [9815, 21 * 9815] and units(work, "row of importance") == [10_000]
    stepwise = work_of("prune_heads", dataclasses.replace(config, order="importance_stepwise"), BERT)
    assert units(stepwise, "row of importance") == [210_000]
    oracle = work_of("prune_heads", dataclasses.replace(config, order="oracle"), BERT)
    ablation = work_of("ablate_heads", composed("ablate_heads", "scale=paper"), BERT)
    assert units(oracle, "row of ablation") == [4907.5] and units(ablation, "row of ablation") == [4907.5, 4907.5, 2500]
    transfer = work_of("transfer", composed("transfer", "scale=paper"), BERT)
    assert units(transfer, "row of ablation") == [4907.5, 4916]
    fisher = work_of("prune_fisher", composed("prune_fisher", "scale=paper", "task=mrpc", "batch_sizes=[32]"), BERT)
    assert units(fisher, "row of gradients") == units(fisher, "row of tuning") == [2048]
    assert units(fisher, "row of evaluation") == [408, 408, 3 * 408, 2 * 22 * 32]  # 2 models, 20 rounds and 2 uncounted
    table = work_of("latency_table", composed("latency_table", "scale=paper", "length=128"), BERT)
    assert units(table, "row of evaluation") == [7 * 32 * (12 + 320 / 32) / 2 / 12]


def test_work_of_a_student_by_hand() -> None:
    config = composed("prune_cofi", "scale=paper", "task=mrpc", "batch_sizes=[1]", "train.examples=1900")
    work = work_of("prune_cofi", config, BERT)  # 300 rows are held out from 1,900
    assert units(work, "step of CoFi") == [4 * 50, (96 + 20) * 50]
    assert 116 * 300 in units(work, "row of evaluation")  # judged every 50 steps
    validated = dataclasses.replace(config, student=dataclasses.replace(config.student, select_on="validation"))
    assert units(work_of("prune_cofi", validated, BERT), "step of CoFi") == [4 * 60, 116 * 60]


def test_what_runs_share_is_done_once() -> None:
    config = composed("prune_fisher", "scale=paper", "task=mrpc", "batch_sizes=[1]")
    other = dataclasses.replace(config, constraint=0.3)
    again = dataclasses.replace(config, seed=1)
    done: set[tuple[str, str]] = set()
    first, second, third = (
        seconds_of(work_of("prune_fisher", one, BERT), SECONDS, done) for one in (config, other, again)
    )
    teacher = 3 * 115 * 2.0 + 408 * 0.1
    assert first - second == pytest.approx(teacher + 2048 * 0.5 + 408 * 0.1)  # gradients, and the whole model's score
    assert third - second == pytest.approx(2048 * 0.5)
    recipe = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=1))
    assert teacher_of(recipe) != teacher_of(config) == teacher_of(again)
    assert "finetune" not in teacher_of(dataclasses.replace(config, teacher="path/to")) == "path/to"


def test_rows_of_splits() -> None:
    task = composed("prune_fisher", "task=mrpc").task
    assert [sampled_rows(task, "train", size) for size in (None, 5, 10_000)] == [3668, 5, 3668]
    demo = composed("prune_fisher", "task.train_rows=77").task
    assert sampled_rows(demo, "train", None) == 77 and sampled_rows(demo, "validation_matched", None) == 2000
    scales = [composed("reproduce", f"scale={scale}").scale for scale in ("small", "base", "paper")]
    for name in {*(name for scale in scales for name in (*scale.tasks, *scale.sparsities)), "mnli", "snli"}:
        task = composed("prune_fisher", f"task={name}").task
        assert {task.train, task.evaluation} <= ROWS[task.source, task.subset].keys()


def test_steps_are_measured_once_for_runs_in_which_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(name: str, subject: Any) -> Measured:
        asked.append(f"{subject.task.kind} {name}")
        return Measured(SECONDS[name], 2000.0 if name == "row of tuning" else 1000.0)

    monkeypatch.setattr("experiments.estimates.reproduction.measured", counted)
    own = ["scale=paper", *SMALL, "run.device=cpu"]
    runs = [
        ("kwon_macs", composed("prune_fisher", "task=mrpc", "constraint=0.5", *own)),
        ("kwon_macs", composed("prune_fisher", "task=mrpc", "constraint=0.3", *own)),
        ("kwon_macs", composed("prune_fisher", "task=sst2", *own)),
        ("kwon_macs", composed("prune_fisher", "task=stsb", *own)),
        ("kwon_stages", composed("prune_fisher", "task=mrpc", "constraint=0.5", *own)),  # which is the first run
    ]
    console = plain_console(width=120)
    with console.capture() as printed:
        parts = estimate(runs, console)
    steps = ["step of training", "row of evaluation", "row of gradients", "row of tuning"]
    assert asked == [f"{kind} {step}" for kind in ("classification", "regression") for step in steps]
    assert [(one.task, one.runs, one.step, one.megabytes) for one in parts] == [
        ("mrpc", 2, "row of tuning", 2000.0), ("sst2", 1, "row of tuning", 2000.0), ("stsb", 1, "row of tuning", 2000.0)
    ]  # fmt: skip
    second = 2048 * 0.25 + (3 * 408 + 804 + 1408) * 0.1  # tuning, three stages, timed batches of 1 and 32
    first = 3 * 917 * 2.0 + 2 * 408 * 0.1 + 2048 * 0.5 + second  # a teacher, the whole model, gradients
    assert [parts[0].longest, parts[0].seconds] == pytest.approx([first, first + second])
    text = printed.get()
    assert "teachers train in float32, evaluation in float32" in text
    lines = [line.split() for line in text.splitlines()]
    hours = f"{sum(one.seconds for one in parts) / 3600:.2f}"
    assert ["all", "4", hours, "2.00"] in lines
    assert ["bert-base,", "regression", "of", "16", "tokens", "row", "of", "tuning", "0.25", "2.00"] in lines


def test_runs_that_train_or_evaluate_otherwise_are_measured_by_themselves() -> None:
    first = composed("prune_cofi", "task=mrpc", *SMALL)
    others = ["train.batch_size=8", "train.precision=bfloat16", "train.attention=eager", "evaluation.batch_size=8",
              "dtype=bfloat16", "student.batch_size=8", "student.precision=bfloat16", "task.max_length=24",
              "model.attention=eager"]  # fmt: skip
    own = what_is_measured(Planned("", "prune_cofi", first))
    assert all(what_is_measured(Planned("", "prune_cofi", composed("prune_cofi", "task=mrpc", *SMALL, one))) != own
               for one in others)  # fmt: skip
    for same in ("train.epochs=1", "sparsity=0.3", "task=sst2", "train.seed=4", "student.prune_epochs=50"):
        assert what_is_measured(Planned("", "prune_cofi", composed("prune_cofi", "task=mrpc", *SMALL, same))) == own


@pytest.mark.slow
def test_a_paper_is_estimated_and_nothing_is_run(tmp_path: Path) -> None:
    own = [*TINY[3:], "scale.tasks=[]", "scale.constraints=[0.5]", "scale.calibration_seeds=[0]",
           "scale.calibration_sizes=[64]", "scale.compared_constraints=[0.5]"]  # fmt: skip
    done = called("reproduce", "paper=kwon", "estimate=true", "run.device=cpu", f"run.folder={tmp_path}", *own)
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.iterdir()] == []
    assert {"kwon_macs", "kwon_latency_table", "kwon_latency", "kwon_scores"} <= {*done.stdout.split()}


@pytest.mark.parametrize(
    ("scale", "rows", "epochs", "precision"),
    [
        ("demo", None, 6, "float32"), pytest.param("base", 5000, 5, "bfloat16", marks=pytest.mark.slow),
        pytest.param("paper", 64, 40, "float32", marks=pytest.mark.slow),
    ],
)
def test_students_and_rows_are_those_of_the_scale(scale: str, rows: int | None, epochs: int, precision: str) -> None:
    config = composed("benchmark", "benchmark=estimate", f"scale={scale}", *["train.examples=5000"] * (scale == "base"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        runs = runs_of(config, 64)
    student = runs["prune_cofi"].student
    assert (runs["finetune"].train.examples, student.epochs, student.precision) == (rows, epochs, precision)
    found = totals(SECONDS, runs, BERT)
    assert found["prune_heads"] > 0 and "head_dynamics" not in found
    per_epoch = -(-(rows or 30_000) // config.train.batch_size)
    evaluated = 2000 if scale == "demo" else 9815
    assert found["finetune"] == pytest.approx(config.train.epochs * per_epoch * 2.0 + 0.1 * evaluated, rel=0.3)


def test_the_verb(tmp_path: Path) -> None:
    done = called("benchmark", "benchmark=estimate", "examples=64", "repeats=1", f"run.folder={tmp_path}", *TINY)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("benchmark/*/result.json")
    metrics, steps = json.loads(path.read_text())["metrics"], pd.read_csv(path.parent / "tables" / "steps.csv")
    assert not (path.parent / "tables" / "repeats.csv").exists()
    assert steps["repeat"].tolist() == [0] * 7 and (steps["peak_megabytes"] > 0).all()
    assert {f"seconds_one {row.step}": row.seconds for row in steps.itertuples()} == pytest.approx(
        {name: value for name, value in metrics.items() if name.startswith("seconds_one")}
    )
    assert metrics["not_estimated"] == "compress, head_dynamics, quantize, time_decoding"
    assert [*folder_problems(path.parent)] == []


def test_what_computes_on_the_cpu_is_not_measured_under_the_name_of_a_gpu(tmp_path: Path) -> None:
    with fake_cuda(), pytest.raises(UserError, match=r"^run.device: benchmark=ziplm computes on the CPU, use cpu$"):
        perform("benchmark", "benchmark=ziplm", "run.device=cuda:0", f"run.folder={tmp_path}", *TINY)
