"""Every metric against scikit-learn, and its influences against derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import scikit_value, slope
from worlds import CASES, IDS, WORLDS, World

from elsewhere.core.errors import InputError
from elsewhere.core.metrics import METRICS, Metric, Resampled, get_metric, metric_names, top_k_hit
from elsewhere.core.metrics.mix import with_mix
from elsewhere.core.metrics.resampled import SCORERS
from elsewhere.testing import check_metric

N_CELLS = 3


def cells(n: int) -> np.ndarray:
    return np.random.default_rng(3).permutation(n) % N_CELLS


def weights(n: int) -> list[np.ndarray | None]:
    rng = np.random.default_rng(4)
    return [None, rng.integers(1, 4, n).astype(float), rng.uniform(0.1, 3, n)]


@pytest.mark.parametrize(("name", "world"), CASES, ids=IDS)
def test_values_equal_scikit_learn(name: str, world: World) -> None:
    metric = get_metric(name)
    if isinstance(metric, Resampled):
        metric.folds = 2  # values do not depend on them
    data = metric.prepare(world.y, world.prediction)
    cell = cells(len(world.y))
    for weight in weights(len(cell)):
        if weight is not None and name.startswith("roc_auc_ovo"):  # scikit-learn takes none either
            continue
        found = metric.evaluate(data, weight, cell, N_CELLS, np.arange(len(cell)))
        for c in range(N_CELLS):
            own = cell == c
            y, prediction = world.y[own], world.prediction[own]
            w = None if weight is None else weight[own]
            if name == "mean":
                expected = np.average(prediction, weights=w)
            else:
                if (
                    world.name == "two classes"
                    and metric.needs == "probability"
                    and (name.startswith(("roc_auc", "top_k")))
                ):
                    prediction = np.stack([1 - prediction, prediction], axis=1)
                    if name.startswith("roc_auc"):
                        prediction = prediction[:, 1]
                expected = scikit_value(
                    "roc_auc"
                    if world.name == "two classes" and name.startswith("roc_auc")
                    else name,
                    y,
                    prediction,
                    w,
                    metric.needs,
                )
            assert found.value[c] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "world"),
    [c for c in CASES if c[0] in METRICS],
    ids=[i for i, c in zip(IDS, CASES, strict=True) if c[0] in METRICS],
)
def test_influences_are_derivatives_and_sum_to_zero(name: str, world: World) -> None:
    metric = get_metric(name)
    data = metric.prepare(world.y, world.prediction)
    cell = cells(len(world.y))
    unit = np.arange(len(cell))
    for weight in weights(len(cell))[:2]:
        found = metric.evaluate(data, weight, cell, N_CELLS, unit)
        sums = np.bincount(cell, found.influence)
        np.testing.assert_allclose(sums, 0, atol=1e-12)
        w = np.ones(len(cell)) if weight is None else weight
        for row in np.random.default_rng(5).choice(len(cell), 10, replace=False):
            expected = slope(metric, data, w, cell, N_CELLS, row)
            assert found.influence[row] == pytest.approx(expected, abs=1e-8)


CHECKED = [
    (name, world)
    for name, world in CASES
    if not (name == "top_k_accuracy" and world.name == "two classes")  # 1 by definition
]


@pytest.mark.parametrize(("name", "world"), CHECKED, ids=[f"{n}-{w}" for n, w in CHECKED])
def test_every_metric_keeps_its_promises(name: str, world: World) -> None:
    metric = get_metric(name)
    if isinstance(metric, Resampled):
        metric.folds = 2 if name in SLOW else 4
    check_metric(metric, y=world.y, prediction=world.prediction)


@pytest.mark.parametrize("mix", ["balanced", "matched"])
def test_class_mix_is_the_mean_of_class_means(mix: str) -> None:
    world = WORLDS["label"][1]
    metric = with_mix(get_metric("accuracy"), mix)
    cell = cells(len(world.y))
    found = metric.evaluate(
        metric.prepare(world.y, world.prediction), None, cell, N_CELLS, np.arange(len(cell))
    )
    share = np.bincount(world.y) / len(world.y) if mix == "matched" else np.full(4, 0.25)
    right = world.y == world.prediction
    for c in range(N_CELLS):
        by_class = [right[(cell == c) & (world.y == k)].mean() for k in range(4)]
        assert found.value[c] == pytest.approx(share @ by_class, abs=1e-12)


def test_a_class_mix_refuses_what_is_no_mean_over_rows_with_classes() -> None:
    with pytest.raises(InputError, match="mix"):
        with_mix(get_metric("roc_auc"), "balanced")


def test_delete_a_group_error_of_a_mean_is_the_usual_one() -> None:
    rng = np.random.default_rng(0)
    y, p = np.zeros(400), rng.normal(size=400)
    metric = Resampled(
        "mean error",
        lambda y, p, w: float(np.average((p - y) ** 2, weights=w)),
        greater_is_better=False,
        needs="value",
        takes_weights=True,
        folds=400,
    )
    found = metric.evaluate(metric.prepare(y, p), None, np.zeros(400, int), 1, np.arange(400))
    usual = (p**2).var(ddof=1) / 400
    # With one fold a row, the jackknife variance of a mean is exactly the usual one.
    assert found.unit is not None
    k = 400
    total = np.bincount(found.unit, found.influence)
    assert k / (k - 1) * total @ total == pytest.approx(usual, rel=1e-9)


def fold_variance(metric: Metric, world: World) -> float:
    n = len(world.y)
    data = metric.prepare(world.y, world.prediction)
    found = metric.evaluate(data, None, np.zeros(n, int), 1, np.arange(n))
    assert found.unit is not None
    total = np.bincount(found.unit, found.influence)
    return float(total @ total)


# A median moves in jumps, so one sample's error of it is rough: it is right on average, below.
SLOW = {"roc_auc_ovo", "roc_auc_ovo_weighted"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name in SLOW))
        for name in sorted(set(SCORERS) - {"neg_median_absolute_error"})
    ],
)
def test_fold_errors_are_near_the_bootstrap(name: str) -> None:
    world = WORLDS[SCORERS[name]][1 if SCORERS[name] == "probability" else 0]
    n = len(world.y)
    error = np.sqrt(np.mean([fold_variance(get_metric(name, seed=s), world) for s in range(6)]))
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(150):
        rows = rng.integers(0, n, n)
        draws.append(scikit_value(name, world.y[rows], world.prediction[rows], None, SCORERS[name]))
    assert error == pytest.approx(np.std(draws), rel=0.2)


def test_fold_errors_of_a_median_are_right_on_average() -> None:
    rng = np.random.default_rng(0)
    worlds = [World("normal", rng.normal(size=1000), np.zeros(1000)) for _ in range(40)]
    metric = get_metric("neg_median_absolute_error")
    found = np.sqrt(np.mean([fold_variance(metric, world) for world in worlds]))
    truth = np.median(np.abs(rng.normal(size=(2000, 1000))), axis=1).std()
    assert found == pytest.approx(truth, rel=0.15)


def test_a_function_of_the_user_is_a_metric_that_refuses_weights() -> None:
    metric = get_metric(lambda y, p: float(np.mean(y == p)))
    y = np.arange(200) % 2
    check_metric(metric, y=y, prediction=np.where(np.arange(200) % 3, y, 1 - y), best=y)
    with pytest.raises(InputError, match="weight"):
        metric.evaluate(metric.prepare(y, y), np.ones(200), y, 2, np.arange(200))


def test_a_failing_function_gives_a_reason() -> None:
    def broken(y: np.ndarray, p: np.ndarray) -> float:
        raise ValueError("three classes needed")

    metric = get_metric(broken)
    y = np.arange(20)
    found = metric.evaluate(metric.prepare(y, y), None, y % 2, 2, y)
    assert np.isnan(found.value).all()
    assert found.reason == ("three classes needed",) * 2


def test_top_k_hits_of_sets_and_ties() -> None:
    score = np.array([[1.0, 2, 3], [1, 1, 1], [0, 0, 1], [5, 4, 3]])
    assert top_k_hit(score, [0, 0, 1, 2], 1).tolist() == [0, 1, 0, 0]
    assert top_k_hit(score, [[0, 2], [1], [0, 1], [1, 2]], 1).tolist() == [1, 0, 0, 0]
    assert top_k_hit(score, [[0, 2], [1], [0, 1], [1, 2]], 2).tolist() == [1, 1, 1, 1]
    assert top_k_hit(score, [[], [1], [], [2]], 3).tolist() == [0, 1, 0, 1]
    for k in (0, 4):
        with pytest.raises(InputError, match="k"):
            top_k_hit(score, [0, 0, 0, 0], k)


def test_top_k_hits_equal_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 4, (200, 6)).astype(float)
    allowed = [rng.choice(6, rng.integers(1, 4), replace=False).tolist() for _ in range(200)]
    for k in (1, 2, 5):
        largest = np.argsort(-score, axis=1, kind="stable")[:, :k]
        expected = [bool(set(a) & set(b.tolist())) for a, b in zip(allowed, largest, strict=True)]
        assert top_k_hit(score, allowed, k).astype(bool).tolist() == expected


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'roc_auc'"):
        get_metric("roc_aux")


def test_every_scikit_learn_scorer_is_here_or_known_to_be_left_out() -> None:
    from sklearn.metrics import get_scorer_names

    compare_partitions_or_derived = {
        "adjusted_mutual_info_score",
        "adjusted_rand_score",
        "completeness_score",
        "fowlkes_mallows_score",
        "homogeneity_score",
        "mutual_info_score",
        "normalized_mutual_info_score",
        "rand_score",
        "v_measure_score",  # clusterings
        "positive_likelihood_ratio",
        "neg_negative_likelihood_ratio",  # infinite by nature
        "neg_max_error",  # a maximum has no sampling error of this kind
        "d2_brier_score",
        "d2_log_loss_score",  # newer than the oldest scikit-learn we take
    }
    missing = set(get_scorer_names()) - set(metric_names())
    assert missing <= compare_partitions_or_derived


@pytest.mark.parametrize(
    ("name", "y", "prediction", "argument"),
    [
        ("accuracy", [0, 1], [0.2, 0.7], "prediction"),
        ("accuracy", ["a", "b"], [0, 1], "prediction"),
        ("accuracy", [0, 1], [[0.2, 0.8], [0.5, 0.5]], "prediction"),
        ("roc_auc", [0, 1, 2], [0.1, 0.2, 0.3], "target"),
        ("roc_auc", [1, 1, 1], [0.1, 0.2, 0.3], "target"),
        ("roc_auc", [0, 1], ["x", "y"], "score"),
        ("roc_auc", [0, 1], [0.1, np.inf], "score"),
        ("log_loss", [0, 1], [0.1, 1.2], "score"),
        ("log_loss", [0, 5], [[0.1, 0.2, 0.7]] * 2, "score"),
        ("r2", ["a", "b"], [0.1, 1.2], "target"),
        ("mean_squared_log_error", [-2.0, 1], [0.1, 1.2], "target or prediction"),
        ("f1", [0, 1, 2], [0, 1, 2], "metric"),
        ("f1_samples", [0, 1, 2], [0, 1, 2], "target"),
        ("r2", None, [0.1, 1.2], "y"),
        ("mean", None, ["a"], "prediction"),
    ],
)
def test_predictions_of_the_wrong_kind_name_the_argument(
    name: str, y: list | None, prediction: list, argument: str
) -> None:
    metric = get_metric(name)
    n = len(prediction)

    def evaluate() -> None:
        data = metric.prepare(None if y is None else np.array(y), np.array(prediction))
        metric.evaluate(data, None, np.zeros(n, int), 1, np.arange(n))

    with pytest.raises(InputError) as caught:
        evaluate()
    assert caught.value.argument == argument


def test_classes_name_the_columns_where_the_target_lacks_some() -> None:
    metric = get_metric("log_loss")
    p = np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
    data = metric.prepare(np.array(["c", "b"], dtype=object), p, ["a", "b", "c"])
    found = metric.evaluate(data, None, np.zeros(2, int), 1, np.arange(2))
    assert found.value[0] == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    with pytest.raises(InputError, match="classes"):
        metric.prepare(np.array(["c", "b"], dtype=object), p, ["a", "b"])


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "recall", "roc_auc_ovr"])
def test_a_class_of_weight_0_is_absent(name: str) -> None:
    world = WORLDS[get_metric(name).needs][0]
    metric = get_metric(name)
    n = len(world.y)
    weight = (world.y == 0).astype(float)
    found = metric.evaluate(
        metric.prepare(world.y, world.prediction), weight, np.zeros(n, int), 1, np.arange(n)
    )
    assert np.isnan(found.value[0])
    assert found.reason[0]
    assert np.isfinite(found.influence).all()


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_one_row_is_a_reason_and_no_warning(name: str) -> None:
    for world in WORLDS[SCORERS[name]][:2]:
        metric = get_metric(name)
        data = metric.prepare(world.y, world.prediction)
        cell = np.ones(len(world.y), dtype=int)
        cell[0] = 0
        metric.folds = 2
        found = metric.evaluate(data, None, cell, 2, np.arange(len(cell)))
        assert np.isnan(found.value[0])
        assert found.reason[0]
