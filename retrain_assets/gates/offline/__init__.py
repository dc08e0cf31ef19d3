"""Gate 3: ``holdout.py`` makes the numbers, one file a family of checks judges them, ``gate.py`` puts the verdicts together."""
