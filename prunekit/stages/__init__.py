"""What methods of pruning have in common: scores, searches under a budget, refinement, refitting."""
