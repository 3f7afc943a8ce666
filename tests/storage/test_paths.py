from pathlib import Path

import pytest

from ripik.config import RESERVED_NAMES, load_settings
from ripik.settings import Settings
from ripik.storage.paths import Job, Layout, layout_of


def settings(tmp_path: Path, text: str = "") -> Settings:
    config = tmp_path / "cars.toml"
    config.write_text(text, encoding="utf-8")
    return load_settings(config)


def test_the_contracts_paths(tmp_path: Path) -> None:
    layout = layout_of(settings(tmp_path))
    assert layout.input == Path("input/cars")
    assert layout.folds == Path("output/cars/folds.csv")
    assert layout.job(Job("finetuned", 3)) == Path("output/cars/finetuned/fold3")
    assert layout.variant("original") / "oof.csv" == Path("output/cars/original/oof.csv")
    assert layout.ensemble == Path("output/cars/ensemble")
    assert layout.submissions == Path("submissions")


def test_a_root_of_ones_own_replaces_the_input_folder(tmp_path: Path) -> None:
    layout = layout_of(settings(tmp_path, '[competition]\nroot = "/data/x"\n[paths]\noutput = "/big"'))
    assert (layout.input, layout.run) == (Path("/data/x"), Path("/big/cars"))


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert layout_of(settings(tmp_path, '[competition]\nroot = "~/data"')).input == tmp_path / "data"


@pytest.mark.parametrize(
    ("job", "folder"),
    [
        (Job("original", 0), "fold0"),
        (Job("original", 2, 1), "fold2-seed1"),
        (Job("original", None), "refit"),
        (Job("original", None, 2), "refit-seed2"),
    ],
)
def test_job_folders(job: Job, folder: str) -> None:
    assert (job.folder, str(job)) == (folder, f"original/{folder}")


def test_jobs_never_share_a_folder() -> None:
    jobs = [Job(variant, fold, seed) for variant in ("a", "b") for fold in (None, 0, 1, 12) for seed in range(3)]
    assert len({str(job) for job in jobs}) == len(jobs)


def test_no_variant_may_take_a_folder_that_the_run_keeps() -> None:
    layout = Layout(Path("i"), Path("run"), Path("s"))
    kept = [layout.ensemble, layout.copies, layout.pixels(224), layout.features("k"), layout.backbone("k")]
    assert {path.relative_to("run").parts[0] for path in kept} <= set(RESERVED_NAMES)
