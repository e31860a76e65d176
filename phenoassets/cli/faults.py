"""Faults of disks and databases that no command foresees, in one line with the remedy.

In goes an exception; out comes what to say of it, or nothing where it is a fault of the program, whose traceback stays.
"""

import errno
import sqlite3

from sqlalchemy.exc import DatabaseError

_REMEDIES = {
    errno.ENOSPC: "no space is left; free some and run again, nothing is lost",
    errno.EDQUOT: "the quota is used up; free some space and run again, nothing is lost",
    errno.EACCES: "permission is denied; check who owns it",
    errno.EPERM: "permission is denied; check who owns it",
    errno.EROFS: "the file system may only be read; run where it can be written",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another folder",
    errno.ENOENT: "it is gone; was the folder moved or unmounted?",
}
_DATABASES = (
    ("malformed", "is damaged; move its dagster/*.db aside, runs are then listed from now on and no table is lost"),
    (
        "not a database",
        "is damaged; move its dagster/*.db aside, runs are then listed from now on and no table is lost",
    ),
    ("disk is full", "has no space left; free some and run again, nothing is lost"),
    ("disk I/O error", "cannot be written: the disk is full or damaged; free some and run again, nothing is lost"),
    ("readonly", "may only be read; check who owns the home"),
    ("unable to open", "cannot be opened; check who owns the home"),
    ("locked", "is busy; try again in a minute"),
)


def one_line(error: BaseException) -> str | None:
    """What to say of `error`, or of what caused it; None for a fault of the program."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _REMEDIES:
            return f"{seen.filename or 'the home'}: {_REMEDIES[seen.errno]}"
        if isinstance(seen, (sqlite3.DatabaseError, DatabaseError)):
            for sign, words in _DATABASES:
                if sign in str(seen):
                    return f"Dagster's database of the home {words}"
        seen = seen.__cause__ or seen.__context__
    return None
