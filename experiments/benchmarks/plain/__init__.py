"""What our code is timed beside: the same computations as one would write them first."""
