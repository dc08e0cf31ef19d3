"""The volume mirrors the home: which place there is which place here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from retrain_assets.contract import StageError


@dataclass(frozen=True)
class Mirror:
    """One home and the folder of a volume that mirrors it.

    Args:
        home: directory of all state here.
        volume: ``/Volumes/CATALOG/SCHEMA/VOLUME…``.
    """

    home: Path
    volume: str

    def there(self, path: Path) -> str:
        """Where a path below the home is on the volume.

        Raises:
            StageError: for a path outside the home.
        """
        try:
            below = path.absolute().relative_to(self.home.absolute())
        except ValueError:
            raise StageError(
                "only what is below the home has a place on the volume",
                where=str(path),
                remedy=f"let the stage write below {self.home} (RETRAIN_HOME)",
            ) from None
        return str(PurePosixPath(self.volume, *below.parts))

    def here(self, uri: str) -> Path:
        """Where a place on the volume is below the home.

        Raises:
            StageError: for a place outside the volume's folder.
        """
        place = PurePosixPath(uri)
        if not place.is_relative_to(self.volume):
            raise StageError(
                f"the stage wrote outside {self.volume}", where=uri, remedy="correct compute.databricks.volume and launch again"
            )
        return self.home.joinpath(*place.relative_to(self.volume).parts)

    def stage(self, model: str, retrain: str, name: str) -> str:
        """The directory of a stage's outputs there."""
        return f"{self.volume}/stages/{model}/{retrain}/{name}"

    def orders(self, model: str, retrain: str) -> str:
        """The folder of a retrain's orders there."""
        return f"{self.volume}/orders/{model}/{retrain}"

    @property
    def code(self) -> str:
        """The folder of wheels there."""
        return f"{self.volume}/code"

    def bundle(self, digest: str) -> str:
        """The folder of a bundle there."""
        return f"{self.volume}/bundles/{plain(digest)}"

    def content(self, digest: str) -> str:
        """The place of another input there."""
        return f"{self.volume}/inputs/{plain(digest)}"


def plain(digest: str) -> str:
    """A digest as a name of a file."""
    return digest.removeprefix("sha256:")
