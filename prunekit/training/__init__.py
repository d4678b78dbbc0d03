"""The training loop, what it needs to go on after an interruption, and its processes."""
