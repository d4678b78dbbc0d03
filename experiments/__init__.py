"""The procedures: one verb a file. ``python -m experiments.VERB`` with Hydra overrides; ``-m`` sweeps."""

import os
import sys
from pathlib import Path

# Read by OpenMP when torch is imported. Its threads else spin while they wait for each other: with another process on
# one of two cores a training step takes ten times as long. Whoever has set it has a reason.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _answer_unknown_verb() -> None:
    """Of ``python -m experiments.NAME`` without such a module: Python's own line has no near names.

    While Python looks for the module that it is to run, and only then, the first of its arguments is ``-m``.
    """
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv[:-1]:
        return
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    package, dot, name = module.partition(".")
    home = Path(__file__).parent / name.partition(".")[0]
    if package == __name__ and dot and not (home.is_dir() or home.with_suffix(".py").is_file()):
        from experiments.__main__ import main

        sys.exit(main([module]))


_answer_unknown_verb()
