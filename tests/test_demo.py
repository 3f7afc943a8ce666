"""The demo's own parts: the hidden labels, the score on them, and what it refuses."""

from pathlib import Path

import pandas as pd
import pytest

from conftest import Tiny, in_this_process
from ripik import demo
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.data.demo.drawing import draw_competition
from ripik.errors import InputError
from ripik.splits.run import Run

CONFIG = Path(__file__).parent.parent / "configs" / "demo.toml"
FEW = {"seed": 0, "train_photos": 14, "test_photos": 12}


@pytest.fixture
def drawn_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the opened run of a demo of few photos."""
    monkeypatch.setattr(demo, "PHOTOS", FEW)
    draw_competition(tmp_path / "drawn", size=48, **FEW)
    overrides = [f"competition.root={tmp_path / 'drawn'}", f"paths.output={tmp_path / 'output'}"]
    settings = load_settings(CONFIG, overrides)
    train = read_competition(settings).train
    folds = train[["image_id", "label"]].assign(group=range(len(train)), fold=[row % 3 for row in range(len(train))])
    (tmp_path / "output" / "demo").mkdir(parents=True)
    folds.to_csv(tmp_path / "output" / "demo" / "folds.csv", index=False)
    return Run.open(settings)


def test_the_truth_scores_one_and_a_single_class_little(drawn_run: Run) -> None:
    truth = demo.truth()
    perfect = pd.DataFrame({"image_id": truth.index, "label": truth.to_numpy()}).sample(frac=1, random_state=0)
    assert demo.hidden_score(drawn_run, perfect, truth) == 1
    assert demo.hidden_score(drawn_run, perfect.assign(label=2), truth) < 0.2


def test_the_truth_is_of_the_test_set_and_in_no_file(drawn_run: Run) -> None:
    assert list(demo.truth().index) == drawn_run.competition.test["image_id"].tolist()
    root = drawn_run.layout.input
    for csv in ("test/test.csv", "sample_submission.csv"):
        frame = pd.read_csv(root / csv)
        assert "label" not in frame.columns or frame["label"].nunique() == 1


def test_another_competition_in_its_place_is_refused(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="in input/demo"):
        demo.demo(tiny.settings())
    settings = load_settings(CONFIG, [f"competition.root={tiny.input}"])
    with pytest.raises(InputError, match="not hold the demo's competition"):
        demo.demo(settings)


@pytest.mark.long
def test_the_demo_goes_from_the_photos_to_the_score_of_its_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "PHOTOS", FEW)
    monkeypatch.setattr(demo, "SIZE", 48)
    overrides = [f"paths.{name}={tmp_path / name}" for name in ("input", "output", "submissions")]
    overrides += ["network.backbone=SmallNet", "network.weights=random", "network.image_size=32", "training.epochs=1"]
    overrides += ["finetuning.epochs=1", "finetuning.image_size=32", "augmentation.copies=1", "prediction.engine=keras"]
    overrides += [f"variants.{name}.train_from=all" for name in ("finetuned", "augmented_finetuned")]
    settings = load_settings(CONFIG, overrides)
    with in_this_process():
        demo.demo(settings)
    told = " ".join(capsys.readouterr().out.split())
    (submission,) = (tmp_path / "submissions").glob("demo-*[0-9].csv")
    score = demo.hidden_score(Run.open(settings), pd.read_csv(submission, dtype={"image_id": str}), demo.truth())
    assert told.startswith("generating ")
    assert f"blend, hidden test labels │ {score:.4f}" in told
    assert (tmp_path / "output" / "demo" / "report" / "index.html").is_file()
    with in_this_process():
        demo.demo(settings)
    assert "generating" not in capsys.readouterr().out
