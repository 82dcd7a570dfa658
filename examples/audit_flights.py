"""Flights of 2013: how late-arrival predictions hold up on days and months never seen.

Fits the same boosted trees three times over twelve folds: folds of random rows, of whole days, and
of whole months. Every row then has three scores from models that saw it neither in training: one
that knew other flights of the same day, one that knew other days of the same month, and one that
knew neither. The first is *here*; the other two are audited as *elsewhere*, paired row by row.

Run: python examples/audit_flights.py [--out FOLDER] [--rows N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from sklearn.ensemble import HistGradientBoostingClassifier

import elsewhere
from elsewhere.core.files import write_together
from elsewhere.data import flights
from elsewhere.report import render, show

FOLDS = 12


def features(table: pd.DataFrame) -> np.ndarray:
    """Code what is known before departure as numbers."""
    coded = table.drop(columns=["date", "late", "tailnum", "flight"])
    for name in ("carrier", "origin", "dest"):
        coded[name] = coded[name].astype("category").cat.codes
    return coded.to_numpy(dtype=np.float32)


def held_out_scores(x: np.ndarray, y: np.ndarray, folds: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score each row by models that did not train on the row's fold, once for each set of folds.

    Models are fitted by two processes with one thread each: many small fits share a machine
    better that way than one fit with many threads.
    """
    tasks = [(name, k) for name, fold in folds.items() for k in np.unique(fold)]
    scores = pd.DataFrame(0.0, index=range(len(y)), columns=list(folds))
    results = Parallel(n_jobs=2, return_as="generator")(
        delayed(fit_and_score)(x, y, folds[name] == k) for name, k in tasks
    )
    done = track(zip(tasks, results, strict=True), "fitting", len(tasks), transient=True)
    for (name, k), score in done:
        scores.loc[folds[name] == k, name] = score
    return scores


def fit_and_score(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Fit boosted trees on the other rows and score the held-out ones."""
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.3, max_leaf_nodes=63, early_stopping=False, random_state=0
    )
    model.fit(x[~held_out], y[~held_out])
    return model.predict_proba(x[held_out])[:, 1]


def main() -> None:
    """Make the predictions, audit them, and write the reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder for the reports")
    parser.add_argument("--rows", type=int, default=None, help="use the first N of shuffled rows")
    options = parser.parse_args()
    table = flights()
    generator = np.random.default_rng(0)
    order = generator.permutation(len(table))[: options.rows]
    table = table.iloc[order].reset_index(drop=True)
    table["flight_id"] = order
    x, y = features(table), table["late"].to_numpy()
    day = table["date"].astype("category").cat.codes.to_numpy()
    folds = {
        "random": generator.integers(0, FOLDS, len(table)),
        "unseen day": generator.integers(0, FOLDS, day.max() + 1)[day],
        "unseen month": table["month"].to_numpy(),
    }
    scores = held_out_scores(x, y, folds)

    kept = table[["flight_id", "month", "carrier", "origin", "date", "late"]]
    random = kept.assign(score=scores["random"].to_numpy())
    written: dict[Path, bytes] = {}
    for name in ("unseen day", "unseen month"):
        report = elsewhere.audit(
            kept.assign(score=scores[name].to_numpy()),
            here_table=random,
            target="late",
            score="score",
            group=["month", "carrier", "origin"],
            block="date",
            row="flight_id",
            negligible=0.01,
            name=f"flights of 2013, {name} against random rows",
        )
        show(report, Console())
        stem = options.out / f"flights-{name.replace(' ', '-')}"
        for suffix in (".html", ".json", ".csv"):
            written[stem.with_suffix(suffix)] = render(report, suffix)
    write_together(written)
    for path in written:
        if path.suffix == ".html":
            print(f"report: {path}")


if __name__ == "__main__":
    main()
