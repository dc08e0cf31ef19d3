"""Named faults put into the real flights data, one at a time, and the clean months beside them.

``python -m retrain_assets_tests.faults`` runs all of them and writes docs/faults.md.
"""
