"""The names of options and what goes with them, where settings and library read them without waiting for torch."""

ATTENTIONS = ("sdpa", "eager")
"""Attention implementations under which gates and replay are tested."""
PRECISIONS = ("float32", "bfloat16")
"""Of training; bfloat16 is autocast."""
DTYPES = ("float32", "float64", "bfloat16")
"""Of evaluation and timing."""
VARIANTS = ("paper", "released")
"""As a paper has it, or as its authors' code computes it."""

BUDGETS = ("mac", "latency")
"""What a constraint of Fisher pruning is a share of."""
ALL_BUDGETS = (*BUDGETS, "parameters")
"""Of all methods."""
REFINEMENTS = ("none", "rearrange", "swap")
"""How units are exchanged within a sublayer after a search."""
REFITS = ("none", "scales", "weights", "bias")
"""What of a sublayer is fitted once its units are chosen."""
UNIT_SCORES = ("fisher", "importance", "magnitude", "random")
"""Importance of heads and neurons under one budget."""
NEED_GRADIENTS = ("fisher", "importance")
"""Of these, those that are computed from derivatives of the loss."""
LABELS = ("gold", "predicted")
"""Whose labels the loss behind Fisher information is taken by: the annotators', or the model's own most likely ones."""

UNITS = ("hidden", "layers", "heads", "neurons")
"""Groups of CoFi's gates; ``layers`` are whole attention and FFN sublayers."""
SPARSITY_TOLERANCE = 0.01
"""How far from CoFi's target what is really removed may be."""
MATCHINGS = ("paper", "ordered", "any", "fixed", "none")
"""Which layer of a student learns from a teacher's."""
DIRECTIONS = ("distillation", "printed")
"""Of the divergence between two predictions."""
ANSWERS = ("teacher", "labels")
"""What a student's answers are compared to."""
EXPORT_FORMATS = ("native", "plain", "padded", "onnx")
"""In which a model is taken away."""
EXPORT_PRECISIONS = ("float32", "int8")
"""Of ONNX graphs."""
QUANTIZATIONS = ("dynamic", "aware", "trained")
"""How a model comes to 8 bits: after training, after training for it, after the same training without (the control)."""
RUNTIMES = ("torch", "compile", "onnx", "onnx-int8")
"""In which a model is timed."""
STRUCTURES = ("learned", "random", "fisher", "magnitude", "layers", "dense")
"""Where the shape of the student comes from: CoFi, and its baselines."""
ROUNDING = 1e-9
"""Share of a budget by which sums in another order may be above it: searches allow themselves 1e-12."""
