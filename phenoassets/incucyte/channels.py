"""Which channel an image is of: what its name, its folders and ``plates.csv`` say, and when that is not enough.

In go prefixes and the channel words of folders; out come channels, or a refusal where a word may belong to the
project's name. Words that mean a channel are ``names``'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from phenoassets.errors import ExportError
from phenoassets.incucyte.names import DEFAULT_CHANNEL, channel_in, words_of

# One example of each word in a refusal is enough.
_SHOWN: Final = 3


@dataclass(frozen=True)
class Said:
    """What is said of one image's channel.

    Parameters
    ----------
    prefix
        All before the well in its name, None where there is nothing.
    well
        Its well.
    stated
        Channel that its own name states in a place of its own, as names of the archive and pages of stacks do.
    folder
        Channel that a folder above it names.
    """

    prefix: str | None
    well: str
    stated: str | None = None
    folder: str | None = None


def settle_channels(
    images: Collection[Said], plate: str, *, channel: str | None = None, expected: Collection[str] = ()
) -> list[str]:
    """Channel of each image.

    A name's own statement holds, then the word in the prefix, then the folder's, then `channel`, then phase. A prefix
    in folders of several channels names none. Where `channel` is given, words that all prefixes share are the
    project's.

    Parameters
    ----------
    images
        What is said of each.
    plate
        For the message.
    channel
        What ``plates.csv`` says that images are whose names and folders leave it open.
    expected
        Channels that the screen uses, where they are known: a word that names the only one is believed.

    Raises
    ------
    ExportError
        If the only sign of a channel is a word in the prefix, and no other channel of the same wells shows that it is
        meant as one: it may be part of the project's name (``HT29_NucLightRed``), and pictures are never taken for
        another channel than theirs.
    """
    mute = _mute_prefixes(images)
    shared = _shared_words({one.prefix for one in images if one.prefix is not None}) if channel is not None else set()
    found: list[str] = []
    doubtful: dict[str, str] = {}
    for one in images:
        word = None if one.prefix is None else channel_in(one.prefix, frozenset(shared))
        if one.stated is not None:
            found.append(one.stated)
            continue
        said = (one.folder, word) if one.prefix in mute else (word, one.folder)
        found.append(said[0] or said[1] or channel or DEFAULT_CHANNEL)
        if word not in (None, DEFAULT_CHANNEL) and one.folder is None and one.prefix is not None:
            doubtful[one.prefix] = str(word)
    if doubtful and set(expected) != set(doubtful.values()):
        _require_company(images, found, doubtful, plate)
    return found


def _require_company(images: Collection[Said], channels: list[str], doubtful: dict[str, str], plate: str) -> None:
    """Refuse prefixes whose word stands alone: no well of theirs has an image of another channel."""
    by_well: dict[str, set[str]] = {}
    wells: dict[str, set[str]] = {}
    for one, channel in zip(images, channels, strict=True):
        by_well.setdefault(one.well, set()).add(channel)
        if one.prefix in doubtful and one.stated is None and one.folder is None:
            wells.setdefault(one.prefix, set()).add(one.well)
    alone = sorted(prefix for prefix, theirs in wells.items() if all(len(by_well[well]) == 1 for well in theirs))
    if not alone:
        return
    word = doubtful[alone[0]]
    names = ", ".join(alone[:_SHOWN]) + (f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else "")
    raise ExportError(
        f"plate {plate}: the word for {word} in {names} may name the channel or belong to the project, and no "
        f"other channel of these wells tells which; write {DEFAULT_CHANNEL} or {word} under channel in the row "
        f"{plate} of plates.csv"
    )


def _mute_prefixes(images: Iterable[Said]) -> set[str]:
    """Prefixes that occur in folders of several channels, and so name none: ``HT1080_NucLight-Red`` is a cell line."""
    channels: dict[str, set[str]] = {}
    for one in images:
        if one.prefix is not None and one.folder is not None:
            channels.setdefault(one.prefix, set()).add(one.folder)
    return {prefix for prefix, theirs in channels.items() if len(theirs) > 1}


def _shared_words(prefixes: Collection[str]) -> set[str]:
    """Words, in lower case, that are in every one of `prefixes`."""
    return set.intersection(*(set(words_of(prefix)) for prefix in prefixes)) if prefixes else set()
