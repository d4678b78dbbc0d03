"""Pruned models in ``pipeline``, ``Trainer`` and the Auto classes of transformers: ``import prunekit.auto`` is enough.

``AutoConfig``, ``AutoModel`` and ``AutoModelFor...`` then know the folders, and the repositories on the Hub, that
:func:`prunekit.save` and :func:`prunekit.export` write; see :mod:`prunekit.models.export.native`.
"""

from prunekit.models.export.native import register_all

register_all()
