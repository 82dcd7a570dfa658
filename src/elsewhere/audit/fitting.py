"""Run a plan: every model once, in warm processes with one thread each; finished fits are kept."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from zipfile import BadZipFile

import numpy as np

from elsewhere.audit.estimators import Outcome, Recipe, fit_and_predict
from elsewhere.audit.ground import Features, Ground
from elsewhere.core.arrays import Floats, Integers, digest
from elsewhere.core.errors import InputError
from elsewhere.core.files import write_together
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from elsewhere.audit.designs import Fit, Plan

T = TypeVar("T")

Step: TypeAlias = Callable[[int, int, str], None]
"""Called with (done, total, what) as work advances."""

SMALL = 2.0
"""Seconds of fits below which starting processes is not worth their start."""


@dataclass(frozen=True)
class Cost:
    """What a plan costs.

    Args:
        fits: Number of fits.
        rows: Training rows over all fits.
        seconds: Time of all fits and predictions on one core: an estimate from two small fits
            before they run, the sum of what was measured after.
        cores: Processes that share them.
    """

    fits: int
    rows: int
    seconds: float
    cores: int

    def __str__(self) -> str:
        each = self.seconds / max(self.cores, 1)
        long = f"{each / 60:.0f} min" if each >= 90 else f"{max(each, 1):.0f} s"
        return (
            f"{self.fits} fits on {self.rows / max(self.fits, 1):,.0f} rows on average, about "
            f"{long} on {self.cores} core{'s' if self.cores != 1 else ''}"
        )


@dataclass(frozen=True, eq=False)
class Variant:
    """One set of features.

    Args:
        name: Name of its model in the report.
        features: What the model learns from.
    """

    name: str
    features: Features


@dataclass(frozen=True, eq=False)
class Fitted:
    """Predictions of all fits of one variant.

    Args:
        variant: The features.
        predictions: One entry a fit of the plan, for its test rows; None for fits that only
            explain, beyond the first set of features.
        seconds: Time of its fits and predictions.
        warned: How many fits gave each warning.
    """

    variant: Variant
    predictions: tuple[Floats | None, ...]
    seconds: float
    warned: dict[str, int]

    def of(self, fit: int) -> Floats:
        """Predictions of one fit that was run."""
        prediction = self.predictions[fit]
        if prediction is None:
            raise IndexError(fit)
        return prediction


def cores(jobs: int | None) -> int:
    """Number of processes: all cores where nothing is asked."""
    available = untyped("joblib").cpu_count()
    return int(available) if jobs is None or jobs == -1 else jobs


def estimate(
    ground: Ground,
    plan: Plan,
    recipe: Recipe,
    variants: tuple[Variant, ...],
    jobs: int,
    seed: int,
    more: Sequence[tuple[int, int]] = (),
) -> Cost:
    """Fit two small models to learn what all fits cost, and to find a broken estimator early.

    Args:
        ground: The table.
        plan: All fits.
        recipe: What is fitted.
        variants: The sets of features.
        jobs: Processes.
        seed: Seed.
        more: Further fits: (training rows, rows to predict).

    Returns:
        The cost, from the time of the two fits taken as linear in the rows.

    Raises:
        InputError: The estimator fails.
    """
    features = variants[0].features
    table = _table(recipe, features)
    longest = max(plan.fits, key=lambda fit: len(fit.train)).train
    rng = generator(seed, "trial rows")
    fit_time: list[float] = []
    predict_time = 0.0
    sizes = sorted({min(len(longest), 500), min(len(longest), 4_000)})
    for size in sizes:
        rows = _with_all_classes(ground, rng.permutation(longest), size)
        found = fit_and_predict(
            recipe,
            table,
            ground.target,
            rows,
            rows,
            categorical=features.codes_at(),
            seed=seed,
            what="a trial fit on few rows",
        )
        fit_time.append(found.fit_seconds)
        predict_time = found.predict_seconds / size
    slope = (fit_time[-1] - fit_time[0]) / max(sizes[-1] - sizes[0], 1)
    slope = max(slope, 0.1 * fit_time[-1] / sizes[-1])
    planned = [plan.fits[f] for _, f in all_tasks(plan, len(variants))]
    fits = [*((len(fit.train), len(fit.test)) for fit in planned), *more]
    trained, tested = (sum(sizes) for sizes in zip(*fits, strict=True))
    seconds = len(fits) * fit_time[0] + trained * slope + tested * predict_time
    return Cost(len(fits), trained, seconds, jobs)


def all_tasks(plan: Plan, n_variants: int) -> list[tuple[int, int]]:
    """List what must be fitted, the longest first.

    Args:
        plan: The fits.
        n_variants: Sets of features; fits that only explain run for the first of them.

    Returns:
        Pairs of (variant, fit).
    """
    tasks = [
        (v, f)
        for v in range(n_variants)
        for f, fit in enumerate(plan.fits)
        if v == 0 or not fit.explains
    ]
    return sorted(tasks, key=lambda task: -len(plan.fits[task[1]].train))


def _with_all_classes(ground: Ground, rows: Integers, size: int) -> Integers:
    """Take some rows with at least one of each class that the rows hold."""
    taken = rows[:size]
    if ground.kind == "classification":
        _, first = np.unique(ground.target[rows], return_index=True)
        taken = np.union1d(taken, rows[first])
    return np.sort(taken)


def run(
    ground: Ground,
    plan: Plan,
    recipe: Recipe,
    variants: tuple[Variant, ...],
    *,
    jobs: int,
    seed: int,
    small: bool = False,
    keep: Path | None = None,
    on_step: Step,
) -> tuple[Fitted, ...]:
    """Fit every model of a plan, for every set of features.

    Args:
        ground: The table.
        plan: What to fit.
        recipe: The estimator.
        variants: Sets of features.
        jobs: Processes; the result is the same for any number.
        seed: Seed of the estimators.
        small: Whether the work is too small for processes of its own.
        keep: Folder in which finished fits are kept, so that a broken run goes on from there.
        on_step: Called after each fit.

    Returns:
        Predictions, one entry a variant.

    Raises:
        InputError: A fit fails.
    """
    tasks = all_tasks(plan, len(variants))
    stores = [
        None if keep is None else Store(keep, identity(ground, recipe, variant, seed))
        for variant in variants
    ]
    found: dict[tuple[int, int], Outcome] = {}
    for v, f in tasks:
        store = stores[v]
        known = None if store is None else store.load(plan.fits[f])
        if known is not None:
            found[v, f] = known
    missing = [task for task in tasks if task not in found]
    if found:
        on_step(len(found), len(tasks), f"{len(found)} fits were kept from an earlier run")
    results = _outcomes(ground, plan, recipe, variants, missing, 1 if small else jobs, seed)
    for (v, f), outcome in zip(missing, results, strict=True):
        found[v, f] = outcome
        if (store := stores[v]) is not None:
            store.save(plan.fits[f], outcome)
        on_step(len(found), len(tasks), plan.fits[f].name)
    fitted: list[Fitted] = []
    for v, variant in enumerate(variants):
        of_variant = [found.get((v, f)) for f in range(len(plan.fits))]
        outcomes = [outcome for outcome in of_variant if outcome is not None]
        fitted.append(
            Fitted(
                variant,
                tuple(None if one is None else one.prediction for one in of_variant),
                sum(outcome.fit_seconds + outcome.predict_seconds for outcome in outcomes),
                dict(Counter(warning for outcome in outcomes for warning in outcome.warned)),
            )
        )
    return tuple(fitted)


def _outcomes(
    ground: Ground,
    plan: Plan,
    recipe: Recipe,
    variants: tuple[Variant, ...],
    tasks: list[tuple[int, int]],
    jobs: int,
    seed: int,
) -> Iterable[Outcome]:
    """Yield the outcomes of tasks in their order, from processes where there are several."""
    tables = [_table(recipe, variant.features) for variant in variants]

    def arguments(v: int, f: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        fit = plan.fits[f]
        options: dict[str, Any] = {
            "categorical": variants[v].features.codes_at(),
            "seed": int(generator(seed, "fit", fit.name).integers(2**31 - 1)),
            "what": fit.name,
        }
        return (recipe, tables[v], ground.target, fit.train, fit.test), options

    return in_processes(_fit_and_predict, [arguments(*task) for task in tasks], jobs)


def _fit_and_predict(arguments: tuple[Any, ...], options: dict[str, Any]) -> Outcome:
    """Fit one model of a plan."""
    return fit_and_predict(*arguments, **options)


def in_processes(
    function: Callable[..., T], calls: Sequence[tuple[Any, ...]], jobs: int
) -> Iterable[T]:
    """Call a function again and again, in warm processes with one thread each.

    Args:
        function: A function of a module.
        calls: Its arguments; large arrays that several calls share are sent once.
        jobs: Processes; with one, or for a single call, everything happens in this one.

    Returns:
        The answers in the order of the calls, as they come.
    """
    if jobs == 1 or len(calls) < 2:
        return (function(*call) for call in calls)
    joblib = untyped("joblib")
    job = joblib.delayed(function)
    with _interrupts_held(), joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", max_nbytes="256K")
        return cast("Iterable[T]", parallel(job(*call) for call in calls))


@contextmanager
def _interrupts_held() -> Generator[None]:
    """Hold Ctrl-C back in this thread; what it starts meanwhile holds it back for good.

    A terminal interrupts all processes at once. Only this one is to say so: it ends the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has none.
        yield
        return
    # The start of these lets interrupts through again, so it comes first.
    for tracker in ("multiprocessing", "joblib.externals.loky.backend"):
        untyped(f"{tracker}.resource_tracker").ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _table(recipe: Recipe, features: Features) -> Any:
    """Take the features in the form that the estimator expects."""
    return features.matrix if recipe.takes == "matrix" else features.frame()


