"""Fine-tune a teacher and keep it for all experiments (Michel et al. 2019, Sec. 2.2; recipe of Devlin et al. 2019).

python -m experiments.finetune task=mnli model=bert-base
python -m experiments.finetune -m scale=small train.seed=0,1,2
torchrun --standalone --nproc-per-node=4 -m experiments.finetune scale=paper   # a batch shared out over four GPUs
"""

from __future__ import annotations

from typing import Any

from experiments.cli.entry import run_main
from prunekit.config import Finetune


def perform(config: Finetune) -> dict[str, Any]:
    from experiments.cli.announce import announce
    from prunekit import processes
    from prunekit.runs import execute
    from prunekit.teachers import REVISION, finetune

    with processes.joined(config.run.device):
        record = execute("finetune", REVISION, config, finetune)
        return announce(record, config) if processes.rank() == 0 else record


if __name__ == "__main__":
    run_main("finetune", Finetune, perform)
