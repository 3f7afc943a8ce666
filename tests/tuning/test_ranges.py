from pathlib import Path

import pytest

from ripik.config import load_settings
from ripik.errors import InputError
from ripik.features.store import Reading
from ripik.settings import Settings
from ripik.tuning.ranges import _combinations, holds, ranges_of, stores_of, usual, with_values

VARIANTS = """
[variants]
head = { learning_rate = 0.002, batch_size = 48 }
fitted = { solver = "logistic" }
upper = { train_from = "block6a", start = "head" }
whole = { train_from = "all", rate_decay = 0.7 }
"""


def load(folder: Path, ranges: str = "") -> Settings:
    path = folder / "cars.toml"
    path.write_text(f"[tune.ranges]\n{ranges}\n{VARIANTS}", encoding="utf-8")
    return load_settings(path)


@pytest.mark.parametrize("name", ["head", "upper", "whole"])
def test_the_usual_ranges_hold_the_variants_own_values(tmp_path: Path, name: str) -> None:
    settings = load(tmp_path)
    ranges = ranges_of(settings, settings.variants[name])
    assert ranges == usual(settings.variants[name])
    assert holds(ranges, settings.variants[name].model_dump())
    assert not holds(ranges, settings.variants[name].model_dump() | {"learning_rate": 1.0})


def test_the_configurations_ranges_stand_alone(tmp_path: Path) -> None:
    settings = load(tmp_path, "dropout = { low = 0, high = 0.5 }\nbatch_size = [16, 32]")
    assert list(ranges_of(settings, settings.variants["head"])) == ["dropout", "batch_size"]


def test_a_whole_number_stands_for_a_fraction(tmp_path: Path) -> None:
    settings = load(tmp_path, "weight_decay = [0, 1]\nepochs = { low = 1.0, high = 9.0 }")
    assert ranges_of(settings, settings.variants["head"])["weight_decay"] == [0, 1]


@pytest.mark.parametrize(
    ("name", "ranges", "told"),
    [
        ("fitted", "", "chooses its own regularisation"),
        ("head", "dropout = { low = 0.5, high = 1.5 }", r"with dropout = 1\.5, variants.head.dropout"),
        ("head", "dropout = ['0.1', '0.2']", r"with dropout = '0\.1', .*valid number"),
        ("head", "dropout = [0, true]", "with dropout = True, .*valid number"),
        ("head", "epochs = [1.0, 2.0]", r"with epochs = 1\.0, .*valid integer"),
        ("head", "rate_decay = [0.8, 1.0]", r"with rate_decay = 0\.8, .*not apply to a head"),
        ("upper", "live = [0.0, 1.0]", r"with live = 1\.0, .*need train_from"),
        (
            "whole",
            "soup = [0, 5]\nepochs = { low = 3, high = 9 }",
            r"with soup = 5, epochs = 3, .*more than the number of epochs",
        ),
        ("upper", "backbone = ['EfficientNetB0', 'ResNet50']", "another backbone"),
    ],
)
def test_what_a_configuration_refuses_is_no_range(tmp_path: Path, name: str, ranges: str, told: str) -> None:
    settings = load(tmp_path, ranges)
    with pytest.raises(InputError, match=told):
        ranges_of(settings, settings.variants[name])


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ("lerning_rate = [1, 2]", "unknown key tune.ranges.lerning_rate .did you mean learning_rate"),
        ("seed = [1, 2]", "seed cannot be searched"),
        ("dropout = { low = 0.5, high = 0.5 }", "is empty: low = 0.5 must be below high = 0.5"),
        ("dropout = { low = 0, high = 0.5, log = true }", "cannot be logarithmic from low = 0"),
        ("dropout = { low = 0, high = true }", "write a list of choices, or"),
        (f"epochs = {{ low = 1, high = {10**400} }}", "write a list of choices, or"),
        (f"learning_rate = {{ low = 0.1, high = {10**400} }}", "write a list of choices, or"),
        ("learning_rate = { low = 0.1, high = inf }", "write a list of choices, or"),
        ("dropout = 0.3", "write a list of choices, or"),
        ("dropout = [0.3]", "at least two choices"),
        ("dropout = [0.3, {}]", "not a number, a string, true or false"),
        ("epochs = { low = 10.5, high = 40 }", "epochs takes whole numbers, but 10.5 is not one"),
        ("with_original = { low = 0, high = 1 }", "needs a list of choices"),
        ("image_size = { low = 96, high = 224 }", "needs a list of choices"),
    ],
)
def test_a_table_that_cannot_be_searched_is_refused_when_it_is_read(tmp_path: Path, ranges: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load(tmp_path, ranges)


def test_of_many_keys_every_two_are_checked_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.tuning.ranges.MOST_CHECKED", 7)
    settings = load(tmp_path, "dropout = [0.1, 0.2]\nsoup = [0, 5]\nepochs = { low = 3, high = 9 }")
    with pytest.raises(InputError, match=r"with soup = 5, epochs = 3, "):
        ranges_of(settings, settings.variants["whole"])


def test_values_go_to_one_variant(tmp_path: Path) -> None:
    settings = load(tmp_path)
    found = with_values(settings, settings.variants["head"], {"dropout": 0.4})
    assert found.variants["head"].dropout == 0.4
    assert {name: v for name, v in found.variants.items() if name != "head"} == {
        name: v for name, v in settings.variants.items() if name != "head"
    }
    assert with_values(settings, settings.variants["head"], {}) == settings


def test_every_combination_of_stores_is_prepared(tmp_path: Path) -> None:
    settings = load(tmp_path, "image_size = [96, 128]\nprecision = ['auto', 'float32']\ndropout = [0.1, 0.2]")
    head = settings.variants["head"]
    found = [each.variants["head"] for each in stores_of(settings, head, ranges_of(settings, head))]
    assert {(v.image_size, v.precision) for v in found} == {(s, p) for s in (96, 128) for p in ("auto", "float32")}


@pytest.mark.parametrize(
    ("variant", "ranges"),
    [
        ('{ train_from = "all", crop_from = 64 }', "live = [0.0, 1.0]"),
        ('{ train_from = "all", crop_from = 64 }', "live = { low = 0.0, high = 1.0 }"),
        ('{ train_from = "all", live = 1.0, crop_from = 64, predict_sizes = [96] }', "live = [0.0, 1.0]"),
        ('{ data = "augmented", with_original = false }', "inner_split = [0.0, 0.1]"),
        ('{ data = "augmented" }', "with_original = [true, false]\nimage_size = [96, 128]"),
    ],
)
def test_all_that_any_trial_reads_is_prepared(tmp_path: Path, variant: str, ranges: str) -> None:
    path = tmp_path / "cars.toml"
    views = '[prediction]\nviews = ["hflip"]'
    path.write_text(f"{views}\n[tune.ranges]\n{ranges}\n[variants]\nmine = {variant}", encoding="utf-8")
    settings = load_settings(path)
    mine = settings.variants["mine"]
    found = ranges_of(settings, mine)
    made = {path for each in stores_of(settings, mine, found) for path in read_by(each)}
    for values in _combinations(found):
        assert read_by(with_values(settings, mine, values)) <= made


def read_by(settings: Settings) -> set[Path]:
    """Return the packed files that the variant reads."""
    reading = Reading(settings, settings.variants["mine"])
    return {reading.path(pass_) for pass_ in reading.passes}
