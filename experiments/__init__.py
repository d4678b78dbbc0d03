"""The procedures: one verb a file. ``python -m experiments.VERB`` with Hydra overrides; ``-m`` sweeps."""

import os

# Read by OpenMP when torch is imported. Its threads else spin while they wait for each other: with another process on
# one of two cores a training step takes ten times as long. Whoever has set it has a reason.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
