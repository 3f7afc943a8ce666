"""The step `kernel`: write what `kaggle kernels push` sends, and the datasets that the kernel reads."""

import base64
import importlib.metadata
import importlib.util
import io
import json
import lzma
import shutil
import textwrap
import zipfile
from pathlib import Path
from typing import Any

from rich.filesize import decimal

import ripik
from ripik.config import to_toml
from ripik.console import say
from ripik.errors import InputError
from ripik.kaggle.kernel.manifest import MANIFEST, Manifest
from ripik.kaggle.kernel.models_dataset import write_models, write_own_files, write_weights
from ripik.kaggle.kernel.names import KINDS, code_file, dataset_folder, identity, slug_of, title_of
from ripik.names import KERAS
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

CARRIED = ("tomli_w",)  # small packages of pure Python that Kaggle's image may lack
SUFFIXES = (".py", ".j2", ".html", ".css", ".js")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same sources make the same bytes
WIDTH = 120
CODE = '''\
"""{title}: a kernel of ripik, written by `make kernel`. Build it again instead of editing it."""

import base64
import io
import json
import lzma
import os
import subprocess
import sys
import tempfile
import time
import zipfile

START = time.monotonic()
FACTS = r"""{facts}"""

PACKAGE = """
{package}
"""

folder = tempfile.mkdtemp(prefix="ripik-")
zipfile.ZipFile(io.BytesIO(lzma.decompress(base64.b64decode(PACKAGE)))).extractall(folder)
facts = os.path.join(folder, "facts.json")
with open(facts, "w", encoding="utf-8") as file:
    json.dump({{**json.loads(FACTS), "start": START}}, file)
environment = {{**os.environ, "PYTHONPATH": folder, "PYTHONUNBUFFERED": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}}
code = subprocess.run([sys.executable, "-m", "ripik.kaggle.kernel.main", facts], env=environment).returncode
if code:
    sys.exit(code)
'''


def code_text(title: str, facts: dict[str, Any]) -> str:
    """Return the code file: `facts` (JSON) for `kernel.main`, this package as a zip, compressed whole, in base64.

    It adds to the facts when it was started (`start`, on the monotonic clock): there the time limit begins.
    """
    packed = lzma.compress(package_zip(), preset=lzma.PRESET_EXTREME)
    package = "\n".join(textwrap.wrap(base64.b64encode(packed).decode(), WIDTH))
    return CODE.format(title=title, facts=json.dumps(facts, indent=1, ensure_ascii=True), package=package)


def package_zip() -> bytes:
    """Return this package and the carried ones as a zip, not compressed; the same sources give the same bytes."""
    folders = [Path(ripik.__file__).parent, *(_folder(name) for name in CARRIED)]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix in SUFFIXES:
                    name = path.relative_to(folder.parent).as_posix()
                    archive.writestr(zipfile.ZipInfo(name, LONG_AGO), path.read_bytes())
    return written.getvalue()


def requirements() -> list[str]:
    """Return this package's own requirements with their ranges, without extras: `keras!=3.11.*,>=3.8`."""
    return [text for text in importlib.metadata.requires("ripik") or [] if "extra ==" not in text]


def _folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is one of the requirements"
    assert found.origin is not None
    return Path(found.origin).parent


METADATA = "kernel-metadata.json"
LARGEST = 1_000_000  # bytes of a code file that Kaggle takes
NO_ENGINES = ("openvino",)  # not in Kaggle's image


def build_kernel(settings: Settings, kind: str) -> Path:
    """Write the kernel `train` or `infer` of a run, ready to be pushed; return its folder.

    Raises InputError without `kaggle.user` or a source of data on Kaggle, for `infer` without a finished blend, and
    where its engine is none that Kaggle's image has.
    """
    if kind not in KINDS:
        raise InputError(f"there is no kernel {kind!r}: the kinds are {' and '.join(KINDS)}.")
    folder = layout_of(settings).kernel(kind)
    data = _data_source(settings)
    name, title = identity(settings, kind), title_of(settings, kind)
    datasets = _write_datasets(settings, kind, folder)
    facts = {
        "kind": kind,
        "run": settings.run,
        "kernel": slug_of(title),
        "data": data["slug"],
        "datasets": datasets,
        "requires": requirements(),
        "seconds": settings.kaggle.seconds,
        "settings": to_toml(settings),
    }
    artifacts.write_json(folder / METADATA, _metadata(settings, kind, name, title, data, list(datasets)))
    code = folder / code_file(settings, kind)
    artifacts.write_text(code, code_text(title, facts))
    size = code.stat().st_size
    if size > LARGEST:
        raise InputError(f"{code} is {decimal(size)}, but Kaggle accepts at most {decimal(LARGEST)}.")
    say(f"kernel: wrote {folder} for {name}; {code.name} is {decimal(size)}")
    _tell_datasets(folder, list(datasets))
    return folder


