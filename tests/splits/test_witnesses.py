import numpy as np

from conftest import SPLITS, Tiny
from ripik.splits import witnesses
from ripik.splits.groups import kept_together
from ripik.splits.run import Run


def test_copies_are_one_witness_even_where_the_users_folds_part_them(tiny: Tiny) -> None:
    tiny.write_folds()
    assert len(np.unique(witnesses.train(Run.open(tiny.settings())))) == tiny.truth["photo"].nunique()
    apart = tiny.truth[["image_id", "label"]].assign(group=range(len(tiny.truth)), fold=range(len(tiny.truth)))
    apart.assign(fold=apart["fold"] % SPLITS).to_csv(tiny.run / "folds.csv", index=False)
    assert len(np.unique(witnesses.train(Run.open(tiny.settings())))) == tiny.truth["photo"].nunique()


def test_test_witnesses_are_counted_as_training_witnesses_are(tiny: Tiny) -> None:
    tiny.write_folds()
    assert witnesses.count_test(Run.open(tiny.settings())) == tiny.test["photo"].nunique()
    cars = tiny.truth["photo"] // 3  # three photos, nine images, a car
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(car=("car" + cars.astype(str)).to_numpy()))
    run = Run.open(tiny.settings("competition.group_column=car"))
    assert witnesses.count_test(run) == round(len(tiny.test) / 9)


def test_the_users_column_joins_test_photos_and_both_sides(tiny: Tiny) -> None:
    tiny.write_folds(2)
    test_csv = tiny.input / "test" / "test.csv"
    tiny.edit(
        tiny.train_csv, lambda train: train.assign(car=["shared", *(f"car {row}" for row in range(1, len(train)))])
    )
    tiny.edit(test_csv, lambda test: test.assign(car=["shared", "one", "one", "two", "two", "two"]))
    run = Run.open(tiny.settings("folds.n_splits=2", "competition.group_column=car"))
    groups = witnesses.both(run)
    train, test = groups[: len(tiny.truth)], groups[len(tiny.truth) :]
    assert test[0] == train[0]
    assert test[1] == test[2]
    assert test[3] == test[4] == test[5]
    assert witnesses.test(run)[[1, 3]].tolist() == witnesses.test(run)[[2, 5]].tolist()


def test_what_folds_keep_together_has_the_numbers_of_groups_csv_or_joins_them_with_the_users_column(tiny: Tiny) -> None:
    tiny.write_folds()
    run = Run.open(tiny.settings())
    np.testing.assert_array_equal(kept_together(run.competition, run.groups), tiny.truth["photo"])
    pairs = tiny.truth["photo"] // 2
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(car=("car" + pairs.astype(str)).to_numpy()))
    run = Run.open(tiny.settings("competition.group_column=car"))
    together = kept_together(run.competition, run.groups)
    np.testing.assert_array_equal(together, witnesses.train(run))
    assert len(np.unique(together)) == pairs.nunique()
