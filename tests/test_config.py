from datetime import date
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import tomli_w
from annotated_types import Le, Lt
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ripik.config import DEFAULT_VARIANTS, RESERVED_NAMES, load_settings, to_toml
from ripik.errors import InputError
from ripik.names import ProbabilityMetric
from ripik.sections import Added, Section
from ripik.settings import CompetitionSettings, Settings
from ripik.variants import Variant

TRAINING = {
    "epochs": st.integers(1, 500),
    "batch_size": st.integers(1, 512),
    "learning_rate": st.floats(1e-8, 10),
    "schedule": st.sampled_from(["cosine", "constant"]),
    "label_smoothing": st.floats(0, 0.9),
    "class_weights": st.one_of(
        st.just("balanced"), st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.01, 100), max_size=3)
    ),
    "seed": st.integers(0, 2**31 - 1),
}


def sections(top: type[Section]) -> list[type[Section]]:
    """Return a table of settings and all within it."""
    kinds = [part for about in top.model_fields.values() for part in (about.annotation, *get_args(about.annotation))]
    within = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
    return [top, *(each for kind in within for each in sections(kind))]


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True).filter(lambda name: name not in RESERVED_NAMES)
TABLES = st.fixed_dictionaries({}, optional=TRAINING)
VARIANTS = st.dictionaries(NAMES, TABLES, min_size=1, max_size=3)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


def load(folder: Path, text: str = "", *overrides: str) -> Settings:
    config = folder / "cars.toml"
    config.write_text(text, encoding="utf-8")
    return load_settings(config, overrides)


def refusal(folder: Path, text: str = "", *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, text, *overrides)
    return str(caught.value)


