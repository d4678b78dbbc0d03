"""What a run record holds: every table, column and key, written here once, without torch.

``VERBS`` says what a verb's record holds, :mod:`prunekit.runs.schema.writing` holds a run to it as it writes,
:mod:`prunekit.runs.schema.checking` a folder that was written before. ``record.schema.json`` says the same to others
(``python -m prunekit.runs.schema`` writes it).
"""
