"""Fine-tune a teacher and keep it for all experiments (Michel et al. 2019, Sec. 2.2; recipe of Devlin et al. 2019).

python -m experiments.finetune task=mnli model=bert-base
python -m experiments.finetune -m scale=small train.seed=0,1,2
torchrun --standalone --nproc-per-node=4 -m experiments.finetune scale=paper   # a batch shared out over four GPUs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.cli.verb import verb
from prunekit.config.sections import Settings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


def procedure(config: Settings, run: Run) -> None:
    from prunekit.runs.teachers import finetune

    finetune(config, run)


def revision(config: Settings) -> int:
    """Teachers' own: every verb that needs a teacher finds the same run."""
    from prunekit.runs.teachers import REVISION

    return REVISION


main = verb("finetune", Settings, procedure, revision=revision)

if __name__ == "__main__":
    main()
