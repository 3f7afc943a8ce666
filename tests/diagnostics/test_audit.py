import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from made_up_features import MadeUp
from ripik.analysis.metrics import get_metric
from ripik.diagnostics import audit as step
from ripik.diagnostics.adversarial import adversarial
from ripik.diagnostics.audit import audit
from ripik.errors import InputError
from ripik.features.head_inputs import photo_head, read_features, stored_settings
from ripik.features.store import Pass, VariantData
from ripik.models import linear_head
from ripik.models.linear_head import LinearHead, fit, out_of_fold
from ripik.splits.run import Run

SPLITS = [step.TRAINED, step.AUGMENTED, step.RANDOM, step.GROUPED, step.GROUPED_AUGMENTED]
METRICS = ["macro_f1", "macro_f1_low", "macro_f1_high", "accuracy", "accuracy_low", "accuracy_high"]
NO_COPIES = ('variants.augmented.train_from="all"', 'variants.augmented_finetuned.train_from="all"')


@pytest.fixture
def made_up(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """Features by which a photo is known again and its class is not; folds by the true photos."""
    tiny.write_folds()
    found = MadeUp(tiny)
    monkeypatch.setattr(step, "prepare", found)
    return found


def test_photos_known_by_heart_fool_every_split_but_the_grouped_ones(
    tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit(tiny.settings())
    found = pd.read_csv(path)
    assert path == tiny.run / "audit.csv"
    assert list(found.columns) == ["split", "rows", *METRICS]
    assert found["split"].tolist() == SPLITS
    assert found["rows"].tolist() == [54, 27, 27, 27, 27]  # 27 photos and two copies of each, a third of them held
    accuracy = found.set_index("split")["accuracy"]
    assert (accuracy[SPLITS[:3]] == 1).all()
    assert (accuracy[SPLITS[3:]] < 0.7).all()
    for name in ("macro_f1", "accuracy"):
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
    told = capsys.readouterr().out
    grouped = f"{found['macro_f1'][3]:.2f}"
    assert f"a random split of augmented rows 1.00, random folds of photos 1.00, grouped folds {grouped}." in told
    assert "Only the last is reliable" in told


def test_grouped_folds_are_those_of_folds_csv(tiny: Tiny, made_up: MadeUp) -> None:
    found = pd.read_csv(audit(tiny.settings())).set_index("split")
    settings = stored_settings(tiny.settings())
    run, variant = Run.open(settings), photo_head(settings)
    features = read_features(VariantData(run, variant), [Pass("train")])
    oof = out_of_fold(features, run.targets(), run.folds["fold"].to_numpy(), 3)
    score = get_metric("macro_f1").function(run.targets(), oof)
    assert found.loc[step.GROUPED, "macro_f1"] == pytest.approx(score)


def test_only_the_plain_view_is_passed_and_nothing_twice(
    tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit(tiny.settings())
    assert sorted(map(str, made_up.passes)) == sorted(
        map(str, [Pass("train"), Pass("test"), Pass("train", copies=True)])
    )
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    audit(tiny.settings())
    told = capsys.readouterr().out
    assert path.stat().st_mtime_ns == written
    assert "is up to date" in told
    assert "Only the last is reliable" in told
    audit(tiny.settings("competition.metric=accuracy"))
    assert list(pd.read_csv(path).columns) == ["split", "rows", "accuracy", "accuracy_low", "accuracy_high"]


@pytest.mark.parametrize("sets", [(), NO_COPIES], ids=["copies", "photos alone"])
def test_rows_that_training_leaves_out_teach_the_heads_nothing(
    tiny: Tiny, made_up: MadeUp, monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...]
) -> None:
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(left_out=["1" if row % 5 == 0 else "0" for row in range(27)]))
    fitted: list[int] = []

    def counted(features: np.ndarray, y: np.ndarray, classes: int, *, rows: np.ndarray, **how: object) -> LinearHead:
        assert (rows % 27 % 5 != 0).all()
        fitted.append(len(rows))
        return fit(features, y, classes, rows=rows, **how)

    monkeypatch.setattr(step, "fit", counted)
    monkeypatch.setattr(linear_head, "fit", counted)
    found = pd.read_csv(audit(tiny.settings("competition.ignore=left_out", *sets))).set_index("split")["rows"]
    assert len(fitted) == (10 if not sets else 7)
    assert found[[step.RANDOM, step.GROUPED]].tolist() == [27, 27]
    assert found[step.TRAINED] == (fitted[-4] if not sets else 21)


def test_other_folds_are_audited_anew(tiny: Tiny, made_up: MadeUp) -> None:
    before = audit(tiny.settings()).read_bytes()
    folds = pd.read_csv(tiny.run / "folds.csv")
    folds.assign(fold=(folds["group"] + (folds["group"] == 4)) % 3).to_csv(tiny.run / "folds.csv", index=False)
    assert audit(tiny.settings()).read_bytes() != before


def test_without_a_head_on_copies_their_split_is_left_out(
    tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    found = pd.read_csv(audit(tiny.settings(*NO_COPIES)))
    assert found["split"].tolist() == [step.TRAINED, step.RANDOM, step.GROUPED]
    assert found["rows"].tolist() == [27, 27, 27]
    assert "a random split of augmented rows is skipped" in capsys.readouterr().out
    assert Pass("train", copies=True) not in made_up.passes


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_head_on_copies_alone_is_scored_on_photos(tiny: Tiny, made_up: MadeUp, dtype: str) -> None:
    alone = ('variants.original.data="augmented"', "training.with_original=false", f"features.dtype={dtype}")
    found = pd.read_csv(audit(tiny.settings(*alone, "features.store=false")))
    assert found["split"].tolist() == SPLITS
    assert found["rows"].tolist() == [36, 18, 27, 27, 27]
    assert np.isfinite(found[METRICS].to_numpy()).all()


def test_a_configuration_without_a_head_is_told_what_to_add(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r'original = \{ data = "original", train_from = "head" \}'):
        audit(tiny.settings(*NO_COPIES, 'variants.original.train_from="all"', 'variants.finetuned.train_from="all"'))
    assert not tiny.run.exists()


@pytest.mark.long
def test_the_steps_make_what_they_read(tiny: Tiny) -> None:
    """The whole of both steps: folds, pixels, augmented copies, passes through a network of random weights."""
    settings = tiny.settings("folds.n_splits=2")
    found = pd.read_csv(audit(settings))
    assert found["split"].tolist() == SPLITS
    assert np.isfinite(found[METRICS].to_numpy()).all()
    stored = sorted(path.stem for path in tiny.run.glob("features/*/*.npy"))
    made = {path: path.stat().st_mtime_ns for path in tiny.run.glob("features/*/*.npy")}
    assert len(stored) == 3  # train, test, and the copies of train; no other view
    assert len(pd.read_csv(adversarial(settings))) == 33
    assert {path: path.stat().st_mtime_ns for path in made} == made
