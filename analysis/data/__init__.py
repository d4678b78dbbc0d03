"""Run records as analysis reads them, and the numbers that others published.

:mod:`~analysis.data.loading` finds records in folders, W&B's too; :mod:`~analysis.data.groups` says which of them
belong in one figure; the other modules read one of their tables, or put the numbers of many runs into a frame.
"""
