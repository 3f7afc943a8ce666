"""What a kernel is made of, without running one: names, packages, mounts, and the errors of building."""

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import FAST, Tiny
from organiser import folder_of, layout
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.ensemble import inputs
from ripik.ensemble.fold_models import as_blended
from ripik.errors import InputError
from ripik.features.pixels import _builds
from ripik.features.store import Pass, VariantData
from ripik.kaggle.kernel import infer, models_dataset
from ripik.kaggle.kernel.build import LARGEST, check_engines, code_text, package_zip, requirements
from ripik.kaggle.kernel.infer import TEST, Trained, check_engine, lacking_test_passes, said
from ripik.kaggle.kernel.machine import Machine, _data
from ripik.kaggle.kernel.manifest import Manifest, images_digest
from ripik.kaggle.kernel.names import identity, slug_of, title_of
from ripik.kaggle.kernel.packages import problems
from ripik.splits.run import Run
from ripik.storage import artifacts


def test_titles_become_the_ids(tmp_path: Path) -> None:
    from slugify import slugify

    for run in ("ripik", "Cars_v2.1", "a--b"):
        config = tmp_path / f"{run}.toml"
        config.write_text('[kaggle]\nuser = "Some_One"\n')
        settings = load_settings(config)
        title = title_of(settings, "infer")
        assert slugify(title) == slug_of(title)
        assert identity(settings, "infer") == f"some_one/{slug_of(title)}"


def test_a_name_that_is_too_long_and_no_user_are_told(tmp_path: Path) -> None:
    config = tmp_path / f"{'a' * 50}.toml"
    config.write_text("")
    with pytest.raises(InputError, match="longer than the 50 characters"):
        title_of(load_settings(config), "models")
    with pytest.raises(InputError, match=r"kaggle\.user is empty"):
        identity(load_settings(config), "models")


def test_the_same_sources_make_the_same_package() -> None:
    assert package_zip() == package_zip()


def test_the_code_file_is_far_from_the_largest_that_kaggle_takes() -> None:
    assert len(code_text("a kernel", {})) < 0.6 * LARGEST


def test_packages_are_held_against_their_ranges() -> None:
    assert problems(requirements(), "train") == []
    told = problems(["keras>=99", "pandas", "no-such-package>=1", "kaggle>=99", "numpy<1; python_version<'3'"], "train")
    assert told[0].startswith("keras ")
    assert told[0].endswith(", but >=99 is needed")
    assert told[1:] == ["no-such-package is not installed, but >=1 is needed"]
    assert problems(["albumentations>=99"], "infer") == []
    assert len(problems(["albumentations>=99"], "train")) == 1


def test_photos_are_decoded_without_albumentations_and_by_a_twin_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python": "4.9", "numpy": "2.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert _builds() == {"opencv-python-headless": "4.9", "albumentations": None, "numpy": "2.0"}


@pytest.mark.parametrize("place", ["cars", "competitions/cars", "datasets/somebody/cars"])
def test_what_is_mounted_is_found_wherever_kaggle_puts_it(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    machine = Machine(tmp_path, tmp_path, tmp_path)
    assert machine.need("cars", "the data") == tmp_path / place
    with pytest.raises(InputError, match=r"the data boats is not mounted below .*there: "):
        machine.need("boats", "the data")


@pytest.mark.parametrize("kind", ["train", "infer"])
def test_a_kernel_needs_no_test_set_where_there_is_none(tmp_path: Path, kind: str) -> None:
    files = {name: data for name, data in layout().items() if name.startswith("train/")}
    mount = folder_of(tmp_path / "in" / "cars", files)
    config = tmp_path / "cars.toml"
    config.write_text('[competition]\ntest_images = ""\n')
    facts = {"data": "cars", "kind": kind, "run": "cars"}
    (told,) = _data(config, [], Machine(tmp_path / "in", tmp_path, tmp_path / "out"), facts)
    assert told == f"competition.root={mount if kind == 'infer' else tmp_path / 'out' / 'input' / 'cars'}"
    assert len(read_competition(load_settings(config, [told])).train) == 5


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ([], "kaggle.competition to its name"),
        (["kaggle.competition=cars"], "kaggle.user is empty"),
        (["kaggle.competition=cars", "kaggle.user=me"], "the run has no blend yet"),
    ],
)
def test_what_a_kernel_needs_is_told(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], sets: list[str], told: str
) -> None:
    tiny.write_folds()
    assert tiny.cli("kernel", *(part for each in sets for part in ("--set", each))) == 2
    assert told in capsys.readouterr().err
    assert not (tiny.run / "kernel" / "infer" / "kernel-metadata.json").exists()


