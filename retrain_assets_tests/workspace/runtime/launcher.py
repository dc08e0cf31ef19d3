"""Runs a Python wheel task as Databricks does: the entry point of the package's metadata, else a function of the package.

``python launcher.py PACKAGE ENTRY_POINT ARGUMENTS...``. What the function gives is not looked at, as no script wraps it;
``SystemExit`` of any code, 0 too, is an exception that fails the task.
"""

import importlib
import importlib.metadata
import sys
import traceback


def main() -> None:
    """Call the entry point with the task's parameters."""
    package, entry_point = sys.argv[1:3]
    sys.argv = [package, *sys.argv[3:]]
    named = [one for one in importlib.metadata.distribution(package).entry_points if one.name == entry_point]
    function = named[0].load() if named else getattr(importlib.import_module(package.replace("-", "_")), entry_point)
    try:
        function()
    except SystemExit:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
