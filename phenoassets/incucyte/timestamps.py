"""Time stamps as instruments of every country write them, read where the hours since the first scan agree.

In go the texts of a column of stamps with the elapsed hours of each; out come local times. Order of day and month,
names of months, halves of the day, 24:00, fractions of seconds and time zones are known; a zone is dropped, since scans
too are in the instrument's local time.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

DAY_HOURS: Final = 24.0
# Hungarian de./du., Finnish ap./ip., German vorm./nachm., Czech dop./odp., Greek, Korean, Chinese, Japanese; as they
# stand before or after the time, without dots and blanks.
_BEFORE_NOON: Final = ("am", "de", "ap", "vorm", "dop", "πμ", "fm", "오전", "上午", "午前")
_AFTER_NOON: Final = ("pm", "du", "ip", "nachm", "odp", "μμ", "em", "오후", "下午", "午後")
# a.m., a. m. and am are one word.
_HALF: Final = (
    r"(?<![^\W\d_])("
    + "|".join(r"\.?\s?".join(word) + r"\.?" for word in (*_BEFORE_NOON, *_AFTER_NOON))
    + r")(?![^\W\d_])"
)
# 09:30, 9.30 h, 21:30:15.250; not a part of a date (30.09.2019) or of a longer number.
_TIME = re.compile(
    r"(?<![\d.,:])(?P<hour>\d{1,2})(?P<mark>[:.h])(?P<minute>\d{2})"
    r"(?:(?:(?P=mark)|:)(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?(?![\d:])"
)
# A zone after a time, by name or as hours from Greenwich: it is taken off, since Elapsed decides; U+2212 is a minus.
_ZONE = re.compile(
    r"\s*[(\[]?\s*(?:(?:utc|gmt|z|cet|cest|mez|mesz|wet|west|eet|eest|bst|est|edt|cst|cdt|mst|mdt|pst|pdt|kst|jst)\b)?"
    r"\s*(?:[+\u2212-]\d{1,2}(?::?\d{2})?)?\s*[)\]]?"
)
_MONTHS: Final = (
    "january jan januar janner janvier janv enero ene gennaio gen januari janeiro januar tammikuu tammikuuta tammi",
    "february feb februar febr fevrier fevr fev febrero febbraio februari fevereiro helmikuu helmikuuta helmi",
    "march mar marz mrz marc marcius mars marzo maart mrt marco maaliskuu maaliskuuta maalis",
    "april apr aprilis avril avr abril abr aprile huhtikuu huhtikuuta huhti",
    "may mai majus maj mayo maggio mag mei maio toukokuu toukokuuta touko",
    "june jun juni junius juin junio giugno giu junho kesakuu kesakuuta kesa",
    "july jul juli julius juillet juil julio luglio lug julho heinakuu heinakuuta heina",
    "august aug augusztus aout agosto ago augustus elokuu elokuuta elo",
    "september sep sept szeptember szept septembre septiembre settembre set setembro syyskuu syyskuuta syys",
    "october oct oktober okt octobre octubre ottobre ott outubro out lokakuu lokakuuta loka",
    "november nov novembre noviembre novembro marraskuu marraskuuta marras",
    "december dec dezember dez decembre diciembre dic dicembre desember dezembro joulukuu joulukuuta joulu",
)
_MONTH_OF: Final = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
_FILLERS: Final = frozenset(
    [
        "de",
        "del",
        "of",
        "den",
        "der",
        "le",
        "el",
        "kl",
        "klo",
        "um",
        "a",
        "at",
        "the",
        "st",
        "nd",
        "rd",
        "th",
        "t",
        "an",
    ]
)
_WEEKDAYS: Final = frozenset(
    [
        "monday",
        "mon",
        "montag",
        "mo",
        "lundi",
        "lun",
        "lunes",
        "lunedi",
        "maandag",
        "ma",
        "segunda",
        "mandag",
        "hetfo",
        "maanantai",
        "maanantaina",
        "tuesday",
        "tue",
        "tues",
        "dienstag",
        "di",
        "mardi",
        "martes",
        "martedi",
        "dinsdag",
        "terca",
        "tirsdag",
        "tisdag",
        "kedd",
        "k",
        "tiistai",
        "tiistaina",
        "ti",
        "wednesday",
        "wed",
        "mittwoch",
        "mi",
        "mercredi",
        "mer",
        "miercoles",
        "mie",
        "mercoledi",
        "woensdag",
        "wo",
        "quarta",
        "onsdag",
        "szerda",
        "sze",
        "keskiviikko",
        "keskiviikkona",
        "ke",
        "thursday",
        "thu",
        "thur",
        "thurs",
        "donnerstag",
        "do",
        "jeudi",
        "jeu",
        "jueves",
        "jue",
        "giovedi",
        "gio",
        "donderdag",
        "quinta",
        "torsdag",
        "csutortok",
        "cs",
        "torstai",
        "torstaina",
        "to",
        "friday",
        "fri",
        "freitag",
        "fr",
        "vendredi",
        "ven",
        "viernes",
        "vie",
        "venerdi",
        "vrijdag",
        "vr",
        "sexta",
        "fredag",
        "pentek",
        "p",
        "perjantai",
        "perjantaina",
        "pe",
        "saturday",
        "sat",
        "samstag",
        "sonnabend",
        "sa",
        "samedi",
        "sam",
        "sabado",
        "sab",
        "sabato",
        "zaterdag",
        "za",
        "lordag",
        "lordagen",
        "szombat",
        "szo",
        "lauantai",
        "lauantaina",
        "la",
        "sunday",
        "sun",
        "sonntag",
        "so",
        "dimanche",
        "dim",
        "domingo",
        "dom",
        "domenica",
        "zondag",
        "zo",
        "sondag",
        "vasarnap",
        "v",
        "sunnuntai",
        "sunnuntaina",
        "su",
        "feira",
    ]
)
# Chinese, Japanese and Korean stamps name each part after its number (2019年8月30日 14時05分): signs instead, and
# weekdays away before the sign of the day, which some of them share.
_EAST_ASIAN: Final = (
    (re.compile(r"[월화수목금토일]요일|星期.|[月火水木金土日]曜日?"), " "),
    (re.compile(r"(\d{1,2})\s*[時时시点點]\s*(\d{1,2})\s*[分분](?:\s*(\d{1,2})\s*[秒초])?"), r" \1:\2:\3 "),
    (re.compile(r"[年년月월]"), "-"),
    (re.compile(r"[日일](?!\w*요일)"), " "),
)


class StampError(ValueError):
    """Stamps cannot be read; the message is a sentence that begins with what is wrong."""


@dataclass(frozen=True)
class Stamp:
    """A time stamp before its order of day and month is known.

    Parameters
    ----------
    numbers
        Day, month and year as far as they are numbers, as written.
    orders
        The orders in which they can be meant (``dmy``, ``mdy``, ``ymd``; ``dy``, ``yd`` beside a month's name).
    month
        Where it is given by name.
    time
        Time of day; 24:00 is 0 h of the day after, then `next_day`.
    """

    numbers: tuple[int, ...]
    orders: tuple[str, ...]
    month: int | None
    time: dt.time
    next_day: bool = False

    def at(self, order: str) -> dt.datetime | None:
        """Local time if the date is written in `order`; None where that cannot be."""
        if len(order) != len(self.numbers):
            return None
        parts = dict(zip(order, self.numbers, strict=True))
        year = parts["y"] + (2000 if parts["y"] < 100 else 0)
        try:
            day = dt.datetime(year, self.month or parts["m"], parts["d"])
            return dt.datetime.combine(day + dt.timedelta(days=self.next_day), self.time)
        except (ValueError, OverflowError, KeyError):
            return None


def parse_stamp(text: str) -> Stamp | None:
    """Parts of one time stamp; None where it is no date and time of day."""
    plain = unicodedata.normalize("NFKC", text).lower().strip()
    if len(plain) > 80:
        return None
    for pattern, meant in _EAST_ASIAN:
        plain = pattern.sub(meant, plain)
    plain = plain.replace(": ", " ")
    found = [match for match in _TIME.finditer(plain) if match["mark"] != "."]
    if len(found) > 1:  # the other is how far a zone is from UTC
        found = [match for match in found if plain[match.start() - 1] not in "+-\u2212" or not match.start()]
    found = found or list(_TIME.finditer(plain))[-1:]
    if len(found) != 1:
        return None
    match = found[0]
    before, after = plain[: match.start()], plain[match.end() :]
    before, after, half = _half_day(before, after)
    zone = _ZONE.match(after)
    rest = f"{before} {after[zone.end() :] if zone else after}"
    time = _time(match, half)
    date = _date(rest, half)
    if time is None or date is None:
        return None
    numbers, orders, month = date
    return Stamp(numbers, orders, month, time, next_day=match["hour"] == "24")


def read_stamps(cells: Sequence[str], hours: Sequence[float]) -> list[dt.datetime]:
    """Local times (n,) in the one order of day and month that fits every stamp, and the elapsed `hours` (n,) best.

    An hour of summer time is no misfit.

    Raises
    ------
    StampError
        If a text is no stamp, no one order fits all, or the best one is half a day or more off the elapsed hours.
    """
    stamps: list[Stamp] = []
    for cell in cells:
        stamp = parse_stamp(cell)
        if stamp is None:
            raise StampError(f"{cell[:80]!r} is no date and time")
        stamps.append(stamp)
    fits: dict[str, tuple[int, list[dt.datetime]]] = {}
    for order in stamps[0].orders:
        times = [time for stamp in stamps if order in stamp.orders and (time := stamp.at(order)) is not None]
        if len(times) == len(stamps):
            fits[order] = _days_off(times, hours), times
    if not fits:
        raise StampError(f"the dates ({cells[0]!r}, ...) fit no one order of day, month and year")
    off, times = min(fits.values(), key=lambda fit: fit[0])
    if off:
        worst = max(range(len(times)), key=lambda i: abs(_gap(times, hours, i)))
        clock = (times[worst] - times[0]).total_seconds() / 3600
        raise StampError(
            f"{cells[worst]!r} is {clock:,.1f} h after {cells[0]!r}, and by Elapsed {hours[worst] - hours[0]:,.1f} h; "
            "export the table again without changing its dates"
        )
    return times


def _gap(times: Sequence[dt.datetime], hours: Sequence[float], i: int) -> float:
    return (times[i] - times[0]).total_seconds() / 3600 - (hours[i] - hours[0])


def _days_off(times: Sequence[dt.datetime], hours: Sequence[float]) -> int:
    """Largest gap between Elapsed and the clock, in whole days."""
    return max(round(abs(_gap(times, hours, i)) / DAY_HOURS) for i in range(len(times)))


def _half_day(before: str, after: str) -> tuple[str, str, str]:
    """What stands before and after the time without the word for its half of the day, and that word."""
    match = re.match(rf"\s*{_HALF}", after)
    if match is not None:
        return before, after[match.end() :], match[1]
    match = re.search(rf"{_HALF}\s*$", before)
    if match is not None:
        return before[: match.start()], after, match[1]
    return before, after, ""


def _time(match: re.Match[str], half: str) -> dt.time | None:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if half:
        if hour > 12:
            return None
        hour = hour % 12 + (12 if re.sub(r"[\s.]", "", half) in _AFTER_NOON else 0)
    if hour == 24 and minute == second == 0:
        hour = 0
    try:
        return dt.time(hour, minute, second, int((match["fraction"] or "0")[:6].ljust(6, "0")))
    except ValueError:
        return None


def _date(text: str, half: str) -> tuple[tuple[int, ...], tuple[str, ...], int | None] | None:
    """Numbers, possible orders and month of what is left of a stamp."""
    if re.search(r"[^\w\s.,/()'-]", text):
        return None
    months, numbers = [], []
    for token in re.findall(r"\d+|[^\W\d_]+", text):
        if token.isdigit():
            numbers.append(token)
            continue
        word = "".join(c for c in unicodedata.normalize("NFD", token) if not unicodedata.combining(c))
        if word in _MONTH_OF:
            months.append(_MONTH_OF[word])
        elif word not in _FILLERS and word not in _WEEKDAYS:
            return None
    widths = [len(number) for number in numbers]
    orders = _orders(widths, half) if not months else _named_orders(widths)
    if len(months) > 1 or not orders:
        return None
    return tuple(map(int, numbers)), orders, months[0] if months else None


def _orders(widths: Sequence[int], half: str) -> tuple[str, ...]:
    # An English twelve-hour clock is American, all else (a Spanish "p. m." too) writes the day first; this decides only
    # where both fit alike.
    either = ("mdy", "dmy") if half in ("am", "pm") else ("dmy", "mdy")
    if len(widths) != 3 or max(widths[1:2]) > 2:
        return ()
    known: Mapping[tuple[bool, bool], tuple[str, ...]] = {
        (True, False): ("ymd",),
        (False, True): either,
        (False, False): (*either, "ymd"),
    }
    if any(width not in (1, 2, 4) for width in widths):
        return ()
    return known.get((widths[0] == 4, widths[2] == 4), ())


def _named_orders(widths: Sequence[int]) -> tuple[str, ...]:
    if len(widths) != 2 or any(width not in (1, 2, 4) for width in widths):
        return ()
    if 4 in widths:
        return ("yd",) if widths[0] == 4 else ("dy",)
    return ("dy", "yd")