def test_an_engine_that_kaggle_lacks_is_told_with_both_ways_out(tiny: Tiny) -> None:
    jobs = {"original/fold0": {"engine": {"name": "keras 3.15.1"}, "frozen": {"name": "openvino 2026.4.1"}}}
    manifest = Manifest("tiny", "models", {}, jobs=jobs)
    with pytest.raises(InputError, match=r"openvino 2026\.4\.1, which .*kaggle\.engine.*prediction\.engine"):
        check_engines(tiny.settings(), manifest)
    check_engines(tiny.settings("kaggle.engine=keras"), manifest)
    check_engines(tiny.settings(), Manifest("tiny", "models", {}, jobs={"a/fold0": {"engine": {"name": "keras 3"}}}))


def test_a_head_that_keras_predicted_is_predicted_by_numpy_with_a_warning(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny.settings("kaggle.engine=recorded")
    check_engine({"name": "keras 3"}, {"name": "numpy 2"}, settings, "original/fold0")
    assert "the last digits may differ" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="was predicted by openvino 1, not by numpy 2"):
        check_engine({"name": "openvino 1"}, {"name": "numpy 2"}, settings, "original/fold0")


def test_what_is_stored_of_other_images_is_not_taken(tiny: Tiny) -> None:
    tiny.write_folds()
    settings = tiny.settings()
    data = VariantData(Run.open(settings), settings.variants["original"])
    stored = data.path(Pass("test"))
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"of another test set")
    assert [item.view for item in lacking_test_passes(data)] == ["identity", "hflip"]


def test_a_file_that_is_damaged_on_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"1")
    Manifest("tiny", "weights", {"a.h5": artifacts.file_digest(tmp_path / "a.h5")}).write(tmp_path)
    assert Manifest.read(tmp_path).kind == "weights"
    (tmp_path / "a.h5").write_bytes(b"2")
    with pytest.raises(InputError, match=r"1 of 1 files are missing or damaged, the first a\.h5"):
        Manifest.read(tmp_path)


def test_pushing_what_is_not_built_is_told(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.cli("kernel-push", "--set", "kaggle.user=me") == 2
    assert f"Run `make kernel KIND=infer CONFIG={tiny.config}` first" in capsys.readouterr().err


def test_the_kernel_blends_the_digits_of_the_run_and_together_they_are_its_test_csv(mine: Tiny) -> None:
    run, members = Run.open(mine.settings(*FAST)), ["original", "finetuned"]
    for path in mine.run.glob("*/fold*/predictions.npz"):
        with np.load(path) as stored:
            np.save(path.with_name(TEST), stored["test"])
    trained, of_run = Trained(run, Manifest("tiny", "models", {}, members=members), mine.folder), {}
    for apart in (True, False):
        of_run[apart] = [
            rows.probabilities for rows in inputs.test_rows(run, inputs.said_of_test(run, members), apart=apart)
        ]
        of_kernel = as_blended([said(trained, name) for name in members], run.settings, apart=apart)
        np.testing.assert_array_equal(of_kernel, of_run[apart])
    assert [values.shape for values in of_run[True]] == [(2, 1, 6, 3)] * 2
    [together] = of_run[False]
    np.testing.assert_allclose(np.mean(of_run[True], axis=0), together, atol=1e-12)
    for member, values in zip(members, together[:, 0], strict=True):
        csv = pd.read_csv(mine.run / member / "test.csv").filter(like="p_")
        np.testing.assert_allclose(values, csv, atol=1e-6)


def test_a_run_without_a_sample_leaves_the_dataset_of_models_as_it_is(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = np.full(3, 1 / 3, np.float32)
    monkeypatch.setattr(models_dataset, "finished_models", lambda settings: (["original"], None, shares))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "kept.txt").write_text("of a run before", encoding="utf-8")
    with pytest.raises(InputError, match="there is no sample submission"):
        models_dataset.write_models(tiny.settings("competition.sample_submission="), tmp_path / "models")
    assert (tmp_path / "models" / "kept.txt").exists()


def test_groups_of_ids_that_pandas_takes_for_missing_are_found(tmp_path: Path) -> None:
    test = pd.DataFrame({"image_id": ["null", "a", "NA"], "path": "", "readable": False})
    test.assign(group=[4, 5, 4], split="test")[["image_id", "group"]].to_csv(tmp_path / infer.GROUPS, index=False)
    run = SimpleNamespace(settings=None, competition=SimpleNamespace(test=test))
    trained = SimpleNamespace(run=run, models=tmp_path, manifest=SimpleNamespace(test_images=images_digest(test)))
    fitted = SimpleNamespace(recipe=SimpleNamespace(copies_vote=True))
    assert infer._photos(trained, fitted).tolist() == [4, 5, 4]
