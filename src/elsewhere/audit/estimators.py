"""What is fitted: two built-in estimators, or the user's own by `module:object`."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from elsewhere.core.arrays import Floats
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from elsewhere.core.arrays import Integers, Objects

Kind: TypeAlias = Literal["classification", "regression"]
How: TypeAlias = Literal["predict_proba", "decision_function", "predict"]

BUILT_IN = ("boosting", "linear")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to make, fit and ask a model.

    Args:
        name: Name in reports.
        kind: Classes or numbers.
        template: An estimator that is never fitted itself; fits use copies of it. A function of
            (number of columns, positions of categorical columns) for the built-in ones.
        takes: Whether it gets the matrix of numbers or a DataFrame with the columns as read.
        how: Which method gives its predictions.
        n_classes: Number of classes; 0 for numbers.
    """

    name: str
    kind: Kind
    template: Any
    takes: Literal["matrix", "frame"]
    how: How
    n_classes: int = 0

    def make(self, seed: int, n_columns: int, categorical: tuple[int, ...]) -> Any:
        """Make an unfitted estimator.

        Args:
            seed: Seed for every `random_state` that it has.
            n_columns: Number of columns.
            categorical: Positions of the categorical ones.

        Returns:
            A fresh estimator.
        """
        if self.takes == "matrix":
            estimator = self.template(n_columns, categorical)
        else:
            estimator = _copy(self.template)
        seeds = generator(seed, "random states")
        if hasattr(estimator, "get_params"):
            names = sorted(
                name
                for name in estimator.get_params(deep=True)
                if name == "random_state" or name.endswith("__random_state")
            )
            if names:
                estimator.set_params(**{name: int(seeds.integers(2**31 - 1)) for name in names})
        return estimator


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one fit gave.

    Args:
        prediction: Predictions for the asked rows, shape (rows,) or (rows, classes).
        fit_seconds: Time of the fit.
        predict_seconds: Time of the predictions.
        warned: Warnings, as category and first line.
        chosen: What was chosen before the fit, in words; empty if nothing was.
        choice_fits: Fits that the choice took.
    """

    prediction: Floats
    fit_seconds: float
    predict_seconds: float
    warned: tuple[str, ...]
    chosen: str = ""
    choice_fits: int = 0


def resolve(given: Any) -> Any:
    """Turn what the user named into a built-in name or an unfitted estimator.

    Args:
        given: "boosting", "linear", "module:object", an estimator, or a class or function without
            arguments that makes one.

    Returns:
        The name, or an object with `fit` and `predict`.

    Raises:
        InputError: No such estimator, or an object that cannot be fitted.
    """
    if isinstance(given, str) and given in BUILT_IN:
        return given
    found, name = load_object(given) if isinstance(given, str) else (given, type(given).__name__)
    if isinstance(found, type):
        found = _called(found, found.__name__)
    elif not hasattr(found, "fit") and callable(found):
        found = _called(found, name)
    for method in ("fit", "predict"):
        if not callable(getattr(found, method, None)):
            raise InputError(
                "--estimator",
                f"{type(found).__name__} has no method {method!r}",
                "an estimator with fit(X, y) and predict(X), as scikit-learn's have",
            )
    return found


def kind_said(estimator: Any) -> Kind | None:
    """Say what an estimator is for, where it knows: classes or numbers."""
    if hasattr(estimator, "__sklearn_tags__"):
        base = untyped("sklearn.base")
        if base.is_classifier(estimator):
            return "classification"
        return "regression" if base.is_regressor(estimator) else None
    told = getattr(estimator, "_estimator_type", None)
    return {"classifier": "classification", "regressor": "regression"}.get(told)  # pyright: ignore[reportReturnType, reportArgumentType]


def make_recipe(estimator: Any, kind: Kind, n_classes: int) -> Recipe:
    """Say how models are made, fitted and asked.

    Args:
        estimator: A built-in name, or an unfitted estimator.
        kind: Classes or numbers.
        n_classes: Number of classes; 0 for numbers.

    Returns:
        The recipe.

    Raises:
        InputError: An estimator for the other kind of target.
    """
    if isinstance(estimator, str):
        make = {"boosting": boosting, "linear": linear}[estimator]
        how: How = "predict" if kind == "regression" else "predict_proba"
        return Recipe(estimator, kind, _BuiltIn(make, kind), "matrix", how, n_classes)
    name = type(estimator).__name__
    if kind_said(estimator) not in (None, kind):
        other, own = ("numbers", "classes") if kind == "classification" else ("classes", "numbers")
        raise InputError(
            "--estimator",
            f"{name} is for {other}, and the target is taken as {own}",
            f"an estimator of {own}",
        )
    return Recipe(name, kind, estimator, "frame", _method_of(estimator, kind), n_classes)


def load_object(spec: str) -> tuple[Any, str]:
    """Import the user's object; this runs the code of its module.

    Args:
        spec: "module:object"; the module is looked for in the working directory too.

    Returns:
        The object and its name.

    Raises:
        InputError: Another form, or nothing there.
    """
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        raise InputError(
            "--estimator",
            f"is {spec!r}",
            "boosting, linear, or module:object",
            nearest(spec, BUILT_IN),
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            "--estimator",
            f"names module {module_name!r}, which cannot be imported ({error})",
            "a module on the path or in the working directory",
            "run from the folder that holds it",
        ) from None
    except Exception as error:
        raise InputError(
            "--estimator",
            f"module {module_name!r} raises {_told(error)} when imported",
            "a module that can be imported",
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [n for n in dir(found) if not n.startswith("_")]
            raise InputError(
                "--estimator",
                f"{module_name!r} has no {part!r}",
                "an object of the module",
                nearest(part, names),
            )
        found = getattr(found, part)
    return found, attribute


def _called(make: Callable[[], Any], name: str) -> Any:
    """Call a class or a function without arguments."""
    try:
        return make()
    except Exception as error:
        raise InputError(
            "--estimator",
            f"{name}() raises {_told(error)}",
            "an estimator, or a class or function that makes one without arguments",
        ) from error


def _method_of(estimator: Any, kind: Kind) -> How:
    """Choose the method that gives the richest predictions."""
    if kind == "classification":
        for method in ("predict_proba", "decision_function"):
            if callable(getattr(estimator, method, None)):
                return cast("How", method)
    return "predict"


def _copy(estimator: Any) -> Any:
    """Copy an unfitted estimator, with scikit-learn's clone where it can."""
    if hasattr(estimator, "get_params"):
        return untyped("sklearn.base").clone(estimator)
    return deepcopy(estimator)


