from __future__ import annotations

import math

import factory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elsewhere.report.words import (
    Numbers,
    count,
    group_name,
    isolate,
    numbers_for,
    plural,
    probability,
    shorten,
    visible,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_visible_text_fits_every_format(text):
    shown = visible(text)
    shown.encode()
    assert all(ord(c) >= 0x20 and c not in "\x7f\u2028\u2029\u202e\ufffe\uffff" for c in shown)


@given(ANY_TEXT, st.integers(8, 200))
def test_shortened_text_keeps_the_limit_and_both_ends(text, limit):
    shown = shorten(text, limit)
    assert len(shown) <= limit
    if len(visible(text)) <= limit:
        assert shown == visible(text)


def test_long_names_that_differ_at_either_end_stay_apart():
    names = ["x" * 500 + "1", "x" * 500 + "2", "1" + "x" * 500, "2" + "x" * 500]
    assert len({shorten(name, 40) for name in names}) == 4


def test_joiners_and_other_scripts_stay():
    for text in ("👩\u200d⚕️", "مستشفى", "می\u200cخواهم", "日本"):
        assert visible(text) == text


def test_only_right_to_left_text_is_isolated():
    assert isolate("site A") == "site A"
    assert isolate("مستشفى") == "\u2068مستشفى\u2069"


@pytest.mark.parametrize(
    ("value", "text"),
    [("", "(empty)"), ("  ", "(blank)"), (None, "None"), (3, "3"), ("a\n", "a\\n")],
)
def test_no_group_has_an_invisible_name(value, text):
    assert group_name((("c", value),), 40) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234, "0.123"),
        (-0.1234, "−0.123"),
        (-0.0001, "0.000"),
        (math.nan, "—"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (12345.6789, "12\u202f345.679"),
        (-4e12, "−4e+12"),
    ],
)
def test_numbers(value, text):
    assert Numbers(3).one(value) == text


def test_intervals_without_limits_are_empty():
    assert Numbers(3).interval(math.nan, math.nan) == ""
    assert Numbers(3).both(0.5, math.nan, math.nan) == "0.500"


def test_counts_and_probabilities():
    assert count(1234567) == "1\u202f234\u202f567"
    assert plural(1, "row") == "1 row"
    shown = [probability(v) for v in (0.0, 0.0004, 0.04, math.nan)]
    assert shown == ["<0.001", "<0.001", "0.040", "—"]


@pytest.mark.parametrize(
    ("here", "half", "decimals"),
    [(0.8, 0.02, 3), (0.8, 0.00002, 6), (1200.0, 35.0, 0), (80.0, 0.4, 2)],
)
def test_decimals_follow_the_interval(here, half, decimals):
    grouping = factory.grouping_of()
    gap = factory.gap_of(0.1, half, here=here)
    report = factory.report_of((factory.model_of("m", (factory.replace(grouping, gap=gap),)),))
    assert numbers_for(report).decimals == decimals
