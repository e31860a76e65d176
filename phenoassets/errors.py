"""The exceptions of phenoassets: what went wrong, where, and what to do about it.

Every error a user can cause is a ``PhenoassetsError`` whose message is one line that names the plate, well or file
and the remedy. Faults of the program itself stay ordinary Python exceptions.
"""

from __future__ import annotations

import shlex


class PhenoassetsError(Exception):
    """Base of every error that a user can cause or mend."""


class SettingsError(PhenoassetsError):
    """``screen.toml``, ``plates.csv`` or ``compounds.csv`` says something that cannot be meant."""


class ExportError(PhenoassetsError):
    """An exports folder holds nothing that can be used, or is not what it should be."""


class PlateMapError(PhenoassetsError):
    """A plate map cannot be read, or contradicts itself."""


class MetricTableError(PhenoassetsError):
    """A vendor's metric table cannot be read."""


class ImageError(PhenoassetsError):
    """One image file cannot be used.

    Parameters
    ----------
    reason
        A short code that goes into ``rejected_files.reason``: ``unreadable``, ``display_only``, ``empty``, ...
    detail
        A sentence for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ModelError(PhenoassetsError):
    """A model folder is not one, or its weights are not those that its card names."""


class ProfileError(PhenoassetsError):
    """Profiles cannot be computed: no controls, mixed widths, or nothing to aggregate."""


class NotTreatedYetError(ProfileError):
    """No scan of a plate lies after its treatment so far: there is nothing to answer from yet."""


class SchemaError(PhenoassetsError):
    """A table does not fit its schema; the message lists every mismatch."""


class StoreError(PhenoassetsError):
    """The table or image store cannot do what was asked: no space, no permission, a lock held elsewhere."""


class StalenessError(PhenoassetsError):
    """A reader would mix results of two recipes; the message says which plates."""


def as_argument(name: str) -> str:
    """`name` as a remedy's command line takes it for an argument: quoted, and never taken for an option.

    The value of an option needs no more than quotes.
    """
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)
