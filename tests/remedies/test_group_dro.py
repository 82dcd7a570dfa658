"""Linear models with the smallest worst-group loss, and the certificate that they are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from elsewhere.core.errors import InputError
from elsewhere.remedies.group_dro import GroupDRO


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def planted(n: int = 600, minority: float = 0.1, classes: int = 2, seed: int = 1):
    """Rows whose second feature speaks for the other side in a minority."""
    g = rng(seed)
    x = g.normal(size=(n, 3))
    group = np.where(g.random(n) < minority, "few", "many")
    raw = x[:, 0] + np.where(group == "few", -2, 2) * x[:, 1] + g.logistic(size=n)
    if classes == 0:
        return x, raw, group
    return x, np.digitize(raw, np.linspace(-1, 1, classes + 1)[1:-1]), group


def losses_of(beta: np.ndarray, x, y, group, weight=None) -> np.ndarray:
    """Mean loss of each group at coefficients (outputs, features + 1), in loops."""
    weight = np.ones(len(x)) if weight is None else weight
    found = []
    for one in np.unique(group):
        total = size = 0.0
        for row, target, kin, w in zip(x, y, group, weight, strict=True):
            if kin != one:
                continue
            raw = beta[:, :-1] @ row + beta[:, -1]
            if beta.shape[0] == 1:
                raw = np.array([0.0, raw[0]])
            total += w * (np.log(np.exp(raw).sum()) - raw[target])
            size += w
        found.append(total / size)
    return np.array(found)


def beta_of(model) -> np.ndarray:
    return np.column_stack([model.coef_, model.intercept_])


@pytest.mark.parametrize(("classes", "adjustment"), [(2, 0.0), (3, 0.0), (2, 3.0)])
def test_the_epigraph_form_has_the_same_solution(classes: int, adjustment: float) -> None:
    x, y, _ = planted(90, classes=classes)
    group = rng(2).choice(list("abc"), 90, p=[0.6, 0.3, 0.1])
    outputs = 1 if classes == 2 else classes
    sizes = np.array([(group == one).sum() for one in "abc"])
    rows = [group == one for one in "abc"]
    penalty = 2.0

    def each(flat: np.ndarray) -> np.ndarray:
        raw = x @ flat[:-1].reshape(outputs, 4)[:, :3].T + flat[:-1].reshape(outputs, 4)[:, 3]
        raw = np.column_stack([np.zeros(90), raw]) if outputs == 1 else raw
        loss = np.log(np.exp(raw).sum(axis=1)) - raw[np.arange(90), y]
        return np.array([loss[own].mean() for own in rows]) + adjustment / np.sqrt(sizes)

    def bound(flat: np.ndarray) -> float:
        return penalty / 2 / 90 * (flat[:-1].reshape(outputs, 4)[:, :3] ** 2).sum()

    found = minimize(
        lambda flat: flat[-1] + bound(flat),
        np.append(np.zeros(outputs * 4), 5.0),
        constraints={"type": "ineq", "fun": lambda flat: flat[-1] - each(flat)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    model = GroupDRO(penalty=penalty, adjustment=adjustment).fit(x, y, group)
    beta = beta_of(model)
    assert model.losses_ == pytest.approx(losses_of(beta, x, y, group))
    value = (model.losses_ + adjustment / np.sqrt(sizes)).max()
    value += penalty / 2 / 90 * (model.coef_**2).sum()
    assert value == pytest.approx(found.fun, abs=2e-6)
    assert model.coef_ == pytest.approx(found.x[:-1].reshape(outputs, 4)[:, :3], abs=2e-3)
    assert 0 <= model.gap_ <= 1e-6 * 2
    assert model.converged_


def test_the_certificate_is_true() -> None:
    """The ordinary fit under the weights bounds every model's objective from below."""
    x, y, group = planted()
    for tolerance in (1e-1, 1e-3, 1e-8):
        model = GroupDRO(tolerance=tolerance).fit(x, y, group)
        row = np.zeros(600)
        for q, one in zip(model.q_, model.groups_, strict=True):
            own = group == one
            row[own] = 600 * q / own.sum()
        plain = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y, sample_weight=row)
        lower = model.q_ @ losses_of(beta_of(plain), x, y, group) + (plain.coef_**2).sum() / 1200
        upper = model.losses_.max() + (model.coef_**2).sum() / 1200
        assert upper - lower <= model.gap_ + 1e-9
        assert model.coef_ == pytest.approx(plain.coef_, abs=1e-3)
        assert model.q_.sum() == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 4])
