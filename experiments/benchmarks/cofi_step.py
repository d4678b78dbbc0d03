"""A step of CoFi: what is off left out and distances without autograd, beside the plain way; then a kept teacher.

Every implementation takes the same steps on the same batches, rows in their order, from the same student: the teacher
with some noise on its weights, without dropout. The same random numbers are drawn for its gates. One call is a pass
over all batches from the same start; what is made anew for it is not timed.

Comparisons are ``plain`` to fast, the teacher asked in both; and, as ``STATE, kept teacher``, the fast one with the
teacher asked to the fast one that keeps what the teacher says in memory.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from experiments.benchmarks.memory import added_peak, saved_bytes
from experiments.benchmarks.paired import BenchmarkCase, Results, Row, compared
from experiments.benchmarks.plain.cofi import plain_loss
from experiments.benchmarks.trainee import Trainee
from prunekit.cofi.distillation import DistillationObjective
from prunekit.cofi.fixed import distillation_loss
from prunekit.cofi.learned_gates import LARGEST, Gates
from prunekit.cofi.pruning import pruning_loss
from prunekit.cofi.recipe import Recipe, StudentConfig
from prunekit.cofi.sparsity import PrunableSize
from prunekit.data.batches import Batch, Examples, to_device
from prunekit.models.blocks import call_order, describe, set_attention
from prunekit.support.timing import interleaved
from prunekit.training.loop import Loss as TrainingLoss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STATES = {
    "distillation": None, "before pruning": 0.0, "60 % expected sparsity": 0.6, "90 % expected sparsity": 0.9,
}  # fmt: skip
"""Expected sparsities; 0: gates as they are at first, None: no gates."""
TARGET = 0.95
"""Expected sparsity that gates are steered to, in every state."""
NOISE = 0.1
"""On the student's weights, relative to the standard deviation of each tensor: a copy would have nothing to learn."""
SPREAD = 1.0
"""Standard deviation of log alpha around the released start, shifted, in states that have a sparsity."""

Loss = Callable[[Trainee, Batch, int], Tensor]


@dataclass(kw_only=True)
class Variant:
    """One implementation, and the student that it trains."""

    student: Any
    layers: nn.Module
    """With the map of layers, and no other parameter."""
    loss: Loss
    gates: Gates | None = None
    """Of the start."""
    trainee: Trainee = field(init=False)
    start: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.start = copy.deepcopy(self.student.state_dict())

    def begin(self, seed: int) -> None:
        """Anew: weights, gates, optimisers, random numbers."""
        self.student.load_state_dict(self.start)
        [mapping] = self.layers.parameters()
        nn.init.eye_(mapping)
        self.trainee = Trainee(self.student, self.layers, copy.deepcopy(self.gates), target=TARGET)
        torch.manual_seed(seed)

    def steps(self, batches: list[Batch]) -> Tensor:
        """Learn from all batches: the losses, (step,)."""
        losses = []
        for step, batch in enumerate(batches):
            loss = self.loss(self.trainee, batch, step)
            self.trainee.learn(loss)
            losses.append(loss.detach())
        return torch.stack(losses).cpu()


def compare(case: BenchmarkCase) -> Results:
    rows: list[Row] = []
    batches = in_order(case.data, case.batch_size, case.device)
    variants, seconds = variants_of(case.model, case.data, case.device, case.seed)
    metrics: dict[str, Any] = {"steps": len(batches), "seconds_keeping_teacher": seconds}
    with case.run.stage("benchmark", len(STATES) * len(variants) * (case.repeats + case.warmup)) as advance:
        for state, sparsity in STATES.items():
            gates = None if sparsity is None else gates_at(case.model, sparsity, case.seed)
            for variant in variants.values():
                variant.gates = gates
            metrics |= {f"{name}, {state}": megabytes for name, megabytes in memory(variants, batches[0]).items()}
            losses, taken = timed(variants, batches, case, advance)
            rows += compared(state, taken["plain"], taken["fast"])
            rows += compared(f"{state}, kept teacher", taken["fast"], taken["kept teacher"])
            for name, difference in differences(variants, losses, case.seed).items():
                metrics[name] = max(metrics.get(name, 0.0), difference)
            if gates is not None:
                size = PrunableSize.of(case.model)
                metrics[f"expected_sparsity, {state}"] = float(size.sparsity(gates.probabilities()).detach())
    return rows, metrics


def in_order(examples: Examples, batch_size: int, device: torch.device) -> list[Batch]:
    """All examples in their order: what batches of similar lengths are worth is not part of this comparison."""
    rows = range(len(examples))
    return [to_device(examples.batch(rows[start : start + batch_size]), device) for start in rows[::batch_size]]


