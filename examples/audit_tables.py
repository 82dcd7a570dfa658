"""Five tables that others made: how much of what random rows promise is left elsewhere?

One table each of two classes, of several classes, of numbers, of repeated subjects and of time.
Models are fitted to each and tested on random rows and on what they never saw: occupations,
households, decades of age, men and industries, months and sizes of memory. Prints what was found
and writes one page for each table.

Run: python examples/audit_tables.py [NAME ...] [--assets FOLDER] [--out FOLDER] [--jobs N]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from sklearn.datasets import load_diabetes

import elsewhere
from elsewhere.core.errors import InputError
from elsewhere.core.files import write_together
from elsewhere.report import render, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from elsewhere.core.gap_report import GapReport

Options = dict[str, Any]


def fair(assets: Path | None = None) -> tuple[pd.DataFrame, Options]:
    """Two classes: which of 6 366 married women had an affair, in occupations never seen.

    Answers to a magazine: `rate_marriage` (1 very poor to 5 very good), `age`, `yrs_married`,
    `children`, `religious` (1 not to 4 strongly), `educ` (years), `occupation` (1 student, 2
    farming or unskilled, 3 white-collar, 4 teacher, nurse, artist or skilled, 5 managerial, 6
    professional), `occupation_husb` (the same of the husband) and `affairs` (time spent in them).

    Reference: R. C. Fair (1978), A Theory of Extramarital Affairs.
    """
    table = pd.read_csv(find("statsmodels", "fair.csv", assets))
    table["affair"] = (table["affairs"] > 0).astype(int)
    return table, {
        "target": "affair",
        "group": "occupation",
        "ignore": "affairs",  # the target is made of it
        "estimator": "boosting",
        "negligible": 0.02,
    }


def crackers(assets: Path | None = None) -> tuple[pd.DataFrame, Options]:
    """Several classes: the brand of 3 292 purchases of crackers, in households never seen.

    `id` is the household (136 of them), `choice` the brand that it bought: sunshine, kleebler,
    nabisco or private. For every brand there are its price, whether it was on display (`disp`) and
    whether a newspaper featured it (`feat`). The rows hold only 993 different states of the shelf,
    which households share: trees guess the brand right in three of four rows, in households that
    they saw and in others.

    Reference: Jain, Vilcassim and Chintagunta (1994), A Random-Coefficients Logit Brand-Choice
        Model Applied to Panel Data.
    """
    table = pd.read_csv(find("pydataset", "Cracker.csv", assets))
    return table, {
        "target": "choice",
        "group": "id",
        "ignore": ROW_NUMBER,
        "metric": "accuracy",
        "estimator": "linear",
        "negligible": 0.02,
    }


def diabetes(_: Path | None = None) -> tuple[pd.DataFrame, Options]:
    """Numbers: how diabetes of 442 patients progressed in a year, in decades of age never seen.

    Ten measurements of each patient: `age`, `sex`, `bmi`, `bp` (blood pressure) and six of blood
    serum, `s1` to `s6`. `target` runs from 25 to 346. `decade` is made of `age`; the first and the
    last decades are joined to their neighbours, which have few patients themselves.

    Reference: Efron, Hastie, Johnstone and Tibshirani (2004), Least Angle Regression.
    """
    table = load_diabetes(as_frame=True, scaled=False).frame
    decade = (table["age"] // 10 * 10).clip(20, 60).astype(int)
    table["decade"] = decade.map({20: "to 29", 30: "30s", 40: "40s", 50: "50s", 60: "60 on"})
    return table, {
        "target": "target",
        "group": "decade",
        "estimator": "linear",
        "negligible": 5.0,
    }


def wages(assets: Path | None = None) -> tuple[pd.DataFrame, Options]:
    """Repeated subjects: wages of 545 young men in 8 years, of men and in industries never seen.

    `nr` is the man, `year` runs from 1980 to 1987, `wage` is the log of the hourly wage. The other
    columns are years of school and of experience, union, ethnicity, marriage, health, occupation,
    residence, and `industry`. School, ethnicity and experience hardly change or count up: with
    other years of a man in training they tell who he is.

    Reference: Vella and Verbeek (1998), Whose Wages Do Unions Raise?
    """
    table = pd.read_csv(find("pydataset", "Males.csv", assets))
    return table, {
        "target": "wage",
        "group": "industry",
        "block": "nr",
        "ignore": ROW_NUMBER,
        "estimator": "boosting",
        "negligible": 0.02,
    }


def computers(assets: Path | None = None) -> tuple[pd.DataFrame, Options]:
    """Time: prices of 6 259 computers, in months to come and with memory of a size never seen.

    `trend` is the month (1 to 35: January 1993 to November 1995), `price` is in US dollars. The
    other columns are the speed in MHz, `hd` and `ram` in MB, `screen` in inches, `cd` and `multi`
    (a CD-ROM drive, a multimedia kit), `premium` (whether the maker was IBM or Compaq), and `ads`,
    the number of price lists of the month: it says nothing of a computer, and tells the month. A
    second model goes without it.

    Reference: Stengos and Zacharias (2006), Intertemporal Pricing and Price Discrimination.
    """
    table = pd.read_csv(find("pydataset", "Computers.csv", assets))
    return table, {
        "target": "price",
        "group": "ram",
        "time": "trend",
        # Named, because a column with a role (here ram) is a feature only if it is named.
        "feature": ("speed", "hd", "ram", "screen", "cd", "multi", "premium", "ads"),
        "without": "ads",
        "estimator": "boosting",
        "negligible": 20.0,
    }


ROW_NUMBER = "Unnamed: 0"
"""What pandas calls the first column of pydataset's files, which has no name."""

