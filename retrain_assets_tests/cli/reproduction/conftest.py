"""A home whose retrain went all the way to promotion, made once a session; its feature code lies in a module of its own."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrain_assets.cli.reproduction import CauseKind, Depth, Result, Status
from retrain_assets.cli.reproduction.bench import Bench
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.home import Home
from retrain_assets.ledger import Ledger
from retrain_assets.reports.query.records import EventsRead
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN
from retrain_assets_tests.simulation import contract_with, features

MODULE = "reproduced_features"

METRICS = {"roc_auc": {"min": 0.6, "max_regression": 0.05}, "accuracy": {"min": 0.3}}
"""Not in the order of the alphabet, which canonical JSON puts them in."""


@dataclass(frozen=True)
class Promoted:
    """A home of one's own, copied, with a promoted retrain.

    Args:
        home: the home.
        code: file of its feature function.
    """

    home: Home
    code: Path

    def stored(self, retrain: str = RETRAIN) -> Stored:
        return Stored(self.home, MODEL, retrain, EventsRead(Ledger(self.home.ledger_url).events()))

    def bench(self, scratch: Path, depth: Depth = Depth.USUAL, retrain: str = RETRAIN) -> Bench:
        return Bench(self.stored(retrain), depth, scratch)

    def stage(self, name: str) -> Path:
        return self.home.stage_dir(MODEL, RETRAIN, name)


@pytest.fixture(scope="session")
def promoted_base(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[tuple[Path, Path]]:
    """The home to copy, and the file of its features."""
    root, code = tmp_path_factory.mktemp("promoted") / "home", tmp_path_factory.mktemp("code")
    root.mkdir()
    shutil.copy(empty_store, root / "mlflow.db")
    (code / f"{MODULE}.py").write_text(inspect.getsource(features))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(code))
        with story_in(root) as story:
            story.contract = contract_with(features=f"{MODULE}.build", gates__offline={"metrics": METRICS})
            story.__post_init__()
            story.bootstrap_champion()
            assert story.retrain()
            story.ramp_to_approval()
            story.approve()
            story.decide()
        yield root, code / f"{MODULE}.py"
    sys.modules.pop(MODULE, None)


@pytest.fixture
def promoted(promoted_base: tuple[Path, Path], retrain_home: Path) -> Iterator[Promoted]:
    """A copy of it; the feature code is as it was again afterwards."""
    base, code = promoted_base
    shutil.copytree(base, retrain_home)
    settled = Ledger(Home(retrain_home).ledger_url)
    settled.head()
    settled.close()
    text = code.read_bytes()
    yield Promoted(Home(retrain_home), code)
    code.write_bytes(text)


@pytest.fixture
def tree() -> Callable[[Path], dict[str, str]]:
    """Digest of content and time of every file of a folder."""

    def digests(root: Path) -> dict[str, str]:
        return {
            str(path.relative_to(root)): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    return digests


def only(results: list[Result], what: str) -> Result:
    """The one result of that name."""
    (found,) = [one for one in results if one.what.startswith(what)]
    return found


def kinds(result: Result) -> set[CauseKind]:
    """The kinds of its causes; it must differ."""
    assert result.status is not Status.EQUAL, result
    return {cause.kind for cause in result.causes}
