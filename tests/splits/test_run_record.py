from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from conftest import Tiny
from ripik.config import load_settings, to_toml
from ripik.splits.run import Run, record_run


@pytest.fixture
def run(tiny: Tiny) -> Run:
    tiny.write_folds()
    return Run.open(tiny.settings("training.epochs=3", "variants.augmented.seeds=2"))


def made_at(run: Run) -> list[int]:
    return [path.stat().st_mtime_ns for path in (run.layout.config, run.layout.images)]


def test_the_configuration_is_kept_with_every_default_and_is_the_same_when_read_again(run: Run) -> None:
    record_run(run)
    text = run.layout.config.read_text(encoding="utf-8")
    assert text == to_toml(run.settings)
    again = load_settings(run.layout.config)
    assert again.model_copy(update={"run": run.settings.run}) == run.settings
    assert to_toml(again) == text
    assert again.variants["augmented"].seeds == 2


def test_every_image_is_told_with_its_split_and_its_file(run: Run, tiny: Tiny) -> None:
    record_run(run)
    found = pd.read_csv(run.layout.images, dtype=str)
    assert found.columns.tolist() == ["image_id", "split", "path"]
    assert found["image_id"].tolist() == [*tiny.truth["image_id"], *tiny.test["image_id"]]
    assert found["split"].tolist() == ["train"] * len(tiny.truth) + ["test"] * len(tiny.test)
    for row in found.itertuples():
        assert Path(row.path) == tiny.input / str(row.split) / "images" / f"{row.image_id}.jpg"
        assert Path(row.path).is_file()


def test_paths_are_absolute_wherever_the_step_was_run(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_folds()
    monkeypatch.chdir(tiny.folder)
    run = Run.open(tiny.settings("competition.root=input"))
    assert not run.competition.train["path"][0].is_absolute()
    record_run(run)
    paths = [Path(path) for path in pd.read_csv(run.layout.images)["path"]]
    assert all(path.is_absolute() and path.is_file() for path in paths)


def test_nothing_is_written_again_unless_it_changed(run: Run, tiny: Tiny) -> None:
    record_run(run)
    before = made_at(run)
    record_run(run)
    assert made_at(run) == before
    record_run(replace(run, settings=tiny.settings("training.epochs=4")))
    config, images = made_at(run)
    assert config > before[0]
    assert images == before[1]
    assert load_settings(run.layout.config).variants["original"].epochs == 4


def test_what_was_edited_is_put_right(run: Run) -> None:
    record_run(run)
    run.layout.images.write_text("image_id\n", encoding="utf-8")
    record_run(run)
    assert len(pd.read_csv(run.layout.images)) == 33
