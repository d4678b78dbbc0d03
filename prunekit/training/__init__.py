"""The training loop and its processes, what it needs to go on after an interruption, and fine-tuning by it."""
