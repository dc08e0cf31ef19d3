"""Rules of the checkout itself: what is committed, how long a file may be, that the lock files hold what pyproject asks for."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parent.parent
PRODUCT = CHECKOUT / "retrain_assets"
TESTS = CHECKOUT / "retrain_assets_tests"
LONGEST_FILE = 400
EVERYTHING_DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "processor"}
BESIDE_THE_ROOMS = {"faults", "pages", "scenarios", "simulation", "workspace"}

# Written in pieces, so that this file is not the one that names them.
INDEX_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian.org",
    "conda." + "anaconda.org",
]
INDEX_OPTIONS = ["--index" + "-url", "--extra-index" + "-url", "--find" + "-links"]
LOCKS_WITH_ADDRESSES = re.compile(r"(uv|poetry|pdm)\.lock|pylock[^/]*\.toml|Pipfile\.lock")


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """The files under version control, or all that would be where the checkout is an unpacked archive."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        return [path for name in listing.stdout.split("\0") if name and (path := CHECKOUT / name).is_file()]
    return [
        path
        for path in CHECKOUT.rglob("*")
        if path.is_file() and not re.search(r"/\.[^/]+/|__pycache__", str(path.relative_to(CHECKOUT)))
    ]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """pyproject.toml as written."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


def test_no_committed_file_names_a_package_index(committed: list[Path]) -> None:
    named = [
        f"{path.relative_to(CHECKOUT)}: {needle}"
        for path in committed
        for needle in [*INDEX_HOSTS, *INDEX_OPTIONS]
        if needle.encode() in path.read_bytes()
    ]
    assert len(committed) > 10
    assert named == []


def test_no_lock_file_with_addresses_is_committed(committed: list[Path]) -> None:
    assert [path.name for path in committed if LOCKS_WITH_ADDRESSES.fullmatch(path.name)] == []


def test_every_source_file_has_one_subject() -> None:
    lengths = {str(path.relative_to(CHECKOUT)): len(path.read_text(encoding="utf-8").splitlines()) for path in _sources()}
    assert {name: length for name, length in lengths.items() if length >= LONGEST_FILE} == {}


def test_no_file_is_a_drawer_for_everything() -> None:
    names = [
        path
        for path in _sources()
        if EVERYTHING_DRAWERS & {part.removesuffix(".py") for part in path.relative_to(CHECKOUT).parts}
    ]
    assert names == []


def test_tests_mirror_the_rooms() -> None:
    """A test folder has the name of its room; stories, pages, simulated data and the emulated workspace stand beside them."""
    rooms = {path.name for path in PRODUCT.iterdir() if path.is_dir()} | BESIDE_THE_ROOMS
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= rooms


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_a_lock_file_pins_and_hashes_every_line_without_an_address(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    blocks = _locked(text)
    assert "://" not in text
    assert len(blocks) >= 5
    for requirement, hashes in blocks:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), f"{requirement} is not pinned"
        assert hashes, f"{requirement} has no hash"


def test_the_lock_file_holds_what_pyproject_asks_for(project: dict[str, Any]) -> None:
    locked: dict[str, set[str]] = {}
    for requirement, _ in _locked((CHECKOUT / "requirements.lock").read_text(encoding="utf-8")):
        locked.setdefault(canonicalize_name(requirement.name), set()).update(spec.version for spec in requirement.specifier)
    for asked in _asked_for(project):
        versions = locked.get(canonicalize_name(asked.name), set())
        assert versions, f"{asked} is not in requirements.lock; run make lock"
        assert all(asked.specifier.contains(version, prereleases=True) for version in versions), (
            f"{asked} is locked at {versions}; run make lock"
        )


def test_every_dependency_is_explained(project: dict[str, Any]) -> None:
    page = (CHECKOUT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = {canonicalize_name(name) for name in re.findall(r"^\| `([^`]+)`", page, flags=re.MULTILINE)}
    asked = {canonicalize_name(requirement.name) for requirement in _asked_for(project)}
    assert explained == asked


def test_make_help_lists_every_target() -> None:
    text = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.+)$", text, flags=re.MULTILINE).group(1).split())
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == phony
    assert {"demo", "test", "ui", "bench"} <= phony


def test_the_workspace_loads_the_module_that_dg_loads(project: dict[str, Any]) -> None:
    entries = yaml.safe_load((CHECKOUT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert [entry["python_module"]["module_name"] for entry in entries] == [
        project["tool"]["dg"]["project"]["code_location_target_module"]
    ]


def _sources() -> list[Path]:
    found = sorted(path for folder in (PRODUCT, TESTS, CHECKOUT / "benchmarks") for path in folder.rglob("*.py"))
    assert len(found) > 10
    return found


def _locked(text: str) -> list[tuple[Requirement, list[str]]]:
    joined = text.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(Requirement(line.split("--hash=")[0].strip()), re.findall(r"--hash=(sha256:[0-9a-f]{64})", line)) for line in lines]


def _asked_for(project: dict[str, Any]) -> list[Requirement]:
    groups = project["dependency-groups"].values()
    lines = [
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
    ]
    lines += [line for group in groups for line in group if isinstance(line, str)]
    return [Requirement(line) for line in lines]
