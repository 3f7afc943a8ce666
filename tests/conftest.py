"""A tiny competition: three classes, a few drawn photos, each photo present as three altered copies."""

import fcntl
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from ripik import cli
from ripik.config import load_settings
from ripik.execution import environment as environment_module
from ripik.execution.progress import View
from ripik.execution.task import More, Task
from ripik.settings import Settings

if TYPE_CHECKING:
    from kaggle_stand_in import StandIn

HOOKS = Path(__file__).parent / "hooks"  # what every process of the tests begins with
if str(HOOKS) not in sys.path:
    sys.path.insert(0, str(HOOKS))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")]))
importlib.import_module("small_network").install()

settings.register_profile("ripik", derandomize=True, deadline=None, database=None)
settings.load_profile("ripik")

CLASSES = (1, 2, 3)
PHOTOS_PER_CLASS, TEST_PHOTOS, COPIES, SIDE = 3, 2, 3, 48
SPLITS = 3
SOME_TIME = 1_700_000_000

MEMBERS = ["original", "augmented", "finetuned", "augmented_finetuned"]
FAST = (  # `finetuned` trains all layers, `augmented_finetuned` the last block
    *("folds.n_splits=2", "training.epochs=2", "jobs.jobs=2"),
    "variants.augmented_finetuned.train_from=block7a",
)

LONG_FILES = ("test_kernel", "test_training_pipeline", "test_plan", "test_distribution", "test_torture", "test_faults")

CONFIG = """[competition]
root = "{folder}/input"

[paths]
output = "{folder}/output"
submissions = "{folder}/submissions"

[folds]
n_splits = 3

[network]
backbone = "SmallNet"
weights = "random"
image_size = 32

[augmentation]
copies = 2
size = 48

[prediction]
engine = "keras"

[blend]
bags = 4
"""


@dataclass(frozen=True)
class Drawn:
    """The files of the competition, drawn once a session."""

    train: pd.DataFrame  # image_id, filename, label, photo
    test: pd.DataFrame  # image_id, filename, photo
    jpegs: dict[str, bytes]  # by file name