def _told(error: BaseException) -> str:
    """Name an error with the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


# --- the built-in estimators ----------------------------------------------------------------------


@dataclass(frozen=True)
class _BuiltIn:
    """A built-in estimator for one kind of target; a plain object, so that workers can take it."""

    make: Callable[..., Any]
    kind: Kind
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, n_columns: int, categorical: tuple[int, ...]) -> Any:
        return self.make(self.kind, n_columns, categorical, **self.settings)


def boosting(kind: Kind, n_columns: int, categorical: tuple[int, ...], **settings: Any) -> Any:
    """Make scikit-learn's histogram gradient boosting: 40 trees of 31 leaves, learning rate .3.

    Args:
        kind: Classes or numbers.
        n_columns: Number of columns.
        categorical: Positions of columns with codes.
        **settings: Settings that differ.

    Returns:
        The estimator; it takes missing values.
    """
    ensemble = untyped("sklearn.ensemble")
    made = {
        "classification": ensemble.HistGradientBoostingClassifier,
        "regression": ensemble.HistGradientBoostingRegressor,
    }[kind]
    mask = np.isin(np.arange(n_columns), categorical)
    usual = {"max_iter": 40, "learning_rate": 0.3, "max_leaf_nodes": 31, "early_stopping": False}
    return made(
        categorical_features=mask if mask.any() else None, random_state=0, **(usual | settings)
    )


def linear(
    kind: Kind,
    n_columns: int,
    categorical: tuple[int, ...],
    *,
    penalty: float = 1.0,
    model: Any = None,
) -> Any:
    """Make logistic or ridge regression on standardised numbers and one-hot codes.

    Args:
        kind: Classes or numbers.
        n_columns: Number of columns.
        categorical: Positions of columns with codes; values in fewer than 10 rows share a column.
        penalty: Strength of the penalty.
        model: What comes after the columns instead of logistic or ridge regression.

    Returns:
        A pipeline; missing numbers take the median of the training rows.
    """
    compose, impute, models, pipeline, prepare = (
        untyped(f"sklearn.{name}")
        for name in ("compose", "impute", "linear_model", "pipeline", "preprocessing")
    )
    numeric = [i for i in range(n_columns) if i not in categorical]
    numbers = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median", keep_empty_features=True), prepare.StandardScaler()
    )
    texts = prepare.OneHotEncoder(
        min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    columns = compose.ColumnTransformer(
        [("numbers", numbers, numeric), ("texts", texts, list(categorical))]
    )
    if model is None and kind == "classification":
        model = models.LogisticRegression(C=1 / penalty, solver="newton-cholesky", max_iter=200)
    elif model is None:
        model = models.Ridge(alpha=penalty)
    return pipeline.Pipeline([("columns", columns), ("model", model)])


# --- one fit -----------------------------------------------------------------------------------


def pick_rows(table: Any, rows: Integers) -> Any:
    """Copy rows out of a matrix or a DataFrame, so that an estimator may write to them.

    Args:
        table: The matrix or the DataFrame.
        rows: Indices.

    Returns:
        A table of the same kind.
    """
    return table.iloc[rows] if hasattr(table, "iloc") else table[rows]


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model and how to ask it.

    Args:
        recipe: What was fitted.
        model: The model.
        what: Name of the fit in messages.
    """

    recipe: Recipe
    model: Any
    what: str

    def predict(self, table: Any) -> Floats:
        """Predict rows.

        Args:
            table: Rows with the columns that it was fitted on.

        Returns:
            Probabilities by class code, one score, or numbers.

        Raises:
            InputError: The model raises, or gives predictions of a wrong shape or NaN.
        """
        n = len(table)
        try:
            raw: Any = getattr(self.model, self.recipe.how)(table)
        except (KeyboardInterrupt, MemoryError, InputError):
            raise
        except Exception as error:
            raise _raised(self.recipe, error, self.what) from error
        return _checked(self.recipe, raw, n, getattr(self.model, "classes_", None), self.what)


