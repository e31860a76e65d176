"""One decimal mark a file: what decides it, what is refused, and numbers of every country."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, NumberText, decide, parse_number


def read(*texts, points=False):
    numbers = decide([(f"row {i}:", text) for i, text in enumerate(texts, start=2)], points=points)
    return [numbers.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("0,5", "1.000", "12.345.678"), [0.5, 1000, 12345678]),
        (("0.5", "1,000", "12,345,678"), [0.5, 1000, 12345678]),
        (("1.234,5", "2.000"), [1234.5, 2000]),
        (("1,234.5", "2,000"), [1234.5, 2000]),
        (("1,5", "1,234"), [1.5, 1.234]),
        (("0,125",), [0.125]),
        ((".5", "1.234"), [0.5, 1.234]),
        (("1.5e-3", "2E4"), [0.0015, 20000]),
        (("1 000", "1\u00a0000,5", "1'000"), [1000, 1000.5, 1000]),
        (("\u22123,25", "+4"), [-3.25, 4]),
        (("7", "lots", "1.234,5.6"), [7, None, None]),
        (("0.5", "1.00,5"), [0.5, None]),
    ],
)
def test_the_whole_file_decides(texts, values):
    assert read(*texts) == values


@pytest.mark.parametrize(("text", "one", "other"), [("1,000", "1", "1000"), ("12.345", "12345", "12.345")])
def test_a_file_that_does_not_decide_is_refused_with_both_readings(text, one, other):
    with pytest.raises(DecimalMarkError, match=rf"row 3: '{text}'; .* this one is {one} or {other}, and no other"):
        read("7", text)
    assert parse_number(text) is None


def test_a_format_that_writes_points_explains_a_lone_point_and_no_comma():
    assert read("1.234", points=True) == [1.234]
    with pytest.raises(DecimalMarkError, match="'1,234'"):
        read("1,234", points=True)
    with pytest.raises(DecimalMarkError, match=r"'1\.234'"):
        read("1.234")


def test_two_marks_in_one_file_are_refused_with_both_places():
    with pytest.raises(DecimalMarkError, match=r"row 3: '0,5' has a decimal comma, but row 2: '0\.5' a decimal point"):
        read("0.5", "0,5")


def test_a_number_of_a_spreadsheet_has_no_mark():
    assert read(NumberText(1.125), "0,5") == [1.125, 0.5]
    assert [str(NumberText(value)) for value in (5.0, 0.1, 1e300, -2.0)] == ["5", "0.1", "1e+300", "-2"]


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([".", ","]))
def test_every_number_that_is_written_is_read_back(value, mark):
    text = repr(value).replace(".", mark)
    assert Numbers(mark).parse(text) == value


@given(st.integers(0, 10**9), st.sampled_from([(".", ","), (",", ".")]))
def test_thousands_marks_change_no_number(value, marks):
    decimal, thousands = marks
    assert Numbers(decimal).parse(f"{value:,}".replace(",", thousands)) == value


@given(st.text("0123456789.,eE+- '\u00a0", max_size=20))
def test_any_text_is_a_finite_number_none_or_refused(text):
    value = parse_number(text)
    assert value is None or math.isfinite(value)