# --- finished fits -----------------------------------------------------------------------------


def identity(ground: Ground, recipe: Recipe, variant: Variant, seed: int, remedy: str = "") -> str:
    """Hash everything that decides a fit's predictions, apart from its rows.

    Args:
        ground: The table.
        recipe: What is fitted.
        variant: The features.
        seed: Seed.
        remedy: Name of what is done differently.

    Returns:
        The hash.
    """
    from importlib.metadata import version

    settings = "" if recipe.takes == "matrix" else _settings_of(recipe.template)
    text = "\x1e".join(
        [
            digest(ground.target, variant.features.matrix),
            *variant.features.names,
            recipe.name,
            recipe.how,
            settings,
            _source(recipe),
            str(seed),
            remedy,
            *(version(name) for name in ("elsewhere", "numpy", "scikit-learn")),
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _settings_of(template: Any) -> str:
    """Write down an estimator's settings."""
    if hasattr(template, "get_params"):
        return repr(methodcaller("get_params", deep=True)(template))
    return repr(cast("dict[str, Any]", vars(template)))


def _source(recipe: Recipe) -> str:
    """Hash the files that define the estimator's class and the classes of its parts."""
    if recipe.takes == "matrix":
        return ""
    parts: list[Any] = [recipe.template]
    if hasattr(recipe.template, "get_params"):
        parts += methodcaller("get_params", deep=True)(recipe.template).values()
    files: set[str] = set()
    for part in parts:
        try:
            files.add(inspect.getsourcefile(cast("Any", type(part))) or "")
        except TypeError:  # numbers, text and the like have no file
            continue
    return "".join(
        hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in sorted(files) if file
    )


def folder_for(keep: str | Path) -> Path:
    """Make the folder in which fits are kept.

    Args:
        keep: Its path.

    Returns:
        The folder.

    Raises:
        InputError: It cannot be made or written to.
    """
    folder = Path(keep)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            "--keep", f"({folder}) cannot be a folder ({error.strerror})", "a folder to write to"
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError("--keep", f"({folder}) cannot be written to", "a folder to write to")
    return folder


class Store:
    """Predictions of finished fits in a folder, found by content and never by name.

    Args:
        folder: Where they are.
        identity: Hash of table, features, estimator and seed.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity

    def _path(self, fit: Fit) -> Path:
        key = hashlib.sha256(
            f"{self.identity}{fit.name}{digest(fit.train, fit.test)}".encode()
        ).hexdigest()
        return self.folder / f"{key[:32]}.npz"

    def load(self, fit: Fit) -> Outcome | None:
        """Find an earlier outcome; a damaged file counts as none."""
        try:
            content = io.BytesIO(self._path(fit).read_bytes())
            with np.load(content, allow_pickle=False) as stored:
                prediction, times = stored["prediction"], stored["seconds"]
                warned = tuple(str(text) for text in stored["warned"])
                chosen, choice_fits = str(stored["chosen"]), int(stored["choice_fits"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
            return None
        if len(prediction) not in (0, len(fit.test)) or len(times) != 2:
            return None
        return Outcome(prediction, float(times[0]), float(times[1]), warned, chosen, choice_fits)

    def save(self, fit: Fit, outcome: Outcome) -> None:
        """Keep an outcome: whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            prediction=outcome.prediction,
            seconds=np.array([outcome.fit_seconds, outcome.predict_seconds]),
            warned=np.array(outcome.warned, dtype=str),
            chosen=np.array(outcome.chosen, dtype=str),
            choice_fits=np.array(outcome.choice_fits),
        )
        write_together({self._path(fit): buffer.getvalue()})
