"""The script of an export computes what the run does, from the photos' bytes to the blend; without onnxruntime."""

import ast
import csv
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from drawn_photos import write_photos
from odd_images import bad, good, twelve_bits
from ripik.analysis.metrics import get_metric
from ripik.config import load_settings
from ripik.data.image_files import decode, examine
from ripik.data.photo_files import photos_below
from ripik.data.pixel_rule import PixelRule
from ripik.ensemble.fold_models import as_blended
from ripik.ensemble.ranks import Ranks
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions, Recipe, fit
from ripik.export import predict as script
from ripik.export.build import models_of
from ripik.features.pixels import resize
from ripik.features.tta import VIEWS
from ripik.names import BlendMethod
from ripik.storage.paths import Job

SMALL = ((40, 24), (30, 30))
RULES = [PixelRule(), PixelRule(alpha="black"), PixelRule(alpha="drop"), PixelRule(levels=4096)]
OTHERWISE = ("1 × 1", "7 × 40", "TIFF", "huge", "just too large")  # of the bad files; the page tells of them


def test_it_imports_nothing_but_what_it_says() -> None:
    tree = ast.parse(Path(script.__file__).read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = {"csv", "json", "os", "sys", "collections.abc", "pathlib", "typing"}
    assert set(names) - own == {"cv2", "numpy", "onnxruntime"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, 64, SMALL)
    for name, data in {**good(), "12 bits": twelve_bits()[0]}.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_photos_are_decoded_as_in_the_run(rule: PixelRule, photos: Path) -> None:
    for path in photos.iterdir():
        found = script.decode(path.read_bytes(), **asdict(rule))
        np.testing.assert_array_equal(found, decode(path, rule), err_msg=path.name)


def test_transparency_is_seen(photos: Path) -> None:
    for path in photos.glob("*[0-9].webp"):
        shown, dropped = (script.decode(path.read_bytes(), 2**16, alpha) for alpha in ("white", "drop"))
        assert shown is not None
        assert dropped is not None
        assert (shown != dropped).any()


@pytest.mark.parametrize("name", [name for name in bad() if not any(part in name for part in OTHERWISE)])
def test_what_cannot_be_read_is_none_for_it_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(bad()[name][0])
    assert examine(path).problem
    assert script.decode(path.read_bytes(), 2**16, "white") is None


@pytest.mark.parametrize("shape", [(31, 47), (64, 64), (64, 80), (97, 200), (301, 128), (640, 480)])
def test_photos_are_resized_as_in_the_run(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(script.resize(image, 64), resize(image, 64))


def test_views_are_those_of_the_run() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), dtype=np.uint8)
    assert list(script.VIEWS) == list(VIEWS)
    for name, view in VIEWS.items():
        found = np.stack([script.VIEWS[name](image) for image in images])
        np.testing.assert_array_equal(found, view.apply(images), err_msg=name)


def test_the_same_files_are_photos(tmp_path: Path) -> None:
    names = ("b.jpg", "a.PNG", "sub/c.webp", "sub/more/d.txt", ".hidden.jpg", "__MACOSX/e.jpg", "f", "sub/.g/h.jpg")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good()["png"] if name != "sub/more/d.txt" else b"words")
    assert script.photos_below(tmp_path) == list(photos_below(tmp_path)[0]) == ["a.PNG", "b.jpg", "f", "sub/c.webp"]


def _said(rng: np.random.Generator, y: np.ndarray, views: int) -> np.ndarray:
    """Return probabilities of rows of known classes, float32 (views, n, 3)."""
    logits = rng.normal(0, 1, (views, len(y), 3)) + 1.5 * np.eye(3)[y]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32)


CASES = [(method, False, "arithmetic", "all") for method in get_args(BlendMethod)]
CASES += [("equal", True, how, views) for how in ("arithmetic", "geometric") for views in ("all", "auto")]