def test_an_empty_file_gives_the_four_variants(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.run == "cars"
    assert list(found.variants) == ["original", "augmented", "finetuned", "augmented_finetuned"]
    table = {v.name: (v.data, v.train_from, v.start) for v in found.variants.values()}
    assert table == {
        "original": ("original", "head", ""),
        "augmented": ("augmented", "head", ""),
        "finetuned": ("original", "all", "original"),
        "augmented_finetuned": ("augmented", "all", "augmented"),
    }
    assert found.augmentation.copies == 15
    assert found.folds.n_splits == 5


@pytest.mark.parametrize("section", sections(Settings), ids=lambda section: section.__name__)
def test_every_whole_number_has_an_upper_end(section: type[Section]) -> None:
    numbers = {name: about.metadata for name, about in section.model_fields.items() if about.annotation is int}
    assert [name for name, marks in numbers.items() if not any(isinstance(mark, Lt | Le) for mark in marks)] == []


@pytest.mark.parametrize("key", ["prediction.batch_size", "training.epochs", "jobs.threads"])
def test_a_number_that_no_array_can_have_is_refused(tmp_path: Path, key: str) -> None:
    assert f"{key} = {10**20}: should be less than 2147483648" in refusal(tmp_path, "", f"{key}={10**20}")


def test_a_wrong_override_of_a_good_file_is_told_as_one(tmp_path: Path) -> None:
    wrong = "training.epochs=-1"
    assert f"cars.toml with --set {wrong}: training.epochs = -1: should be" in refusal(tmp_path, "", wrong)
    told = refusal(tmp_path, "[training]\nepochs = -2\n", "network.dropout=0.1")
    assert "cars.toml: training.epochs = -2: should be" in told


@pytest.mark.parametrize("key", ["training.seeds", "variants.original.seeds", "folds.n_splits"])
def test_more_trainings_than_anybody_runs_are_refused(tmp_path: Path, key: str) -> None:
    assert "1001: should be less than or equal to 1000" in refusal(tmp_path, "", f"{key}=1001")


def test_finetuning_has_a_lower_rate(tmp_path: Path) -> None:
    variants = load(tmp_path).variants
    assert variants["finetuned"].learning_rate < variants["original"].learning_rate


def test_a_variants_settings_come_from_its_own_table_then_finetuning_then_training(tmp_path: Path) -> None:
    text = """
    [network]
    image_size = 96
    [training]
    epochs = 7
    seed = 3
    [finetuning]
    epochs = 2
    [variants.original]
    [variants.finetuned]
    train_from = "all"
    start = "original"
    [variants.partial]
    train_from = "block6a_expand_conv"
    epochs = 4
    image_size = 64
    """
    variants = load(tmp_path, text).variants
    assert {name: v.epochs for name, v in variants.items()} == {"original": 7, "finetuned": 2, "partial": 4}
    assert {name: v.image_size for name, v in variants.items()} == {"original": 96, "finetuned": 96, "partial": 64}
    assert {v.seed for v in variants.values()} == {3}


def test_settings_are_frozen(tmp_path: Path) -> None:
    found = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        found.folds.seed = 3  # type: ignore[misc]


@effort(max_examples=60, deadline=None)
@given(training=TABLES, finetuning=TABLES, variants=VARIANTS)
def test_the_printed_configuration_loads_to_the_same_settings(
    scratch: Path, training: dict, finetuning: dict, variants: dict
) -> None:
    given_tables = {"training": training, "finetuning": finetuning, "variants": variants}
    found = load(scratch, tomli_w.dumps(given_tables))
    assert load(scratch, to_toml(found)) == found


def test_the_printed_default_configuration_loads_to_the_same_settings(tmp_path: Path) -> None:
    found = load(tmp_path, "", "competition.classes=[1, 2]", 'competition.metric="accuracy"')
    assert load(tmp_path, to_toml(found)) == found


@effort(max_examples=60, deadline=None)
@given(table=TABLES)
def test_overrides_do_what_the_same_keys_of_the_file_do(scratch: Path, table: dict[str, Any]) -> None:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    overrides = [f"variants.original.{tomli_w.dumps({key: value}).strip()}" for key, value in plain.items()]
    file = tomli_w.dumps({"variants": {**DEFAULT_VARIANTS, "original": {**DEFAULT_VARIANTS["original"], **plain}}})
    assert load(scratch, "", *overrides) == load(scratch, file)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("competition.root=/data/my x", "/data/my x"),
        ('competition.root="/data/x"', "/data/x"),
        ("competition.root = a=b ", "a=b"),
        ("competition.root=", ""),
        ("competition.root='123'", "123"),
    ],
)
def test_override_of_text(tmp_path: Path, override: str, expected: str) -> None:
    assert load(tmp_path, "", override).competition.root == expected


def test_overrides_of_lists_numbers_and_booleans(tmp_path: Path) -> None:
    found = load(
        tmp_path, "", 'prediction.views=["identity", "vflip"]', "training.learning_rate=1", "training.refit=true"
    )
    assert found.prediction.views == ("identity", "vflip")
    assert found.variants["original"].learning_rate == 1.0
    assert all(variant.refit for variant in found.variants.values())


def test_the_last_override_of_a_key_wins(tmp_path: Path) -> None:
    assert load(tmp_path, "", "folds.seed=1", "folds.seed=2").folds.seed == 2


@pytest.mark.parametrize("table", ["training", "network"])
def test_an_override_of_all_variants_reaches_every_one(tmp_path: Path, table: str) -> None:
    key, value = {"training": ("epochs", 3), "network": ("image_size", 64)}[table]
    text = f"[finetuning]\nepochs = 9\n[variants.original]\n{key} = 40\n[variants.deep]\ntrain_from = 'all'\n{key} = 50"
    found = load(tmp_path, text, f"{table}.{key}={value}")
    assert {getattr(variant, key) for variant in found.variants.values()} == {value}


def test_an_override_of_finetuning_reaches_the_finetuned_variants_alone(tmp_path: Path) -> None:
    printed = to_toml(load(tmp_path))
    found = load(tmp_path, printed, "finetuning.epochs=2")
    epochs = {name: variant.epochs for name, variant in found.variants.items()}
    assert epochs == {"original": 30, "augmented": 10, "finetuned": 2, "augmented_finetuned": 2}


