"""What runs would take, from measured steps of models of their true shape with random weights."""