def test_one_group_is_logistic_regression(classes: int) -> None:
    x, y, _ = planted(classes=classes)
    weight = rng(3).uniform(0, 2, 600)
    plain = LogisticRegression(C=1 / 3, tol=1e-10, max_iter=2000).fit(x, y, sample_weight=weight)
    model = GroupDRO(penalty=3.0).fit(x, y, np.zeros(600), sample_weight=weight)
    assert model.coef_ == pytest.approx(plain.coef_, abs=1e-5)
    assert model.intercept_ == pytest.approx(plain.intercept_, abs=1e-5)
    assert model.predict_proba(x) == pytest.approx(plain.predict_proba(x), abs=1e-5)
    assert model.decision_function(x) == pytest.approx(plain.decision_function(x), abs=1e-4)
    assert (model.predict(x) == plain.predict(x)).all()
    assert model.score(x, y) == plain.score(x, y)
    assert (model.gap_, model.n_refits_, model.q_.tolist()) == (pytest.approx(0, abs=1e-9), 1, [1])


def test_one_group_is_ridge() -> None:
    x, y = load_diabetes(return_X_y=True)
    plain = Ridge(alpha=0.5).fit(x, y)
    model = GroupDRO(loss="squared", penalty=0.5).fit(x, y, ["all"] * len(y))
    assert model.coef_ == pytest.approx(plain.coef_)
    assert model.intercept_ == pytest.approx(plain.intercept_)
    assert model.predict(x) == pytest.approx(plain.predict(x))
    assert model.score(x, y) == pytest.approx(plain.score(x, y))


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_worst_group_is_better_off_than_with_the_ordinary_fit(classes: int) -> None:
    x, y, group = planted(classes=classes)
    loss = "logistic" if classes else "squared"
    plain = GroupDRO(loss=loss).fit(x, y, np.zeros(600))
    model = GroupDRO(loss=loss).fit(x, y, group)

    def worst(fitted) -> float:
        if not classes:
            error = (fitted.predict(x) - y) ** 2
        else:
            error = -np.log(fitted.predict_proba(x)[np.arange(600), y])
        return max(error[group == one].mean() for one in ("few", "many"))

    assert worst(model) == pytest.approx(model.worst_loss_)
    assert worst(model) < 0.7 * worst(plain)
    # Both groups end alike: the feature that splits them is hardly used.
    assert np.ptp(model.losses_) < 1e-4
    assert np.abs(model.coef_).reshape(-1, 3)[:, 1].max() < 0.3 * np.abs(plain.coef_).max()
    assert model.q_[0] > 3 * (group == "few").mean()


def test_groups_that_are_alike_keep_the_ordinary_fit() -> None:
    x, y, _ = planted(300)
    twice = np.concatenate([x, x]), np.concatenate([y, y])
    model = GroupDRO().fit(*twice, np.repeat([0, 1], 300))
    plain = LogisticRegression(C=1.0, tol=1e-10).fit(*twice)
    assert model.coef_ == pytest.approx(plain.coef_, abs=1e-5)
    assert model.n_refits_ == 1


def test_an_easy_group_gets_no_weight() -> None:
    x, y, group = planted()
    easy = np.concatenate([x, x[:50] + 20 * (2 * y[:50, None] - 1)]), np.concatenate([y, y[:50]])
    model = GroupDRO().fit(*easy, np.concatenate([group, np.repeat("zero", 50)]))
    assert model.groups_ == ("few", "many", "zero")
    assert model.q_[2] < 1e-4
    assert model.losses_[2] < model.worst_loss_ - 0.1


