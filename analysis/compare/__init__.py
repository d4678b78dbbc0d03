"""Side by side: all methods from one teacher, and fast code against plain code in the benchmarks."""