@dataclass(frozen=True)
class Tiny:
    """The tiny competition on disk: its folder, its configuration, and the truth about its photos."""

    folder: Path
    config: Path
    truth: pd.DataFrame
    test: pd.DataFrame

    @property
    def input(self) -> Path:
        return self.folder / "input"

    @property
    def run(self) -> Path:
        return self.folder / "output" / "tiny"

    @property
    def train_csv(self) -> Path:
        return self.input / "train" / "train.csv"

    @property
    def sample_csv(self) -> Path:
        return self.input / "sample_submission.csv"

    def settings(self, *overrides: str) -> Settings:
        return load_settings(self.config, overrides)

    def cli(self, step: str, *arguments: str) -> int:
        return cli.main([step, "--config", str(self.config), *arguments])

    def edit(self, csv: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        change(pd.read_csv(csv, dtype=str, keep_default_na=False)).to_csv(csv, index=False)

    def write_folds(self, splits: int = SPLITS) -> pd.DataFrame:
        """Write the true groups: groups.csv, and folds.csv where photo p of a class stands in fold p mod splits."""
        folds = self.truth[["image_id", "label"]].assign(group=self.truth["photo"], fold=self.truth["photo"] % splits)
        self.run.mkdir(parents=True, exist_ok=True)
        folds.to_csv(self.run / "folds.csv", index=False)
        both = pd.concat([self.truth.assign(split="train"), self.test.assign(split="test")])
        groups = both[["image_id", "split"]].assign(group=both["photo"], matched_id="", similarity="")
        groups.to_csv(self.run / "groups.csv", index=False)
        return folds


def draw_photo(seed: int) -> np.ndarray:
    """Return smooth blobs and sharp shapes that no other seed shows: uint8, (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.uniform(20, 235, (6, 6, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        start, end = rng.integers(0, SIDE, (2, 2)).tolist()
        cv2.line(image, start, end, rng.uniform(0, 255, 3).tolist(), 2)
    return np.clip(image, 0, 255).astype(np.uint8)


def altered(photo: np.ndarray, seed: int) -> np.ndarray:
    """Return a near copy: another brightness, slight blur and grain."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(photo, (3, 3), rng.uniform(0.2, 0.6)) * rng.uniform(0.85, 1.15)
    return np.clip(image + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)


def _rows(photos: int, first_photo: int, first_id: int, seed: int) -> pd.DataFrame:
    frame = pd.DataFrame({"photo": np.repeat(np.arange(first_photo, first_photo + photos), COPIES)})
    frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    ids = [str(number) for number in range(first_id, first_id + len(frame))]
    return frame.assign(image_id=ids, filename=[f"{text}.jpg" for text in ids])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests are long, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: LONG_FILES.index(item.path.stem) if item.path.stem in LONG_FILES else len(LONG_FILES))


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Leave out `fsync`, which matters in a crash of the machine alone, and waits for the disk at every file."""
    with mock.patch("os.fsync"):
        yield


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    return draw_competition()


def draw_competition() -> Drawn:
    """Draw the competition's photos."""
    count = len(CLASSES) * PHOTOS_PER_CLASS
    train = _rows(count, 0, 1, seed=0)
    test = _rows(TEST_PHOTOS, count, len(train) + 1, seed=1)
    train = train.assign(label=[CLASSES[photo // PHOTOS_PER_CLASS] for photo in train["photo"]])
    jpegs = {}
    for row in pd.concat([train, test]).itertuples():
        image = altered(draw_photo(row.photo), int(row.image_id))
        jpegs[row.filename] = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return Drawn(train, test, jpegs)


def write_competition(tmp_path: Path, drawn: Drawn) -> Tiny:
    """Write the competition into a folder, with modification times that are the same in every folder."""
    for split, frame, columns in (
        ("train", drawn.train, ["image_id", "filename", "label"]),
        ("test", drawn.test, ["image_id", "filename"]),
    ):
        images = tmp_path / "input" / split / "images"
        images.mkdir(parents=True)
        for name in frame["filename"]:
            (images / name).write_bytes(drawn.jpegs[name])
            os.utime(images / name, (SOME_TIME, SOME_TIME))
        frame[columns].to_csv(tmp_path / "input" / split / f"{split}.csv", index=False)
    sample = drawn.test[["image_id"]].iloc[::-1].assign(label=CLASSES[0])
    sample.to_csv(tmp_path / "input" / "sample_submission.csv", index=False)
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG.format(folder=tmp_path.as_posix()), encoding="utf-8")
    return competition_at(tmp_path, drawn)


def competition_at(folder: Path, drawn: Drawn) -> Tiny:
    """Return what `write_competition` has written into a folder."""
    truth, test = drawn.train[["image_id", "label", "photo"]], drawn.test[["image_id", "photo"]]
    return Tiny(folder, folder / "tiny.toml", truth, test)


@pytest.fixture
def tiny(tmp_path: Path, drawn: Drawn) -> Iterator[Tiny]:
    """Write the competition into `tmp_path`; folders made read-only by a test are opened again afterwards."""
    yield write_competition(tmp_path, drawn)
    for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        folder.chmod(0o755)


@contextmanager
def in_this_process() -> Iterator[None]:
    """Let tasks be done here, one after the other: a process for each would load Keras for each."""

    def here(tasks: Sequence[Task], at_once: int, threads: int, shown: View, more: More | None = None) -> None:
        if "keras" not in sys.modules:
            environment_module.prepare_environment(threads)
        waiting = list(tasks)
        while waiting:
            task = waiting.pop(0)
            module, name = task.function.split(":")
            shown.begin(task.name)
            told = getattr(importlib.import_module(module), name)(*task.arguments, lambda done, total, note="": None)
            shown.end(task.name, told or "")
            waiting[:0] = more(task.name) if more else []

    with mock.patch("ripik.execution.runner.run_here", here), mock.patch.dict(os.environ):
        yield


def ripik(tiny: Tiny, step: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a step in this process, with its tasks, by the settings that make it fast."""
    fast = [part for override in FAST for part in ("--set", override)]
    words, handler = [step, "--config", str(tiny.config), *fast, *arguments], signal.getsignal(signal.SIGTERM)
    out, error = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(error), chdir(tiny.folder), in_this_process():
            code = cli.main(words)
    except SystemExit as refused:  # argparse's
        code = int(refused.code or 0)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


FINISH = """
import sys
from pathlib import Path
from conftest import Tiny, ripik

tiny = Tiny(Path.cwd(), Path("tiny.toml").absolute(), None, None)
for step in ("folds", "train", "ensemble"):
    done = ripik(tiny, step)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
"""


def shared(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled, once for all test processes that are at work."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    whole = folder.parent / f"{name}.whole"
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Tiny:
    """Return the tiny competition after `train` and `ensemble` of all four variants; not to be changed.

    A process of its own makes it, with the threads of a job.
    """

    def make(folder: Path) -> None:
        write_competition(folder, drawn)
        found = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
        command = [sys.executable, "-c", FINISH]
        environment = os.environ | {"PYTHONPATH": found}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return competition_at(shared(tmp_path_factory, "finished", make), drawn)


def copy_of(tiny: Tiny, folder: Path) -> Tiny:
    """Return a copy of all that a competition's run holds, modification times included, that may be changed.

    The organiser's files are the same, and so are weights and arrays: steps replace them, and never write into them.
    """
    folder.mkdir()
    (folder / "input").symlink_to(tiny.input.resolve())
    for name in ("output", "submissions"):
        shutil.copytree(tiny.folder / name, folder / name, copy_function=_copied)
    config = folder / tiny.config.name
    text = CONFIG.format(folder=folder.as_posix())
    config.write_text(text.replace(f'"{folder}/input"', f'"{tiny.input.resolve()}"'), encoding="utf-8")
    return Tiny(folder, config, tiny.truth, tiny.test)


def _copied(source: str, target: str) -> str:
    if not source.endswith((".h5", ".npz", ".npy")):
        return shutil.copy2(source, target)
    os.link(source, target)
    return target


@pytest.fixture
def mine(finished: Tiny, tmp_path: Path) -> Tiny:
    """Return a copy of the finished competition for one test."""
    return copy_of(finished, tmp_path / "mine")


@pytest.fixture(scope="session")
def reported(finished: Tiny, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return a copy of the finished competition after `report`; not to be changed."""

    def make(folder: Path) -> None:
        with mock.patch("ripik.ensemble.expectation.FEWEST", 2):  # photos from which train is told from test
            done = ripik(copy_of(finished, folder), "report")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "report/index.html" in done.stdout

    return competition_at(shared(tmp_path_factory, "reported", make), drawn)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder, and set an environment, without any credentials."""
    for name in ("CONFIG_DIR", "API_TOKEN", "USERNAME", "KEY", "KERNEL_RUN_TYPE"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    for name in ("XDG_CONFIG_HOME", "HTTP_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret-key")


@pytest.fixture(scope="session")
def kept_kaggle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Return what calls the `kaggle` command in a process that has imported its packages."""
    script, socket = Path(__file__).with_name("kept_kaggle.py"), tmp_path_factory.mktemp("kaggle") / "socket"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(script), "serve", str(socket)], **pipes) as kept:
        assert kept.stdout is not None
        assert kept.stdout.readline() == b"ready\n"
        yield [sys.executable, "-I", "-S", str(script), "call", str(socket)]
        kept.communicate()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch, kept_kaggle: list[str]) -> Iterator["StandIn"]:
    """Return the server that the `kaggle` command talks to; what it finds wrong in a request fails the test."""
    from kaggle_stand_in import StandIn, serving
    from organiser import nested, zip_of

    monkeypatch.setattr("ripik.kaggle.client._command", lambda: kept_kaggle)
    stand_in = StandIn(archive=zip_of(nested()))
    with serving(stand_in) as address:
        monkeypatch.setenv("http_proxy", address)
        yield stand_in
    assert stand_in.bad == []
