"""Small trainings: a generated task, a model's shape, CoFi's recipe and gates."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.recipe import Recipe, StudentConfig
from prunekit.config.choices import UNITS
from prunekit.config.task import TaskConfig
from prunekit.data.tokenizers import demo_tokenizer

TASK = TaskConfig(name="demo", source="demo", columns=["premise", "hypothesis"], labels=list("enc"), train_rows=1920,
                  max_length=64)  # fmt: skip


SHAPE = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32,
    "vocab_size": len(demo_tokenizer()), "pad_token_id": demo_tokenizer().pad_token_id,
}  # fmt: skip


STUDENT = StudentConfig(
    distil_epochs=1, prune_epochs=6, sparsity_epochs=2, finetune_epochs=1, batch_size=32, learning_rate=1e-3,
    finetune_learning_rate=1e-3, evaluate_every=20, gates_learning_rate=0.1,
    multipliers_learning_rate=0.5,
)  # fmt: skip


RECIPE = Recipe(sparsity=0.6, student=STUDENT)


def learned(model: PreTrainedModel, units: tuple[str, ...] = UNITS) -> Gates:
    """Gates as after some training: all over their range."""
    gates = Gates(model, units).double()
    generator = torch.Generator().manual_seed(1)
    for log_alpha in gates.log_alpha.values():
        log_alpha.data = 4 * torch.randn(log_alpha.shape, generator=generator, dtype=torch.float64)
    gates.constrain()
    return gates
