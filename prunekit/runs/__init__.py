"""The run record: identity, execution, resume, the copy at Weights & Biases, and teachers that runs share."""
