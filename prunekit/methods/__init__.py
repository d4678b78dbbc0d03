"""Methods of pruning, a file each, on one footing. See :mod:`prunekit.methods.common.method`."""
