"""Shared fixtures: no network, and a table to audit."""

from __future__ import annotations

import socket

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    """Let tests connect to this machine only."""
    real = socket.socket.connect

    def connect(self, address):
        host = address[0] if isinstance(address, tuple) else "local"
        assert host in ("local", "127.0.0.1", "::1", "localhost"), f"network access to {host}"
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def table() -> pd.DataFrame:
    """600 rows, 4 sites of which C is worse, patients of 3 rows, a split, dates, weights."""
    g = np.random.default_rng(7)
    n = 600
    site = np.repeat(["A", "B", "C", "D"], n // 4)
    y = g.integers(0, 2, n)
    hit = g.random(n) < np.where(site == "C", 0.62, 0.9)
    score = np.clip(0.5 + np.where(hit, 1, -1) * (y - 0.5) * 0.6 + g.normal(0, 0.1, n), 0, 1)
    return pd.DataFrame(
        {
            "y": y,
            "guess": np.where(hit, y, 1 - y),
            "score": score,
            "other": np.clip(score + g.normal(0, 0.2, n), 0, 1),
            "site": site,
            "sex": g.choice(["f", "m"], n),
            "patient": np.arange(n) // 3,
            "split": g.choice(["train", "test"], n),
            "date": pd.date_range("2024-01-01", periods=n, freq="D").strftime("%Y-%m-%d"),
            "weight": g.uniform(0.5, 2, n),
            "row": np.arange(n),
        }
    )