def _write_datasets(settings: Settings, kind: str, folder: Path) -> dict[str, dict[str, str]]:
    """Write what the kernel reads besides the competition; return each dataset's slug and its manifest's digest."""
    if kind == "infer":
        check_engines(settings, write_models(settings, dataset_folder(folder, "models")))
        names = ["models"]
    else:
        writers = {"weights": write_weights, "files": write_own_files}
        names = [what for what, write in writers.items() if write(settings, dataset_folder(folder, what))]
    for old in folder.glob("datasets/*/"):
        if old.name not in names:
            shutil.rmtree(old)
    manifests = {what: dataset_folder(folder, what) / MANIFEST for what in names}
    return {
        what: {"slug": slug_of(title_of(settings, what)), "manifest": artifacts.file_digest(manifest)}
        for what, manifest in manifests.items()
    }


def check_engines(settings: Settings, manifest: Manifest) -> None:
    """Raise InputError where a run was predicted by an engine that Kaggle's image lacks, unless Keras is asked for."""
    used = {record["name"] for job in manifest.jobs.values() for record in job.values() if record}
    absent = sorted(name for name in used if name.split()[0] in NO_ENGINES)
    if absent and settings.kaggle.engine != KERAS:
        raise InputError(
            f"the run was predicted by {', '.join(absent)}, which Kaggle's machines do not have. Either set "
            'kaggle.engine = "keras": the kernel then predicts with Keras, and probabilities differ by up to 1e-4; or '
            'train and predict with prediction.engine = "keras": then the kernel reproduces the run byte for byte.'
        )


def _data_source(settings: Settings) -> dict[str, str]:
    """Return what Kaggle is to mount, a competition or else a dataset: key of the metadata, name and slug."""
    if settings.kaggle.competition:
        slug = settings.kaggle.competition
        return {"key": "competition_sources", "name": slug, "slug": slug}
    if settings.competition.kaggle_dataset:
        name = settings.competition.dataset
        return {"key": "dataset_sources", "name": name, "slug": name.split("/")[1]}
    raise InputError(
        "a kernel needs the competition's data on Kaggle: set kaggle.competition to its name in the web address, or "
        "competition.kaggle_dataset to owner/name."
    )


def _metadata(
    settings: Settings, kind: str, name: str, title: str, data: dict[str, str], datasets: list[str]
) -> dict[str, Any]:
    on_gpu = bool(settings.kaggle.accelerator) and (kind == "train" or settings.kaggle.engine == KERAS)
    metadata: dict[str, Any] = {
        "id": name,
        "title": title,
        "code_file": code_file(settings, kind),
        "language": "python",
        "kernel_type": "script",
        "is_private": settings.kaggle.private,
        "enable_gpu": on_gpu,
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [identity(settings, what) for what in datasets],
        "competition_sources": [],
        "kernel_sources": [],
        "model_sources": [],
    }
    metadata[data["key"]] = [*metadata[data["key"]], data["name"]]
    return metadata | ({"machine_shape": settings.kaggle.accelerator} if on_gpu else {})


def _tell_datasets(folder: Path, datasets: list[str]) -> None:
    for what in datasets:
        files = [path for path in dataset_folder(folder, what).iterdir() if path.is_file()]
        say(f"kernel: its dataset of {what}: {len(files)} files, {decimal(sum(path.stat().st_size for path in files))}")
    if not datasets:
        say("kernel: no dataset is needed: it starts from random weights, and the run has no edited files")