def test_an_override_within_a_table_reaches_every_variant_too(tmp_path: Path) -> None:
    text = """
    [finetuning]
    class_weights = "balanced"
    [variants]
    a = { class_weights = { 1 = 2.0 } }
    b = { train_from = "all" }
    """
    weights = ("variants.a.class_weights=balanced", "training.class_weights.1=5", "training.class_weights.2=3")
    found = load(tmp_path, text, *weights).variants
    assert found["a"].class_weights == found["b"].class_weights == {"1": 5, "2": 3}
    found = load(tmp_path, text, *weights, "finetuning.class_weights.2=7", "variants.a.class_weights.1=9").variants
    assert found["a"].class_weights == {"1": 9}
    assert found["b"].class_weights == {"1": 5, "2": 7}


def test_an_override_of_one_variant_leaves_the_others(tmp_path: Path) -> None:
    found = load(tmp_path, "", "variants.original.epochs=2")
    assert {name for name, variant in found.variants.items() if variant.epochs == 2} == {"original"}
    assert list(found.variants) == list(load(tmp_path).variants)


def test_overrides_leave_the_defaults_of_the_next_run_alone(tmp_path: Path) -> None:
    before = load(tmp_path)
    load(tmp_path, "", "variants.original.epochs=2", "training.batch_size=3", "network.image_size=64")
    assert load(tmp_path) == before


@pytest.mark.parametrize("override", ["training.epochs", "epochs=1", "=1", "training.=1", ".epochs=1", "", "a..b=1"])
def test_a_misspelt_override_shows_how_to_write_it(tmp_path: Path, override: str) -> None:
    assert "table.key=value" in refusal(tmp_path, "", override)


def test_an_override_is_one_line(tmp_path: Path) -> None:
    told = refusal(tmp_path, "", "training.epochs=7\nfolds.seed=1")
    assert told.startswith(r"--set 'training.epochs=7\nfolds.seed=1': write it as table.key=value")


def test_an_override_that_puts_a_value_in_a_variants_place_is_refused(tmp_path: Path) -> None:
    assert "variants.augmented" in refusal(tmp_path, "", "variants.augmented=5", "training.epochs=1")


def test_a_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf[training]\r\nepochs = 3\r\n")
    assert load_settings(path).variants["original"].epochs == 3


def test_an_override_of_an_unknown_variant_makes_no_new_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, "", "variants.orignal.epochs=1")
    assert "orignal" in message
    assert "did you mean original" in message


