"""A student in the middle of CoFi, with all that trains it: what the plain and the fast step have in common."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prunekit.cofi.fixed import freeze_embeddings, student_optimizer, trained
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.sparsity import Constraint

LEARNING_RATE, GATES_LEARNING_RATE = 2e-5, 0.01
"""Of the paper; the multipliers have the gates'."""
CLIP = 1.0
"""Largest norm of the student's gradient."""


class Trainee:
    """Three optimisers, as in the released code: of student and map of layers, of gates, of multipliers."""

    def __init__(self, student: Any, layers: nn.Module, gates: Gates | None, target: float) -> None:
        """
        Args:
            student: trained in place.
            layers: has the map from the student's layers to the teacher's, the identity so far.
            gates: trained in place; None for distillation without gates.
            target: expected sparsity that gates are steered to.
        """
        freeze_embeddings(student)
        self.student, self.layers, self.gates = student, layers, gates
        self.constraint = Constraint(target, warmup_steps=0).to(student.device, student.dtype)
        self.optimizers = [student_optimizer(student, layers, LEARNING_RATE)]
        if gates is not None:
            rate, multipliers = GATES_LEARNING_RATE, self.constraint.parameters()
            self.optimizers += [
                torch.optim.AdamW(gates.parameters(), lr=rate, weight_decay=0.0),
                torch.optim.AdamW(multipliers, lr=rate, weight_decay=0.0, maximize=True),
            ]

    def learn(self, loss: Tensor) -> None:
        """From the loss of a step."""
        loss.backward()
        nn.utils.clip_grad_norm_(trained(self.student), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if self.gates is not None:
            self.gates.constrain()

    def parameters(self) -> list[Tensor]:
        """Copies on the CPU of all weights that are trained, (weight,), and of log alpha of all gates, (gate,)."""
        groups = [[*trained(self.student), *self.layers.parameters()]]
        if self.gates is not None:
            groups.append(list(self.gates.parameters()))
        return [torch.cat([parameter.detach().flatten().cpu() for parameter in group]) for group in groups]
