import dataclasses
import importlib
import inspect
from typing import Any

import pytest

from prunekit.config import sections as config
from prunekit.config.checks import near
from prunekit.config.sections import Experiment, ModelConfig, RunConfig, TrainConfig, check, require_scores
from prunekit.config.task import TaskConfig
from prunekit.config.task_kinds import CLASS_METRICS, REGRESSION_METRICS
from prunekit.data.metrics import METRICS
from prunekit.support.errors import UserError


def test_all_problems_are_listed_at_once_with_their_paths() -> None:
    broken = Experiment(
        model=ModelConfig(name="m", weights="pretraned", path="x"),
        task=TaskConfig(name="t", labels=["a", "b"], metrics=["f1", "acuracy"]),
        train=TrainConfig(epochs=0, warmup=1.5),
        run=RunConfig(device="gpu"),
        dtype="float16",
    )
    assert set(check(broken)) == {
        "dtype: 'float16' is unknown, did you mean 'bfloat16' or 'float64'?",
        "model.weights: 'pretraned' is unknown, did you mean 'pretrained'?",
        "task.metrics: 'acuracy' is unknown, did you mean 'accuracy'?",
        "task.files: source=files needs task.files.train=PATH and task.files.validation=PATH",
        "train.epochs: 0 must be at least 1",
        "train.warmup: 1.5 is outside [0, 1]",
        "run.device: 'gpu' is not one of auto, cpu, cuda, cuda:N",
    }


@pytest.mark.parametrize("device", ["mps", "mps:0"])
def test_mps_is_refused_with_the_reason(device: str) -> None:
    (line,) = check(RunConfig(device=device), "run.")
    assert line == f"run.device: {device} has no float64, which scores are summed in; use cpu"


@pytest.mark.parametrize("verb", ["ablate_heads", "transfer", "time_decoding", "benchmark"])
def test_what_has_no_autocast_refuses_bfloat16(verb: str) -> None:
    settings = importlib.import_module(f"experiments.{verb}").main.settings
    line = "dtype: bfloat16 is autocast, which this verb does not compute in, use float32 or float64"
    assert line in check(settings(dtype="bfloat16"))
    assert not [problem for problem in check(settings(dtype="float64")) if problem.startswith("dtype")]


def test_a_good_configuration_has_no_problems() -> None:
    task = TaskConfig(name="t", source="demo", labels=["a", "b"])
    assert check(Experiment(model=ModelConfig(name="m", path="x"), task=task)) == []


def test_metrics_belong_to_the_kind_of_label() -> None:
    assert {*CLASS_METRICS, *REGRESSION_METRICS} == set(METRICS)
    unknown = TaskConfig(name="t", source="demo", metrics=["zzz"])
    assert list(unknown.problems()) == ["metrics: 'zzz' is unknown, choose from pearson, spearman"]


PAIR = ["a", "b"]
SPANS = {"questions": True, "columns": PAIR, "metrics": ["exact_match"], "max_length": 384}
NO_LABELS = "not given, so the task is regression, but"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, f"labels: {NO_LABELS} accuracy is a metric of classification; give task.labels=[A,B], or task.metrics of "
             "pearson, spearman"),
        ({"metrics": ["exact_match"], "columns": PAIR},
         f"questions: {NO_LABELS} exact_match is a metric of questions; give task.questions=true, or task.metrics of "
         "pearson, spearman"),
        ({"metrics": ["bleu"], "columns": PAIR},
         f"translation: {NO_LABELS} bleu is a metric of translation; give task.translation=true, or task.metrics of "
         "pearson, spearman"),
        ({"labels": ["x", "y"], "metrics": ["pearson"]},
         "metrics: pearson is one of regression (task.labels=[]), and labels=[A,B] makes the task classification; "
         "choose from accuracy, f1, matthews"),
        (SPANS | {"metrics": ["accuracy"]},
         "metrics: accuracy is one of classification (task.labels=[A,B]), and questions=true makes the task questions; "
         "choose from answer_f1, exact_match"),
        ({"translation": True, "columns": PAIR},
         "metrics: accuracy is one of classification (task.labels=[A,B]), and translation=true makes the task "
         "translation; choose from bleu, chrf"),
        ({"translation": True, "columns": PAIR, "metrics": ["bleu"], "labels": ["x", "y"]},
         "translation: a task is one of translation, questions and classification, not several; labels=['x', 'y'] "
         "beside it asks for classes, give task.labels=[]"),
        (SPANS | {"max_length": 32},
         "question_length: 64 and 4 special tokens leave no room for the context in max_length=32, give both so that "
         "some is left"),
        (SPANS | {"max_length": 96},
         "stride: 128 is outside [0, 28), the room that max_length=96 leaves for the context beside question_length=64 "
         "and 4 special tokens"),
    ],
)  # fmt: skip
def test_what_was_forgotten_is_named(given: dict[str, Any], line: str) -> None:
    """And not only the setting that does not fit without it."""
    assert list(TaskConfig(name="t", source="demo", **given).problems()) == [line]


def test_near_offers_the_closest_or_all() -> None:
    assert near("mnlii", ["mnli", "sst2"]) == "did you mean 'mnli'?"
    assert near("zzz", ["b", "a"]) == "choose from a, b"
    long = ["michel_fig3a_long", "michel_fig3b_long", "michel_table2_long"]
    assert near("Fig3b", long) == "did you mean 'michel_fig3b_long'?"
    assert near("fig3", long) == "did you mean 'michel_fig3a_long' or 'michel_fig3b_long'?"
    for vague in ("g3b", "long"):
        assert near(vague, long) == f"choose from {', '.join(long)}"


def test_random_weights_are_refused_where_a_score_is_reported() -> None:
    with pytest.raises(UserError, match=r"model\.weights=random has no score"):
        require_scores(ModelConfig(name="m", weights="random", shape={"hidden_size": 8}))


@pytest.mark.parametrize(
    "section", [item for _, item in inspect.getmembers(config, dataclasses.is_dataclass) if isinstance(item, type)]
)
def test_every_setting_is_documented(section: type) -> None:
    """A string literal stands under each field."""
    lines = inspect.getsource(section).splitlines()
    for name in inspect.get_annotations(section):
        place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        assert lines[place + 1].strip().startswith('"""'), f"{section.__name__}.{name}"