@pytest.mark.parametrize(
    ("text", "unknown", "near"),
    [
        ("[competition]\nmetrik = 'x'", "competition.metrik", "metric"),
        ("[trainin]\nepochs = 3", "trainin", "training"),
        ("[training]\nepoch = 3", "training.epoch", "epochs"),
        ("[finetuning]\nlerning_rate = 3.0", "finetuning.lerning_rate", "learning_rate"),
        ("[network]\nbackbon = 'x'", "network.backbon", "backbone"),
        ("[variants.original]\ntrain_form = 'head'", "variants.original.train_form", "train_from"),
        ("[folds]\nn_split = 3", "folds.n_split", "n_splits"),
        ("[augmentation]\ncopys = 3", "augmentation.copys", "copies"),
        ("[prediction]\nview = []", "prediction.view", "views"),
        ("[blend]\nrestart = 3", "blend.restart", "restarts"),
        ("[jobs]\nthread = 3", "jobs.thread", "threads"),
        ("[paths]\noutputs = 'x'", "paths.outputs", "output"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, unknown: str, near: str) -> None:
    message = refusal(tmp_path, text)
    assert unknown in message
    assert f"did you mean {near}?" in message
    assert "cars.toml" in message


@pytest.mark.parametrize("text", ["run = 'x'", "epochs = 3", "[variants.original]\nname = 'x'"])
def test_keys_that_are_not_to_be_set_are_unknown(tmp_path: Path, text: str) -> None:
    assert "unknown" in refusal(tmp_path, text)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[competition]\nmetrik = 'x'\n[folds]\nn_splits = 1")
    assert "metrik" in message
    assert "folds.n_splits = 1" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[training]\nepochs = '3'", "training.epochs = '3': should be a valid integer"),
        ("[training]\nepochs = 1.5", "training.epochs = 1.5"),
        ("[training]\nepochs = true", "training.epochs = True"),
        ("[training]\nrefit = 1", "training.refit = 1"),
        ("[training]\nschedule = 'linear'", "'cosine' or 'constant'"),
        ("[training]\nclass_weights = {1 = -1.0}", "training.class_weights"),
        ("[prediction]\nviews = 'identity'", "prediction.views = 'identity'"),
        ("[prediction]\nmerge = 'mean'", "'arithmetic' or 'geometric'"),
        ("[competition]\nclasses = [1.5]", "competition.classes"),
        ("[competition]\nid_column = ''", "competition.id_column"),
        ("training = 3", "training must be a table"),
        ("variants = 3", "variants must be a table"),
        ("[variants]\nx = 3", "variants.x must be a table"),
    ],
)
def test_a_wrong_type_is_told_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("folds.n_splits", "1"),
        ("training.epochs", "0"),
        ("training.learning_rate", "0.0"),
        ("training.learning_rate", "-1.0"),
        ("training.learning_rate", "nan"),
        ("training.learning_rate", "inf"),
        ("training.label_smoothing", "1.0"),
        ("training.inner_split", "0.6"),
        ("network.image_size", "31"),
        ("network.dropout", "1.0"),
        ("augmentation.copies", "0"),
        ("jobs.jobs", "0"),
        ("folds.seed", "-1"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_key(tmp_path: Path, key: str, value: str) -> None:
    assert key in refusal(tmp_path, "", f"{key}={value}")


@pytest.mark.parametrize("text", ["variants = 3", "finetuning = 3", "training = 3", "[variants]\nx = 3"])
@pytest.mark.parametrize("override", ["training.epochs=1", "variants.x.epochs=1"])
def test_an_override_on_a_wrong_file_is_an_input_error(tmp_path: Path, text: str, override: str) -> None:
    refusal(tmp_path, text, override)


def test_dates_are_no_settings(tmp_path: Path) -> None:
    for table in ("competition", "training"):
        assert "date" in refusal(tmp_path, tomli_w.dumps({table: {"seed": date(2024, 1, 1)}}))


def test_a_start_must_exist(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[variants.original]\n[variants.b]\ntrain_from = 'all'\nstart = 'orignal'")
    assert "variants.b.start" in message
    assert "did you mean original?" in message


@pytest.mark.parametrize("circle", [("a",), ("a", "b"), ("a", "b", "c")])
def test_starts_must_not_go_in_a_circle(tmp_path: Path, circle: tuple[str, ...]) -> None:
    tables = {name: {"start": start} for name, start in zip(circle, circle[1:] + circle[:1], strict=True)}
    assert "circular" in refusal(tmp_path, tomli_w.dumps({"variants": tables}))


def test_a_mark_of_a_search_is_whole(tmp_path: Path) -> None:
    mark = "tuned = { trials = 40, cv = 0.61, corrected = 0.58 }"
    found = load(tmp_path, f"[variants.a]\n{mark}\n[variants.b]").variants
    assert found["a"].search == "the best of 40 trials: 0.6100, corrected 0.5800"
    assert found["b"].search == ""
    assert "tuned" not in found["b"].recorded()
    assert "trials, cv, corrected" in refusal(tmp_path, "[variants.a]\ntuned = { trials = 40 }")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("backbone = 'EfficientNetV2B0'", "another backbone"),
        ("weights = 'random'", "another backbone or weights"),
        ("seeds = 2", "more seeds"),
        ("refit = true", "refit"),
        ("early_stopping = 3", "inner_split"),
    ],
)
def test_contradictions_are_told(tmp_path: Path, extra: str, told: str) -> None:
    text = f"[variants.a]\n[variants.b]\ntrain_from = 'all'\nstart = 'a'\n{extra}"
    message = refusal(tmp_path, text)
    assert told in message
    assert "variants.b" in message


