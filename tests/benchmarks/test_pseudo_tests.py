from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.quality import pseudo_blends, pseudo_tests
from benchmarks.quality.pseudo_tests import Outcome, Photos, draw_test, pseudo_test, read_photos, summary

from ripik.analysis.intervals import Interval
from ripik.analysis.metrics import get_metric

COPIES = 3


def photos(per_class: int = 40, columns: int = 12) -> Photos:
    """Return three classes of photos, three near copies each, that are not easily told apart."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), per_class)
    seen = rng.normal(0, 0.6, (3, columns))[y] + rng.normal(0, 1, (len(y), columns))
    copies = np.repeat(seen, COPIES, axis=0)
    views = copies + rng.normal(0, 0.1, (2, *copies.shape))
    return Photos(views.astype(np.float32), np.repeat(y, COPIES), np.repeat(np.arange(len(y)), COPIES))


def test_a_test_set_holds_whole_groups_and_its_share_of_every_class() -> None:
    all_photos = photos()
    held = draw_test(all_photos, 0.4, seed=1)
    kept = np.setdiff1d(np.arange(len(all_photos.y)), held)
    assert not set(all_photos.group[held]) & set(all_photos.group[kept])
    assert np.bincount(all_photos.y[held]).tolist() == [16 * COPIES] * 3
    np.testing.assert_array_equal(held, draw_test(all_photos, 0.4, seed=1))
    assert held.tolist() != draw_test(all_photos, 0.4, seed=2).tolist()


def test_cv_and_test_agree_on_photos_of_one_kind() -> None:
    found = [pseudo_test(photos(), get_metric("macro_f1"), 5, seed, draws=200) for seed in range(12)]
    for voted in (False, True):
        outcomes = [each[voted] for each in found]
        assert abs(np.mean([each.gap for each in outcomes])) < 0.04
        assert sum(each.inside for each in outcomes) >= 10
        assert all(each.expected.value == each.cv for each in outcomes)


def test_labels_of_the_test_set_do_not_move_the_cv() -> None:
    all_photos, metric = photos(), get_metric("macro_f1")
    held = draw_test(all_photos, pseudo_tests.HELD, seed=0)
    other = all_photos.features.copy()
    other[:, held] += 50
    before = pseudo_test(all_photos, metric, 5, 0, draws=50)[True]
    after = pseudo_test(Photos(other, all_photos.y, all_photos.group), metric, 5, 0, draws=50)[True]
    assert (before.cv, before.expected) == (after.cv, after.expected)
    assert before.test > after.test


def test_the_summary_tells_gap_and_coverage() -> None:
    expected = Interval(0.7, 0.6, 0.8, 0.05)
    outcomes = [Outcome(0.7, expected, test, test - 0.01) for test in (0.69, 0.72, 0.7, 0.7)]
    assert summary(outcomes).startswith("mean gap +0.0025 ± 0.0063 (one head -0.0075 ± 0.0063)")
    assert summary(outcomes).endswith("4 of 4: as asked")
    assert summary([*outcomes, Outcome(0.7, expected, 0.81, 0.8)]).endswith("4 of 5: NOT as asked")


def test_a_runs_files_are_read(tmp_path: Path) -> None:
    all_photos = photos(per_class=2)
    for view, name in zip(all_photos.features, pseudo_tests.VIEWS.values(), strict=True):
        np.save(tmp_path / name, view.astype(np.float16))
    labels = np.array(["b", "c", "d"])[all_photos.y]
    frame = pd.DataFrame({"image_id": range(18), "label": labels, "group": all_photos.group, "fold": 0})
    frame.to_csv(tmp_path / "folds.csv", index=False)
    found = read_photos(tmp_path, tmp_path)
    np.testing.assert_array_equal(found.y, all_photos.y)
    np.testing.assert_array_equal(found.group, all_photos.group)
    np.testing.assert_allclose(found.features, all_photos.features, atol=1e-2)
    frame.head(17).to_csv(tmp_path / "folds.csv", index=False)
    with pytest.raises(SystemExit, match="18 rows"):
        read_photos(tmp_path, tmp_path)


def test_a_blend_meets_rows_it_was_not_chosen_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 2)
    label = group % 3 + 5
    known = pd.DataFrame({"image_id": [f"i{row}" for row in range(len(group))], "fold": group % 4, "label": label})
    known[["image_id", "label"]].assign(group=group, fold=known["fold"]).to_csv(tmp_path / "folds.csv", index=False)
    for member in ("a", "b"):
        logits = 2 * np.eye(3)[label - 5] + rng.normal(0, 2, (len(group), 3))
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        (tmp_path / member).mkdir()
        columns = pd.DataFrame(p, columns=["p_5", "p_6", "p_7"])
        pd.concat([known, columns], axis=1).sample(frac=1, random_state=1).to_csv(tmp_path / member / "oof.csv")
    read = pseudo_blends.read_run(tmp_path, ["a", "b"])
    assert read.y.tolist() == (label - 5).tolist()
    np.testing.assert_allclose(read.rows.probabilities[1, 0], p, rtol=1e-12)
    found = pseudo_blends.pseudo_test(read, get_metric("macro_f1"), seed=0)
    assert 0.4 < found.cv < 1
    assert found.expected.low < found.cv < found.expected.high
    assert abs(found.gap) < 0.4
    assert found.gap == found.test - found.cv