def test_adjustment_lifts_small_groups() -> None:
    x, y, group = planted()
    plain, lifted = (GroupDRO(adjustment=c).fit(x, y, group) for c in (0.0, 1.0))
    sizes = np.array([(group == one).sum() for one in ("few", "many")])
    assert lifted.losses_[0] < plain.losses_[0]
    adjusted = lifted.losses_ + 1 / np.sqrt(sizes)
    assert np.ptp(adjusted) < 1e-4


def test_names_of_groups_and_order_of_rows_do_not_matter() -> None:
    x, y, group = planted()
    plain = GroupDRO().fit(x, y, group)
    order = rng(4).permutation(600)
    named = np.where(group == "few", 7, 3)
    other = GroupDRO().fit(x[order], y[order], named[order])
    assert other.groups_ == (3, 7)
    assert other.coef_ == pytest.approx(plain.coef_, abs=1e-8)
    assert other.q_[::-1] == pytest.approx(plain.q_, abs=1e-8)


def test_a_weight_of_two_is_a_row_twice() -> None:
    x, y, group = planted(200)
    weight = rng(5).integers(0, 3, 200)
    weighted = GroupDRO(adjustment=0.5).fit(x, y, group, sample_weight=weight)
    repeated = GroupDRO(adjustment=0.5).fit(*(np.repeat(v, weight, axis=0) for v in (x, y, group)))
    assert weighted.coef_ == pytest.approx(repeated.coef_, abs=1e-8)
    assert weighted.losses_ == pytest.approx(repeated.losses_)
    assert weighted.gap_ <= 1e-6


def test_groups_without_weight_are_left_out() -> None:
    x, y, group = planted(200)
    model = GroupDRO().fit(x, y, group, sample_weight=(group == "many").astype(float))
    assert model.groups_ == ("many",)


def test_units_of_features_and_more_features_than_rows() -> None:
    g = rng(6)
    _, y, group = planted(40)
    wide = g.normal(size=(40, 60)) * 10.0 ** g.integers(-3, 4, 60) + 5
    model = GroupDRO(penalty=1e-3).fit(wide, y, group)
    assert model.converged_
    row = np.zeros(40)
    for q, one in zip(model.q_, model.groups_, strict=True):
        row[group == one] = 40 * q / (group == one).sum()
    scale = wide.std(axis=0)
    plain = GroupDRO(penalty=1e-3).fit(wide, y, np.zeros(40), sample_weight=row)
    assert model.coef_ * scale == pytest.approx(plain.coef_ * scale, abs=1e-3)


def test_the_last_step_allowed_says_that_it_did_not_settle() -> None:
    x, y, group = planted()
    model = GroupDRO(max_refits=1).fit(x, y, group)
    assert not model.converged_
    assert model.gap_ > 0.01
    assert model.n_refits_ == 1


def test_breast_cancer_with_groups_by_size() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    group = np.digitize(x[:, 0], np.quantile(x[:, 0], [0.5, 0.8]))
    x = StandardScaler().fit_transform(x[:, 1:])
    plain = GroupDRO(penalty=20.0).fit(x, y, np.zeros(len(y)))
    model = GroupDRO(penalty=20.0).fit(x, y, group)
    worst = losses_of(beta_of(plain), x, y, group).max()
    assert model.worst_loss_ < worst - 0.005
    assert model.converged_


# --- scikit-learn's manners ---------------------------------------------------------------------


def test_clone_and_settings() -> None:
    model = GroupDRO(penalty=2.0, adjustment=0.1)
    copied = clone(model)
    assert copied is not model
    assert copied.get_params() == model.get_params()
    assert copied.set_params(penalty=5.0) is copied
    assert (copied.penalty, model.penalty) == (5.0, 2.0)
    assert repr(GroupDRO(loss="squared")).startswith("GroupDRO(loss='squared', penalty=1.0")
    assert is_classifier(model)
    assert is_regressor(GroupDRO(loss="squared"))
    with pytest.raises(InputError, match="did you mean 'penalty'"):
        model.set_params(penaltie=1)