def test_a_finetuned_start_cannot_be_frozen_again(tmp_path: Path) -> None:
    text = "[variants.a]\ntrain_from = 'block6a'\n[variants.b]\ntrain_from = '{}'\nstart = 'a'"
    assert "variants.b starts from a" in refusal(tmp_path, text.format("head"))
    assert load(tmp_path, text.format("all")).variants["b"].start == "a"
    assert load(tmp_path, text.format("block6a")).variants["b"].train_from == "block6a"


@pytest.mark.parametrize("name", [*RESERVED_NAMES, "a.b", "a/b", "a b", "..", "", "-a"])
def test_a_variants_name_must_make_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    assert f"variants.{name}" in refusal(tmp_path, tomli_w.dumps({"variants": {name: {}}}))


def test_some_variant_is_needed(tmp_path: Path) -> None:
    assert "no variant" in refusal(tmp_path, "[variants]")


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml.*CONFIG="):
        load_settings(tmp_path / "nowhere.toml")


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    with pytest.raises(InputError, match="configs is a folder, not a configuration file"):
        load_settings(tmp_path / "configs")


def test_broken_toml_is_told_with_its_place(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "[training]\nepochs = x\n")


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"x\.toml"):
        load_settings(tmp_path / "x.toml")


def test_a_files_name_must_make_a_folder(tmp_path: Path) -> None:
    (tmp_path / "my cars.toml").write_text("")
    with pytest.raises(InputError, match="the run is named after the file"):
        load_settings(tmp_path / "my cars.toml")


def test_an_override_of_training_leaves_finetuning_its_own_rate(tmp_path: Path) -> None:
    found = load(tmp_path, "", "training.learning_rate=0.01", "training.batch_size=7", "training.epochs=2").variants
    assert (found["original"].learning_rate, found["original"].batch_size, found["original"].epochs) == (0.01, 7, 2)
    assert (found["finetuned"].learning_rate, found["finetuned"].batch_size, found["finetuned"].epochs) == (1e-4, 32, 2)


def test_an_override_of_finetuning_reaches_the_variants_that_finetune(tmp_path: Path) -> None:
    tables = '[variants]\na = {epochs = 9}\nb = {train_from = "all", epochs = 9, learning_rate = 0.5}'
    found = load(tmp_path, tables, "finetuning.epochs=2", "finetuning.learning_rate=0.25").variants
    assert (found["a"].epochs, found["a"].learning_rate) == (9, 1e-3)
    assert (found["b"].epochs, found["b"].learning_rate) == (2, 0.25)


def test_finetuning_may_have_its_own_image_size_until_an_override_of_the_network(tmp_path: Path) -> None:
    tables = "[network]\nimage_size = 224\n[finetuning]\nimage_size = 160"
    found = load(tmp_path, tables).variants
    assert (found["original"].image_size, found["finetuned"].image_size) == (224, 160)
    found = load(tmp_path, tables, "network.image_size=96").variants
    assert (found["original"].image_size, found["finetuned"].image_size) == (96, 96)


@pytest.mark.parametrize(
    ("methods", "told"), [("[]", "at least one"), ('["best", "best"]', "twice"), ('["bst"]', "blend.methods")]
)
def test_blend_methods_are_some_and_different(tmp_path: Path, methods: str, told: str) -> None:
    assert told in refusal(tmp_path, f"[blend]\nmethods = {methods}\n")


def test_more_methods_are_looked_at_where_the_metric_tells_them_apart(tmp_path: Path) -> None:
    assert load(tmp_path).blend.methods == ("greedy",)
    for metric in get_args(ProbabilityMetric):
        text = f'[competition]\nmetric = "{metric}"\n'
        assert load(tmp_path, text).blend.methods == ("greedy", "geometric", "rank")
        assert load(tmp_path, text, "blend.margin=1").blend.margin == 1
        assert load(tmp_path, text + '[blend]\nmethods = ["equal"]\n').blend.methods == ("equal",)
        assert load(tmp_path, "", f"competition.metric={metric}").blend.methods == ("greedy", "geometric", "rank")


