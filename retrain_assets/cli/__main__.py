"""``python -m retrain_assets.cli``: the ``retrain`` command."""

from retrain_assets.cli import main

main()