@pytest.mark.parametrize(("method", "shifted", "merging", "views"), CASES)
def test_what_the_trainings_say_is_blended_as_in_the_run(method: str, shifted: bool, merging: str, views: str) -> None:
    settings = load_settings(Path("configs/demo.toml"), [f"prediction.merge={merging}", f'blend.views="{views}"'])
    rng, metric = np.random.default_rng(0), get_metric("macro_f1")
    y = rng.integers(0, 3, 60)
    jobs = [[Job("a", fold, seed) for fold in (0, 1) for seed in (0, 1)], [Job("b", 0), Job("b", 1)], [Job("c", None)]]
    said = [{job: _said(rng, y, views=2 + (job.variant == "b")) for job in member} for member in jobs]
    recipe = Recipe(method, offsets=method == "equal", choose_views=views == "auto", prior_shift=shifted)
    known = MemberPredictions(as_blended(said, settings, apart=False)[0], np.arange(60))
    whole = fit(recipe, LabelledPredictions(known, y, y, np.arange(60)), metric, settings.blend, merging)
    fitted, used = whole.of_used(), np.flatnonzero(whole.blend.weights)
    jobs, said = [jobs[member] for member in used], [said[member] for member in used]

    shares = np.array([0.6, 0.3, 0.1])
    rows = [MemberPredictions(each, np.arange(60)) for each in as_blended(said, settings, apart=shifted)]
    wanted = fitted.apply(rows, shares)

    about: dict[str, Any] = {
        "fitted": json.loads(json.dumps(fitted.as_json())),
        "merge": merging,
        "views_chosen": views == "auto",
        "models": models_of(jobs, apart=shifted),
        "shares": shares.tolist(),
    }
    found = script.decide({str(job): values for member in said for job, values in member.items()}, about)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_ordered_classes_are_decided_as_in_the_run() -> None:
    settings = load_settings(Path("configs/demo.toml"), ["prediction.merge=arithmetic"])
    rng = np.random.default_rng(0)
    y, numbers = rng.choice(3, 60, p=[0.7, 0.2, 0.1]), np.arange(60)
    jobs = [[Job("a", 0), Job("a", 1)]]
    said = [{job: _said(rng, y, views=2) for job in jobs[0]}]
    rows = MemberPredictions(as_blended(said, settings, apart=False)[0], numbers)
    recipe = Recipe("equal", ranks=True)
    known = LabelledPredictions(rows, y, y, numbers)
    fitted = fit(recipe, known, get_metric("quadratic_kappa"), settings.blend, "arithmetic")
    fitted = replace(fitted, ranks=Ranks(np.array([0.3, 0.9]), 3.0))
    about: dict[str, Any] = {
        "fitted": json.loads(json.dumps(fitted.as_json())),
        "merge": "arithmetic",
        "views_chosen": False,
        "models": models_of(jobs, apart=False),
        "shares": [0.6, 0.3, 0.1],
    }
    found, wanted = script.decide({str(job): values for job, values in said[0].items()}, about), fitted.apply(rows)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert (found.argmax(axis=1) != fitted.plain().apply(rows).argmax(axis=1)).any()


def test_it_writes_a_row_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "photos"
    write_photos(folder, 3, SMALL)
    (folder / "broken.jpg").write_bytes(b"")
    about = {"classes": ["cat", "dog"], "rule": asdict(PixelRule()), "class_shares": [0.25, 0.75]}
    (tmp_path / "labels.json").write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setattr(script, "HERE", tmp_path)
    monkeypatch.setattr(script, "load", lambda about: np.array)
    monkeypatch.setattr(script, "decide", lambda said, about: np.tile([0.9, 0.1], (len(said), 1)))
    monkeypatch.setattr(script, "decode", lambda data, **rule: np.zeros(1) if data else None)

    script.main(folder, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filename", "label", "p_cat", "p_dog"]
    assert rows[1:] == [[name, "cat", "0.9", "0.1"] for name in ("0.jpg", "1.jpg", "2.JPEG")] + [
        ["broken.jpg", "dog", "0.25", "0.75"]
    ]


def test_what_the_csv_could_not_be_written_of_is_refused_before_a_photo_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "write", lambda *_: pytest.fail("the photos were read"))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "Citroën 1 🚗.jpg").write_bytes(b"")
    for target in (tmp_path / "nowhere" / "out.csv", folder):
        with pytest.raises(SystemExit, match=r"cannot write .* in a folder that is there"):
            script.main(folder, target)
    (folder / os.fsdecode(b"Citro\xebn")).write_bytes(b"")
    with pytest.raises(SystemExit, match=r"Citro\\udcebn' is not UTF-8"):
        script.main(folder, tmp_path / "out.csv")


def test_a_folder_without_photos_is_refused_and_the_csv_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="there is no folder"):
        script.main(tmp_path / "nowhere", target)
    with pytest.raises(SystemExit, match="contains no photos"):
        script.main(tmp_path / "empty", target)
    write_photos(tmp_path / "photos", 1, SMALL)

    def failing(folder: Path, names: list[str], target: Path) -> None:
        target.write_text("half", encoding="utf-8")
        raise OSError("no space")

    monkeypatch.setattr(script, "write", failing)
    with pytest.raises(OSError, match="no space"):
        script.main(tmp_path / "photos", target)
    assert target.read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob(".*"))