def test_a_setting_added_later_is_recorded_only_where_it_is_set() -> None:
    class Later(Variant):
        momentum: Annotated[float, Added()] = 0.9

    before, same, other = Variant(name="a"), Later(name="a"), Later(name="a", momentum=0.5)
    added = {name for name, field in Variant.model_fields.items() if any(isinstance(m, Added) for m in field.metadata)}
    assert same.recorded() == before.recorded() == before.model_dump(mode="json", exclude=added)
    assert other.recorded() == before.recorded() | {"momentum": 0.5}
    assert "epochs" not in same.recorded(exclude={"epochs"})


def test_image_folders_are_a_text_or_a_list_and_an_ending_has_its_dot(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[competition]\ntrain_images = ["a", "b"]\nfilename_column = ""\nimage_extension = "png"\n')
    how = load_settings(path).competition
    assert (how.image_folders("train"), how.image_folders("test")) == (("a", "b"), ("test/images",))
    assert how.extension == ".png"
    assert load_settings(path, ["competition.image_extension=_small.png"]).competition.extension == "_small.png"
    assert load_settings(path, ["competition.filename_column=name"]).competition.extension is None
    for value in ("3", "[]", "[1]", '""'):
        with pytest.raises(InputError, match=r"competition\.train_images(\.0)? = ") as caught:
            load_settings(path, [f"competition.train_images={value}"])
        assert "a text" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        "leaves-2",
        "https://www.kaggle.com/competitions/leaves-2",
        "http://kaggle.com/c/leaves-2/data?select=train.csv",
        "www.kaggle.com/competitions/leaves-2/overview#evaluation",
    ],
)
def test_a_kaggle_competition_may_be_given_by_its_address(tmp_path: Path, given: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'[kaggle]\ncompetition = "{given}"\n')
    assert load_settings(path).kaggle.competition == "leaves-2"


@pytest.mark.parametrize("given", ["https://www.kaggle.com/datasets/a/b", "Leaf Classification", "https://x.org/c/a"])
def test_what_is_no_competition_s_name_is_told_with_what_to_write(tmp_path: Path, given: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'[kaggle]\ncompetition = "{given}"\n')
    with pytest.raises(InputError, match=r"kaggle\.competition = .* not a competition's name: .*competitions/NAME\.$"):
        load_settings(path)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("owner/leaves", "owner/leaves"),
        ("https://www.kaggle.com/datasets/owner/leaves", "owner/leaves"),
        ("kaggle.com/datasets/owner/leaves/data?select=x", "owner/leaves"),
        ("https://www.kaggle.com/datasets/owner/leaves/versions/3", "owner/leaves/3"),
        ("https://www.kaggle.com/owner/leaves", "owner/leaves"),
        ("https://www.kaggle.com/competitions/leaves", "https://www.kaggle.com/competitions/leaves"),
    ],
)
def test_a_kaggle_dataset_may_be_given_by_its_address(given: str, name: str) -> None:
    how = CompetitionSettings(kaggle_dataset=given)
    assert how.dataset == name
    assert how.kaggle_dataset == given  # as it is recorded


@pytest.mark.parametrize(("text", "why"), [("a\\u0000b", "control character"), ("~nobody-at-all/x", "no user")])
def test_texts_in_lists_are_usable_too(tmp_path: Path, text: str, why: str) -> None:
    assert why in refusal(tmp_path, f'[competition]\ntrain_images = ["train", "{text}"]\n')


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("panels-upper", " (did you mean configs/panels-upper.toml?)"),
        ("configs/panel-upper.toml", " (did you mean configs/panels-upper.toml?)"),
        ("mine/upper.toml", " (did you mean mine/uper.toml?)"),
        ("scans", ""),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_nearest(
    given: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("configs/panels-upper.toml", "configs/ripik.toml", "mine/uper.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        load_settings(Path(given))
    assert str(caught.value).startswith(f"there is no configuration file {given}{hint}. Give")