def test_cross_validation_and_pipelines_pass_groups_on() -> None:
    x, y, group = planted(200)
    scores = cross_val_score(GroupDRO(), x, y, cv=3, params={"group": group})
    assert scores.min() > 0.4
    found = GridSearchCV(GroupDRO(), {"penalty": [0.1, 1000.0]}, cv=3).fit(x, y, group=group)
    assert found.best_params_["penalty"] in (0.1, 1000.0)
    pipe = make_pipeline(StandardScaler(), GroupDRO()).fit(x, y, groupdro__group=group)
    assert pipe.predict(x).shape == (200,)
    words = np.array(["no", "yes"])[y]
    model = GroupDRO().fit(x, words, group)
    assert model.classes_.tolist() == ["no", "yes"]
    assert (model.predict(x) == words).mean() > 0.5


def test_importing_it_loads_no_scikit_learn() -> None:
    code = "import sys, elsewhere.remedies.group_dro; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_input_stays_and_may_be_read_only_and_strided() -> None:
    x, y, group = planted(100)
    plain = GroupDRO().fit(x, y, group)
    wide = np.repeat(np.asfortranarray(x), 2, axis=0)[::2]
    wide.flags.writeable = False
    before = wide.copy()
    again = GroupDRO().fit(wide, y, group)
    assert again.coef_ == pytest.approx(plain.coef_, abs=1e-9)
    assert (wide == before).all()
    narrow = GroupDRO().fit(x.astype(np.float32), y, group)
    rounded = GroupDRO().fit(x.astype(np.float32).astype(float), y, group)
    assert (narrow.coef_ == rounded.coef_).all()


def test_one_row() -> None:
    model = GroupDRO(loss="squared").fit([[1.0, 2.0]], [3.0], ["a"])
    assert model.predict([[1.0, 2.0]]) == pytest.approx([3])


@pytest.mark.parametrize(
    ("settings", "changes", "argument", "words"),
    [
        ({"loss": "logistics"}, {}, "loss", "did you mean 'logistic'"),
        ({"penalty": 0}, {}, "penalty", "above 0"),
        ({"adjustment": -1}, {}, "adjustment", "at least 0"),
        ({"tolerance": np.nan}, {}, "tolerance", "above 0"),
        ({"max_refits": 0}, {}, "max_refits", "at least 1"),
        ({}, {"y": [1, 1, 1, 1]}, "y", "one class"),
        ({}, {"y": [0, 1]}, "y", "2 rows; expected 4"),
        ({}, {"group": list("abc")}, "group", "3 rows; expected 4"),
        ({}, {"group": ["a", "b", None, "a"]}, "group", "misses 1"),
        ({}, {"X": [[np.nan], [1], [2], [3]]}, "x", "missing or infinite"),
        ({}, {"sample_weight": [1, -1, 1, 1]}, "sample_weight", "negative or all 0"),
        ({}, {"sample_weight": [0, 0, 0, 0]}, "sample_weight", "negative or all 0"),
        ({}, {"sample_weight": ["a", "b", "c", "d"]}, "sample_weight", "numbers"),
        ({"loss": "squared"}, {"y": list("abcd")}, "y", "holds 'a'"),
        ({"loss": "squared"}, {"y": [0, 1, np.inf, 2]}, "y", "infinite"),
    ],
)
def test_bad_input(settings: dict, changes: dict, argument: str, words: str) -> None:
    given = {"X": [[0.0], [1], [2], [3]], "y": [0, 1, 0, 1], "group": list("aabb")}
    with pytest.raises(InputError, match=words) as error:
        GroupDRO(**settings).fit(**(given | changes))
    assert error.value.argument == argument


def test_bad_use() -> None:
    with pytest.raises(NotFittedError):
        GroupDRO().predict([[1.0]])
    x, y, group = planted(60)
    with pytest.raises(InputError, match="2 features; expected 3"):
        GroupDRO().fit(x, y, group).predict([[1.0, 2.0]])
    with pytest.raises(InputError, match="for probabilities"):
        GroupDRO(loss="squared").fit(x, y, group).predict_proba(x)
    with pytest.raises(InputError, match="principal components"):
        GroupDRO().fit(np.ones((120, 110)), np.arange(120) % 60, np.zeros(120))
