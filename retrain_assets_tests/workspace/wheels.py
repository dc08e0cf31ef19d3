"""Small wheels for tests: a package with given modules and entry points."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_wheel(
    folder: Path,
    package: str,
    modules: Mapping[str, str],
    *,
    version: str = "1.0",
    entry_points: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
) -> Path:
    """Write a wheel.

    Args:
        folder: where to.
        package: name of the package.
        modules: source by module name, ``__init__`` for the package itself.
        version: version of the package.
        entry_points: console scripts, name to ``module:function``.
        requires: requirements of the package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    scripts = "\n".join(f"{name} = {target}" for name, target in (entry_points or {}).items())
    with zipfile.ZipFile(path, "w") as wheel:
        for name, source in {"__init__": "", **modules}.items():
            wheel.writestr(f"{package}/{name}.py", source)
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{scripts}\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path
