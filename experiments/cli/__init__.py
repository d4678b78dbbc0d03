"""The command line: what all verbs share between Hydra and their procedures."""
