"""Real data sets by name, and tables with limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elsewhere import InputError
from elsewhere.data import Limits, digits, flights, open_table
from elsewhere.data.named import BEFORE_DEPARTURE


def test_flights_hold_what_is_known_before_departure():
    table = flights()
    assert table.shape == (327_346, len(BEFORE_DEPARTURE) + 2)
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(table)
    assert table["late"].mean() == pytest.approx(0.23715, abs=1e-5)
    assert table["date"].nunique() == 365


def test_flights_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(InputError, match="make assets"):
        flights(tmp_path)
    other = tmp_path / "flights.csv.zip"
    other.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="is not the flights table"):
        flights(other)


def test_digits():
    table = digits()
    assert table.shape == (1797, 65)
    assert set(table["digit"]) == set(range(10))


def test_limits_name_themselves(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": np.arange(100)}).to_csv(path, index=False)
    with pytest.raises(InputError, match="has 100 rows; expected at most 10"):
        open_table(path, limits=Limits(rows=10)).load(["a"])
    with pytest.raises(InputError, match="expected at most 8"):
        open_table(path, limits=Limits(file_bytes=8))


def test_only_asked_columns_are_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    assert list(open_table(path).load(["b"])) == ["b"]


def test_content_hash_follows_the_content():
    a = open_table({"x": [1, 2], "y": ["a", "b"]})
    b = open_table({"x": [1, 2], "y": ["a", "c"]})
    assert a.content_hash() != b.content_hash()
    assert a.content_hash() == open_table({"x": [1, 2], "y": ["a", "b"]}).content_hash()


def test_quoted_cells_with_line_breaks(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"two\nlines"\n')
    assert open_table(path).load(["b"])["b"].tolist() == ["two\nlines"]
