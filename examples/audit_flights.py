"""Flights of 2013: is a model of late arrivals as good as a random split says?

Fits boosted trees to 327 346 flights and tests each flight four times: by models that saw other
flights of its day, other days of its month, no day of its month, and no flight of its carrier (nor
of its day). All of it is done a second time without the columns `month` and `day`. The report shows
what a random split promises, what is left on days and months never seen, which of the two models
loses less, which features are shortcuts, and what closes the gap at what price.

Run: python examples/audit_flights.py [--out FOLDER] [--rows N] [--jobs N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

import elsewhere
from elsewhere.core.files import write_together
from elsewhere.data import flights
from elsewhere.report import render, show

if TYPE_CHECKING:
    from elsewhere.audit.fitting import Cost

FEATURES = (
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "origin",
    "dest",
    "distance",
)


def main() -> None:
    """Fit, audit, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder for the report")
    parser.add_argument("--rows", type=int, default=None, help="use N random flights only")
    parser.add_argument("--jobs", type=int, default=None, help="processes [default: all cores]")
    options = parser.parse_args()
    started = time.perf_counter()
    table = flights()
    if options.rows is not None:
        table = table.sample(options.rows, random_state=0)
    console = Console(stderr=True)
    costs: list[Cost] = []

    def on_cost(cost: Cost) -> None:
        """Say what the fits will cost; remember what they did cost."""
        if not costs:
            console.print(f"{cost}")
        costs.append(cost)

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        report = elsewhere.audit(
            table,
            target="late",
            estimator="boosting",
            feature=FEATURES,
            without=("month", "day"),
            group=["month", "carrier"],
            block="date",
            duplicates="ignore",
            labels=1_000,  # a day of flights
            name="flights of 2013",
            jobs=options.jobs,
            on_cost=on_cost,
            on_step=lambda done, total, what: bar.update(
                task, completed=done, total=total or None, description=what
            ),
        )
    show(report, Console())
    written = {
        options.out / f"flights{suffix}": render(report, suffix)
        for suffix in (".html", ".json", ".csv")
    }
    write_together(written)
    took, fits = time.perf_counter() - started, costs[-1]
    bare = fits.seconds / fits.cores
    print(
        f"{fits.fits} fits by scikit-learn: {bare:.0f} s on {fits.cores} cores; with reading, "
        f"explanations and report: {took:.0f} s ({took / bare:.2f} times)"
    )
    print(f"report: {options.out / 'flights.html'}")


if __name__ == "__main__":
    main()
