"""The procedures: one verb a file. ``python -m experiments.VERB`` with Hydra overrides; ``-m`` sweeps."""
