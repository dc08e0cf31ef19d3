"""Wheels of this product and of the team's packages, made from the importable source: the same text gives the same bytes."""

from __future__ import annotations

import re
import sys
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from retrain_assets import __version__
from retrain_assets.contract import Contract, StageError, digest_of

PRODUCT = "retrain_assets"
ENTRY_POINT = "retrain-stage"
LARGEST = 100_000_000
"""Bytes of a package beyond which it is no code but data that was put beside it."""

REQUIREMENTS = (
    *("cronsim", "dagster-pipes", "databricks-sdk", "deltalake", "fairlearn", "joblib", "lightgbm", "mmh3", "narwhals", "numpy"),
    *("pandera", "polars", "polars-hash", "pyarrow", "pydantic", "rfc8785", "scikit-learn", "scipy", "skops"),
)
"""Distributions that a stage imports; pinned in the wheel to the versions here, so that the same bytes come out there."""

_PRIVATE_KEY = re.compile(rb"-{5}BEGIN [A-Z ]*PRIVATE KEY-{5}")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A built wheel: its file name, which holds the digest of its content, and its bytes."""

    name: str
    content: bytes


def code_wheels(contract: Contract) -> list[Wheel]:
    """What a job needs to run the stages of a contract: the product's wheel first, then one for each package of the team.

    Raises:
        StageError: when a package cannot be found, or holds data or a private key.
    """
    return [product_wheel(), *(team_wheel(package) for package in team_packages(contract))]


def product_wheel() -> Wheel:
    """The product as a job needs it, with the entry points of its stages and of the volume's housekeeping."""
    tidying = "retrain-tidy = retrain_assets.compute.databricks.tidying:console"
    points = f"[console_scripts]\n{ENTRY_POINT} = retrain_assets.compute.stage:console\n{tidying}\n"
    return _wheel(PRODUCT, __version__, _files(PRODUCT), pinned(), {"entry_points.txt": points})


def team_wheel(package: str) -> Wheel:
    """One top-level package or module of the team."""
    return _wheel(f"retrain_code_{package}", "0", _files(package), [], {})


def team_packages(contract: Contract) -> list[str]:
    """Top-level packages that hold the team's code.

    Of features, schema, own checks and metrics and the contract's packages, and of an estimator that is nobody's distribution.
    """
    compute = contract.databricks
    gates = contract.gates
    own = [one.function for one in (*gates.own, *gates.offline.own_metrics.values())]
    paths = [contract.features, contract.source.schema_, *own, *(compute.packages if compute else [])]
    named = {path.partition(".")[0] for path in paths}
    estimator = contract.trainer.estimator.partition(".")[0]
    if not _is_installed(estimator):
        named.add(estimator)
    return sorted(named - {PRODUCT})


def pinned() -> list[str]:
    """The requirements of stages, each pinned to the version here.

    Raises:
        StageError: when one of them is not installed here.
    """
    try:
        return [f"{name}{'[polars]' if name == 'pandera' else ''}=={version(name)}" for name in REQUIREMENTS]
    except PackageNotFoundError as error:
        raise StageError(
            f"{error.name} is not installed", where="environment of the orchestrator", remedy="install retrain-assets again"
        ) from error


def package_digest(package: str) -> str:
    """Digest of the Python text of a top-level package or module, the same here and in a job that has its wheel.

    Raises:
        StageError: when it cannot be found.
    """
    return digest_of({name: sha256(text).hexdigest() for name, text in _files(package).items() if name.endswith(".py")})


def release_of(contract: Contract) -> list[str]:
    """The requirements that decide what a library's estimator is in a job: the pin of its library, and the contract's own."""
    library = {"lightgbm": "lightgbm", "sklearn": "scikit-learn"}.get(contract.trainer.estimator.partition(".")[0])
    compute = contract.databricks
    return [*(one for one in pinned() if library and one.startswith(f"{library}==")), *(compute.libraries if compute else [])]


def _files(package: str) -> dict[str, bytes]:
    """The files of a package as a wheel has them; byte code and hidden files are left out."""
    spec = find_spec(package)
    if spec is None or (spec.origin in (None, "built-in", "frozen") and not spec.submodule_search_locations):
        raise StageError(
            f"there is no package {package}",
            where="compute.databricks.packages",
            remedy="correct it, or install the package here",
        )
    if not spec.submodule_search_locations:
        path = Path(str(spec.origin))
        return {path.name: path.read_bytes()}
    found: dict[str, bytes] = {}
    size = 0
    for place in map(Path, spec.submodule_search_locations):
        for file in sorted(place.rglob("*")):
            below = file.relative_to(place)
            if (
                not file.is_file()
                or file.suffix == ".pyc"
                or any(part[0] == "." or part == "__pycache__" for part in below.parts)
            ):
                continue
            size += file.stat().st_size
            if size > LARGEST:
                raise StageError(
                    f"package {package} holds more than {LARGEST // 1_000_000} MB",
                    where=str(place),
                    remedy="move data out of the package; features read it from a volume",
                )
            content = file.read_bytes()
            if file.suffix != ".py" and _PRIVATE_KEY.search(content):
                raise StageError(
                    f"package {package} holds a private key, which everybody who may read the volume would have",
                    where=str(file),
                    remedy="move it out of the package; a job reads secrets from a scope",
                )
            found[f"{package}/{below.as_posix()}"] = content
    return found


def _wheel(
    package: str, number: str, files: Mapping[str, bytes], requirements: Sequence[str], further: Mapping[str, str]
) -> Wheel:
    described = "".join(f"Requires-Dist: {one}\n" for one in requirements)
    content = sha256(repr((described, sorted(further.items()))).encode())
    for name in sorted(files):
        content.update(f"{name}\0{sha256(files[name]).hexdigest()}\n".encode())
    full = f"{number}+{content.hexdigest()[:16]}"
    info = f"{package}-{full}.dist-info"
    python = f"Requires-Python: >={sys.version_info.major}.{sys.version_info.minor}\n" if package == PRODUCT else ""
    parts = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {full}\n{python}{described}".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: retrain_assets\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{info}/{name}": text.encode() for name, text in further.items()},
    }
    lines = [f"{name},sha256={_record_digest(parts[name])},{len(parts[name])}" for name in sorted(parts)]
    parts[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    return Wheel(f"{package}-{full}-py3-none-any.whl", _zipped(parts))


def _zipped(parts: Mapping[str, bytes]) -> bytes:
    """A ZIP file that depends on nothing but its content: no times, no compression whose library could change."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_STORED) as archive:
        for name in sorted(parts, key=lambda one: (".dist-info/" in one, one)):
            entry = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, parts[name])
    return buffer.getvalue()


def _record_digest(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def _is_installed(package: str) -> bool:
    """Whether a top-level module comes from where installed distributions are, not from a checkout or a folder of the team."""
    spec = find_spec(package)
    if spec is None:
        return True
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    roots = [sysconfig.get_path("stdlib"), *(one for one in sys.path if one and any(Path(one).glob("*.dist-info")))]
    return any(Path(place).is_relative_to(root) for place in places for root in roots)
