"""The procedures: one verb a file. ``python -m experiments.VERB`` with Hydra overrides; ``-m`` sweeps."""

import os
import sys
from pathlib import Path

# Read by OpenMP when torch is imported. Its threads else spin while they wait for each other: with another process on
# one of two cores a training step takes ten times as long. Whoever has set it has a reason.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv[:-1]:  # Python looks for `python -m experiments.NAME` just now
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    package, dot, name = module.partition(".")
    home = Path(__file__).parent / name.partition(".")[0]
    if package == __name__ and dot and not (home.is_dir() or home.with_suffix(".py").is_file()):
        from experiments.__main__ import main

        sys.exit(main([module]))  # Python's own line has no near names
