"""Gate 1 on the features: one file a family of checks, ``gate.py`` puts them together."""
