"""Known answer: do we find why a model fails where the reasons were planted?

Two generators with a truth that we know:

- *reasons*: a risk model errs more for old patients, for notes longer than it can read, and in
  hospitals with few training rows. Insurance, borough and the number of beds have no part in it.
  A second table, in which nothing but chance makes losses large, must give no reasons.
- *wards*: in intensive care all patients are ill alike, so that nobody could rank them well, and
  the model's probabilities are right; in the annex patients are as mixed as elsewhere and the
  probabilities are wrong. A low area under the curve is excused in the first and not the second.

Run it: `python examples/known_answers/failures.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.seeding import generator
from elsewhere.measures.failures import explain_failures

if TYPE_CHECKING:
    from elsewhere.core.explanations import Failures, Stratum

TRUE_COLUMNS = ("age", "words")
NOISE_COLUMNS = ("insurance", "borough")


@dataclass(frozen=True)
class Answers:
    """Shares of seeds.

    Args:
        columns_first: Age and length of the note rank above insurance and borough.
        columns_significant: Both have q below .05.
        noise_significant: Insurance or borough has q below .05.
        size_first: Training rows rank above the number of beds among characteristics of hospitals.
        null_significant: Without any reason, some column has q below .05.
        null_foreseen: Without any reason, the limits of the area exclude .5.
        restricted_excused: Intensive care is said to be low by range restriction alone.
        restricted_blamed: Intensive care is said to be worse than its probabilities promise.
        worse_blamed: The annex is said to be worse than its probabilities promise.
        worse_excused: The annex is said to be low by range restriction alone.
    """

    columns_first: float
    columns_significant: float
    noise_significant: float
    size_first: float
    null_significant: float
    null_foreseen: float
    restricted_excused: float
    restricted_blamed: float
    worse_blamed: float
    worse_excused: float


def reasons(seed: int, *, rows: int, hospitals: int = 10, planted: bool = True) -> Failures:
    """Explain failures of a model that errs for known reasons.

    Args:
        seed: Seed of the table.
        rows: Rows of the table.
        hospitals: Number of hospitals.
        planted: Whether age, length of the note and training rows matter; else nothing does.

    Returns:
        The explanation of its squared errors.
    """
    rng = generator(seed, "known answer", "reasons")
    trained_on = np.round(np.geomspace(60, 6000, hospitals))[rng.permutation(hospitals)]
    beds = rng.integers(50, 900, hospitals).astype(np.float64)
    hospital = rng.integers(0, hospitals, rows)
    age = rng.uniform(20, 95, rows)
    words = rng.lognormal(5.9, 0.7, rows)
    insurance = rng.choice(np.array(["private", "government", "unspecified"], dtype=object), rows)
    borough = rng.choice(np.array(["north", "east", "south", "west", "centre"], dtype=object), rows)
    risk = rng.normal(-1.0, 1.5, rows)
    spread = np.full(rows, 0.5)
    if planted:
        lost = np.maximum(0.0, 1 - 512 / words)
        spread = spread + 2.0 * (age > 65) + 3.0 * lost + 15.0 / np.sqrt(trained_on[hospital])
    logit = risk + spread * rng.normal(size=rows)
    y = rng.random(rows) < 1 / (1 + np.exp(-risk))
    probability = 1 / (1 + np.exp(-logit))
    return explain_failures(
        (probability - y) ** 2,
        {
            "insurance": insurance,
            "age": age,
            "borough": borough,
            "words": words,
            "training rows": trained_on[hospital],
            "beds": beds[hospital],
        },
        hospital,
        what="squared error of the probability",
        seed=seed,
    )


def wards(seed: int, *, rows: int, hospitals: int = 6) -> dict[str, Stratum]:
    """Judge wards whose areas under the curve are low for different reasons.

    Args:
        seed: Seed of the table.
        rows: Rows of the table.
        hospitals: Number of hospitals.

    Returns:
        Strata by ward.
    """
    rng = generator(seed, "known answer", "wards")
    hospital = rng.integers(0, hospitals, rows)
    ward = rng.choice(
        np.array(["general", "intensive", "annex"], dtype=object), rows, p=[0.6, 0.2, 0.2]
    )
    risk = np.where(ward == "intensive", rng.normal(0.8, 0.5, rows), rng.normal(-0.8, 1.8, rows))
    y = (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int64)
    logit = np.where(ward == "annex", 0.4 * risk + rng.normal(0, 1.6, rows), risk)
    probability = 1 / (1 + np.exp(-logit))
    found = explain_failures(
        (probability - y) ** 2,
        {"ward": ward, "age": rng.uniform(20, 95, rows)},
        hospital,
        y=y,
        probability=probability,
        named=["ward"],
        what="squared error of the probability",
        seed=seed,
    )
    return {stratum.label: stratum for stratum in found.strata if stratum.column == "ward"}


def run(*, seeds: int = 20, rows: int = 6000, null_rows: int = 1500) -> Answers:
    """Count how often each answer is right.

    Args:
        seeds: Number of seeds.
        rows: Rows of the tables with a planted truth.
        null_rows: Rows of the tables without one.

    Returns:
        Shares of seeds.
    """
    counted: list[list[bool]] = []
    for seed in range(seeds):
        found = reasons(seed, rows=rows)
        place = {driver.name: k for k, driver in enumerate(found.drivers)}
        q = {driver.name: driver.q for driver in found.drivers}
        trait = {one.name: abs(one.correlation) for one in found.groups}
        null = reasons(seed, rows=null_rows, planted=False)
        judged = wards(seed, rows=rows)
        intensive, annex = judged["intensive"].reason, judged["annex"].reason
        counted.append(
            [
                max(place[name] for name in TRUE_COLUMNS)
                < min(place[name] for name in NOISE_COLUMNS),
                all(q[name] < 0.05 for name in TRUE_COLUMNS),
                any(q[name] < 0.05 for name in NOISE_COLUMNS),
                trait["mean of training rows"] > trait["mean of beds"],
                any(driver.q < 0.05 for driver in null.drivers),
                not null.low <= 0.5 <= null.high,
                intensive.startswith("low by range restriction alone"),
                intensive.startswith("worse"),
                annex.startswith("worse"),
                annex.startswith("low by range restriction alone"),
            ]
        )
    return Answers(*(float(share) for share in np.mean(counted, axis=0)))


def main() -> None:
    """Print the shares at full size."""
    found = run()
    for name, value in vars(found).items():
        print(f"{name.replace('_', ' '):22} {value:.2f}")


if __name__ == "__main__":
    main()
