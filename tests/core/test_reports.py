"""Reports as JSON and back, and what damaged JSON does."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from reports import INF, NAN, report

from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport, key_text
from elsewhere.core.records import decode, encode


@dataclass(frozen=True)
class Small:
    numbers: tuple[float, ...]
    pair: tuple[int, str]
    maybe: float | None = None


def test_missing_and_infinite_numbers_come_back() -> None:
    made = Small((NAN, INF, -INF, 0.1 + 0.2, 1e-300), (3, "x"))
    text = json.dumps(encode(made), allow_nan=False)
    back = decode(Small, json.loads(text), "small")
    assert np.isnan(back.numbers[0])
    assert back.numbers[1:] == (INF, -INF, 0.3, 1e-300)
    assert back.pair == (3, "x")
    assert back.maybe is None


def test_numpy_numbers_become_plain_ones() -> None:
    made = {"a": np.float64(1 / 3), "b": np.int64(3), "c": np.bool_(True), "d": np.float32("nan")}
    assert encode(made) == {"a": 0.3333333333, "b": 3, "c": True, "d": None}


def test_a_report_comes_back_as_it_was() -> None:
    made = report()
    text = made.to_json()
    back = GapReport.from_json(text)
    assert back.to_json() == text
    assert back.first_line() == made.first_line()
    assert back.verdict() == made.verdict()
    assert back.models[0].groupings[0].rows[2].gap_low == -INF
    assert np.isnan(back.models[0].groupings[0].rows[4].value)
    assert back.settings == dict(sorted(made.settings.items()))
    keys = list(json.loads(text))
    assert keys == sorted(keys)


def test_the_same_report_is_the_same_bytes() -> None:
    assert report().to_json() == report().to_json()


def test_keys_as_text() -> None:
    assert key_text((("site", "A"),)) == "A"
    assert key_text((("site", None), ("sex", 1))) == "site=None, sex=1"


JUNK = [
    None,
    True,
    False,
    0,
    -1,
    10**400,
    1.5,
    1e308,
    "",
    "inf",
    "nan",
    [],
    [[]],
    {},
    {"x": 1},
    "x" * 100,
    [1, 2, 3],
    "\ud800",
]


def damage(value: object, rng: random.Random) -> object:
    """Replace, drop or add something at a random place of the tree."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.05:
            return {**value, "added": 1}
        return {**value, key: damage(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:index] + value[index + 1 :]
        return [*value[:index], damage(value[index], rng), *value[index + 1 :]]
    return rng.choice(JUNK)


def read(text: str) -> None:
    """Reading gives a report that can be written again, or an InputError."""
    try:
        found = GapReport.from_json(text)
    except InputError:
        return
    found.to_json()


def corrupt_trees(n: int) -> None:
    rng = random.Random(0)
    whole = json.loads(report().to_json())
    for _ in range(n):
        damaged = whole
        for _ in range(rng.randint(1, 3)):
            damaged = damage(damaged, rng)
        read(json.dumps(damaged))


def corrupt_texts(n: int) -> None:
    rng = random.Random(0)
    text = report().to_json()
    for _ in range(n):
        at, length = rng.randrange(len(text)), rng.choice((0, 1, 1, 3, 50))
        put = rng.choice(
            ("", "{", "]", '"', "9" * 5000, "1e999", "NaN", "-Infinity", "\x00", "null")
        )
        read(text[:at] + put + text[at + length :])


def test_damaged_reports_raise_input_errors_only() -> None:
    corrupt_trees(150)
    corrupt_texts(100)


@pytest.mark.long
def test_damaged_reports_raise_input_errors_only_at_length() -> None:
    corrupt_trees(6000)
    corrupt_texts(3000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{",
        "{}",
        '{"schema": 1}',
        '{"schema": 99}',
        "[" * 100_000,
        '{"schema": 1e999}',
        '{"a":' * 100_000,
        "\ufeff{}",
        "1" * 5000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        GapReport.from_json(text)
    assert caught.value.argument.startswith("report")


def test_the_message_names_the_field() -> None:
    record = json.loads(report().to_json())
    record["models"][0]["groupings"][0]["gap"]["low"] = "small"
    with pytest.raises(InputError, match="'small'") as caught:
        GapReport.from_json(json.dumps(record))
    assert caught.value.argument == "report.models[0].groupings[0].gap.low"


def test_a_report_without_an_answer_says_why() -> None:
    made = report()
    grouping = made.headline
    empty = grouping.mixes["matched"]
    model = replace(made.models[0], groupings=(replace(grouping, gap=empty),))
    assert replace(made, models=(model,)).verdict().startswith("No answer: left out 1 of 1 groups")
