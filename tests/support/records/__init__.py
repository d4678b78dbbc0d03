"""Small synthetic run records, shaped like the experiments' own, one module a paper."""
