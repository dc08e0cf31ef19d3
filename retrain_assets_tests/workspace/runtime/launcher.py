"""Runs a Python wheel task as Databricks does: the entry point of the package's metadata, else a function of the package.

``python launcher.py PACKAGE ENTRY_POINT ARGUMENTS...``
"""

import importlib
import importlib.metadata
import sys


def main() -> object:
    """Call the entry point with the task's parameters."""
    package, entry_point = sys.argv[1:3]
    sys.argv = [package, *sys.argv[3:]]
    named = [one for one in importlib.metadata.distribution(package).entry_points if one.name == entry_point]
    function = named[0].load() if named else getattr(importlib.import_module(package.replace("-", "_")), entry_point)
    return function()


if __name__ == "__main__":
    result = main()
    sys.exit(result if isinstance(result, int) else 0)