def variants_of(
    model: PreTrainedModel, examples: Examples, device: torch.device, seed: int
) -> tuple[dict[str, Variant], float]:
    """``plain``, ``fast`` and ``kept teacher``; and the seconds that keeping the teacher's word took."""
    teacher = model.eval()
    student = noisy(teacher, seed)
    plain_teacher, plain_student = copy.deepcopy(teacher), copy.deepcopy(student)
    for plain in (plain_teacher, plain_student):
        set_attention(plain, "eager")  # no other returns attention maps
    size, hidden = PrunableSize.of(teacher), describe(teacher).hidden
    mapping = nn.Linear(hidden, hidden, bias=False, device=device, dtype=model.dtype)
    asking, keeping = (
        Recipe(sparsity=TARGET, student=StudentConfig(teacher_gigabytes=room)) for room in (0.0, math.inf)
    )
    computed = DistillationObjective(teacher, student, asking, examples, device)
    begun = time.perf_counter()
    stored = DistillationObjective(teacher, student, keeping, examples, device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    variants = {"plain": Variant(student=plain_student, layers=mapping, loss=partial(plain_loss, plain_teacher, size))}
    for name, objective in (("fast", computed), ("kept teacher", stored)):
        layers = objective.layers.to(model.dtype)
        variants[name] = Variant(student=copy.deepcopy(student), layers=layers, loss=FastLoss(objective, size))
    return variants, seconds


def noisy(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A copy with noise on its weights."""
    student, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in student.parameters():
            noise = torch.randn(weight.shape, generator=generator).to(weight)
            weight.add_(NOISE * weight.std(correction=0) * noise)
    return student


class FastLoss:
    """The loss of a step as :class:`prunekit.cofi.pruning.Cofi` takes it, ()."""

    def __init__(self, objective: DistillationObjective, size: PrunableSize) -> None:
        self.objective, self.size = objective, size
        self.trainee: Trainee | None = None

    def __call__(self, trainee: Trainee, batch: Batch, step: int) -> Tensor:
        if trainee is not self.trainee:
            self.trainee, self.loss = trainee, self._loss_of(trainee)
        loss, _ = self.loss(batch, step)
        return loss

    def _loss_of(self, trainee: Trainee) -> TrainingLoss:
        if trainee.gates is None:
            alive = torch.ones(len(call_order(trainee.student)), dtype=torch.bool)
            return distillation_loss(trainee.student, self.objective, alive)
        return pruning_loss(trainee.student, trainee.gates, trainee.constraint, self.size, self.objective)


def gates_at(model: PreTrainedModel, sparsity: float, seed: int) -> Gates:
    """Gates with an expected sparsity: where training takes them if all move alike, and some spread; 0: at first."""
    gates = Gates(model, seed=seed).to(model.dtype)
    gates.constrain()
    if not sparsity:
        return gates
    size, generator = PrunableSize.of(model), torch.Generator().manual_seed(seed)
    start = {
        name: log_alpha.detach() + SPREAD * torch.randn(log_alpha.shape, generator=generator).to(log_alpha)
        for name, log_alpha in gates.log_alpha.items()
    }
    low, high = -4 * LARGEST, 4 * LARGEST
    for _ in range(40):
        middle = (low + high) / 2
        for name, log_alpha in gates.log_alpha.items():
            log_alpha.data = start[name] + middle
        gates.constrain()
        low, high = (low, middle) if float(size.sparsity(gates.probabilities()).detach()) < sparsity else (middle, high)
    return gates


def memory(variants: dict[str, Variant], batch: Batch) -> dict[str, float]:
    """Of each variant ``peak_megabytes_NAME`` of a first step: on CUDA, its peak beyond what was in use before, to
    which gradients and the moments of the optimisers add. On a CPU instead ``saved_megabytes_NAME``: what autograd
    keeps for the backward pass, see :func:`saved_bytes`; attention maps that are returned are more."""
    megabytes = {}
    for name, variant in variants.items():
        variant.begin(seed=0)
        student, device = variant.student, batch["input_ids"].device
        if device.type == "cuda":
            megabytes[f"peak_megabytes_{name}"] = added_peak(partial(variant.steps, [batch]), device) / 1e6
        else:
            there = [*student.parameters(), *student.buffers(), *variant.layers.parameters(), *batch.values()]
            saved = saved_bytes(partial(variant.loss, variant.trainee, batch, 0), there)
            megabytes[f"saved_megabytes_{name}"] = saved / 1e6
    return megabytes


def timed(
    variants: dict[str, Variant], batches: list[Batch], case: BenchmarkCase, advance: Callable[[int], None]
) -> tuple[dict[str, Tensor], dict[str, tuple[float, ...]]]:
    """Losses of each variant, (step,), and its seconds round by round."""
    losses: dict[str, Tensor] = {}

    def keeping(name: str) -> None:
        losses[name] = variants[name].steps(batches)
        advance(1)

    calls: dict[str, Callable[[], None]] = {}
    for name, variant in variants.items():
        calls[f"begin {name}"] = partial(variant.begin, case.seed)
        calls[name] = partial(keeping, name)
    taken = interleaved(calls, warmup=case.warmup, repeats=case.repeats)
    return losses, {name: taken[name].seconds for name in variants}


def differences(variants: dict[str, Variant], losses: dict[str, Tensor], seed: int) -> dict[str, float]:
    """From the plain way, the larger one of both others:

    ``max_loss_difference``: of a step's loss, relative to the largest of all steps (the constraint may bring one to
    nearly 0). ``max_weight_difference``, ``max_gate_difference``: of all
    weights (log alphas) after all steps, norm by norm of what the steps changed; where a gradient is nothing but
    rounding, Adam's first steps are as large as elsewhere.
    """
    ends = {name: variant.trainee.parameters() for name, variant in variants.items()}
    plain, wanted = variants["plain"], ends["plain"]
    plain.begin(seed)
    changes = [(end - start).norm() for end, start in zip(wanted, plain.trainee.parameters(), strict=True)]
    largest: dict[str, float] = {}
    for name in ("fast", "kept teacher"):
        apart = [(end - other).norm() / change for end, other, change in zip(ends[name], wanted, changes, strict=True)]
        loss = (losses[name] - losses["plain"]).abs().max() / losses["plain"].abs().max()
        for what, difference in zip(("loss", "weight", "gate"), [loss, *apart], strict=False):
            largest[f"max_{what}_difference"] = max(largest.get(f"max_{what}_difference", 0.0), float(difference))
    return largest