TABLES: dict[str, Callable[[Path | None], tuple[pd.DataFrame, Options]]] = {
    "fair": fair,
    "crackers": crackers,
    "diabetes": diabetes,
    "wages": wages,
    "computers": computers,
}


def audit(name: str, assets: Path | None = None, **changed: Any) -> GapReport:
    """Audit one of the tables.

    Args:
        name: A name of `TABLES`.
        assets: Folder of the assets; see `find`.
        changed: Options of `elsewhere.audit` other than the table's.

    Returns:
        The report.
    """
    table, options = TABLES[name](assets)
    return elsewhere.audit(table, **{"name": name, **options, **changed})


def find(package: str, file: str, assets: Path | None = None) -> Path:
    """Find a file that `make assets` brings.

    Args:
        package: Registry package.
        file: Name of the file.
        assets: Folder that holds a folder for each package. By default `$ELSEWHERE_ASSETS`, then
            `tests/assets` of this repository.

    Returns:
        Its path.

    Raises:
        InputError: It is not there.
    """
    folders = [Path(__file__).parents[1] / "tests" / "assets"]
    if given := assets or os.environ.get("ELSEWHERE_ASSETS"):
        folders = [Path(given)] if assets else [Path(given), *folders]
    for folder in folders:
        if (path := folder / package / file).is_file():
            return path
    raise InputError(
        f"{package}/{file}",
        f"was not found in {' or '.join(str(folder) for folder in folders)}",
        "a file that `make assets` fetches",
        "make assets, or --assets FOLDER",
    )


def main() -> int:
    """Audit the tables, print what was found, write a report for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help=f"{', '.join(TABLES)} [default: all]")
    parser.add_argument("--assets", type=Path, default=None, help="folder that make assets fills")
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder for the reports")
    parser.add_argument("--jobs", type=int, default=None, help="processes [default: all cores]")
    options = parser.parse_args()
    for name in options.name:
        if name not in TABLES:
            parser.error(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    console = Console()
    for name in options.name or TABLES:
        started = time.perf_counter()
        console.rule(name)
        console.print(TABLES[name].__doc__.splitlines()[0], highlight=False)
        try:
            report = audit(name, options.assets, jobs=options.jobs)
        except InputError as error:
            print(error, file=sys.stderr)
            return 2
        show(report, console)
        page = options.out / f"{name}.html"
        write_together({page: render(report, ".html")})
        print(f"report: {page} ({time.perf_counter() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
