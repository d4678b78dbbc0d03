"""How good models are, beside each other and in time."""
