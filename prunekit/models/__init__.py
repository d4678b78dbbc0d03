"""Transformers as things to prune: families (the only place with module paths), gates, removal, checkpoints."""
