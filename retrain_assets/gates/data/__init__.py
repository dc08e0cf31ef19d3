"""Gate 1 on the source rows: one file a family of checks, ``gate.py`` puts them together."""
