"""One self-contained HTML page of all figures, tables and claims of run records: ``python -m analysis.report``."""