def fit_model(
    recipe: Recipe,
    table: Any,
    y: Objects,
    *,
    categorical: tuple[int, ...] = (),
    seed: int,
    what: str,
    options: Mapping[str, Any] | None = None,
) -> FittedModel:
    """Fit one model on a table of its own.

    Args:
        recipe: What to fit.
        table: The training rows; the estimator may write to them.
        y: Class codes or numbers.
        categorical: Positions of the columns with codes, for the built-in estimators.
        seed: Seed of the estimator.
        what: Name of the fit in messages.
        options: More arguments of `fit`, such as weights.

    Returns:
        The fitted model.

    Raises:
        InputError: The estimator raises.
    """
    try:
        model = recipe.make(seed, table.shape[1], categorical)
        model.fit(table, y, **(options or {}))
    except (KeyboardInterrupt, MemoryError, InputError):
        raise
    except Exception as error:
        raise _raised(recipe, error, f"{what}, {len(y)} training rows") from error
    return FittedModel(recipe, model, what)


def fit_and_predict(
    recipe: Recipe,
    table: Any,
    y: Objects,
    train: Integers,
    test: Integers,
    *,
    categorical: tuple[int, ...] = (),
    seed: int,
    what: str,
    options: Mapping[str, Any] | None = None,
) -> Outcome:
    """Fit one model on some rows and predict others, with one thread.

    Args:
        recipe: What to fit.
        table: The matrix or the DataFrame of all rows.
        y: Class codes or numbers of all rows.
        train: Rows to fit on.
        test: Rows to predict.
        categorical: Positions of the columns with codes, for the built-in estimators.
        seed: Seed of the estimator.
        what: Name of the fit in messages.
        options: More arguments of `fit`, such as weights.

    Returns:
        The predictions.

    Raises:
        InputError: The estimator raises, or gives predictions of a wrong shape or NaN.
    """
    limits = untyped("threadpoolctl").threadpool_limits
    with warnings.catch_warnings(record=True) as caught, limits(1):
        warnings.simplefilter("always")
        started = time.perf_counter()
        model = fit_model(
            recipe,
            pick_rows(table, train),
            y[train],
            categorical=categorical,
            seed=seed,
            what=what,
            options=options,
        )
        fitted = time.perf_counter()
        prediction = model.predict(pick_rows(table, test))
        done = time.perf_counter()
    warned = sorted({f"{w.category.__name__}: {str(w.message).splitlines()[0]}" for w in caught})
    return Outcome(prediction, fitted - started, done - fitted, tuple(warned))


def _raised(recipe: Recipe, error: Exception, what: str) -> InputError:
    """Say that the estimator failed, and what it was given."""
    matrix = recipe.takes == "matrix"
    return InputError(
        "--estimator",
        f"{recipe.name} raised {_told(error)} ({what})",
        "an estimator that fits and predicts the table's columns"
        if matrix
        else "an estimator that takes a DataFrame with the columns as they are",
        "" if matrix else "--feature to choose columns, or a pipeline that codes text",
    )


def _checked(recipe: Recipe, raw: Any, n: int, classes: Any, what: str) -> Floats:
    """Bring predictions into one form: probabilities by class code, one score, or numbers."""
    try:
        found = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise _odd(recipe, "are no numbers", what) from None
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    columns = recipe.n_classes
    if found.shape[:1] != (n,) or found.ndim > 2 or (recipe.how == "predict" and found.ndim != 1):
        raise _odd(recipe, f"have shape {found.shape} for {n} rows", what)
    if not np.isfinite(found).all():
        raise _odd(recipe, f"hold {int((~np.isfinite(found)).sum())} NaN or infinite values", what)
    if recipe.how == "predict":
        return found
    if found.ndim == 2 and columns:
        given: Any = range(found.shape[1]) if classes is None else classes
        place: Integers = np.asarray(given, dtype=np.int64)
        if len(place) != found.shape[1] or int(place.max()) >= columns:
            raise _odd(recipe, f"have {found.shape[1]} columns for {columns} classes", what)
        unknown = 0.0 if recipe.how == "predict_proba" else float(found.min()) - 1.0
        whole = np.full((n, columns), unknown)  # classes that the training rows lack
        whole[:, place] = found
        found = whole
        return found[:, 1] if columns == 2 else found
    if found.ndim == 1 and recipe.n_classes == 2:
        return found
    raise _odd(recipe, f"have shape {found.shape} for {recipe.n_classes} classes", what)


def _odd(recipe: Recipe, problem: str, what: str) -> InputError:
    """Refuse predictions."""
    return InputError(
        "--estimator",
        f"{recipe.name}: its {recipe.how} values {problem} ({what})",
        "one finite prediction a row, or one column a class",
        "check the estimator on a few rows of the table",
    )
