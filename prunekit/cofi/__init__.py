"""Coarse- and fine-grained pruning by learned gates (CoFi, Xia et al. 2022).

The names of options stand here, where they can be read without waiting for torch.
"""

UNITS = ("hidden", "layers", "heads", "neurons")
"""Groups of gates; ``layers`` are whole attention and FFN sublayers."""
VARIANTS = ("paper", "released")
MATCHINGS = ("paper", "ordered", "any", "fixed", "none")
DIRECTIONS = ("distillation", "printed")
ANSWERS = ("teacher", "labels")
"""What a student's answers are compared to."""
STRUCTURES = ("learned", "random", "fisher", "magnitude", "layers", "dense")
"""Where the shape of the student comes from: CoFi, and its baselines."""
