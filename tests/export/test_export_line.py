"""A real EfficientNetB0 exported, and 200 photos predicted where neither TensorFlow nor this package is.

`make test-export` makes that environment and names its Python in BARE_PYTHON; without it the tests' own is taken.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny, ripik
from drawn_photos import write_photos
from ripik.export.build import PACKAGES

LACKING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
BARE = os.environ.get("BARE_PYTHON", sys.executable)
CHANGES = (
    *("network.backbone=EfficientNetB0", "network.image_size=64"),
    *(
        "variants.augmented.solver=logistic",
        "variants.original.refit=true",
        "variants.finetuned.refit=true",
        "variants.finetuned.predict_sizes=[64,80]",
    ),
)
NETWORK = [part for change in CHANGES for part in ("--set", change)]
ABSENT = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, ('tensorflow', 'keras', 'ripik'))))"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} not installed: `make test-export` installs it"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, drawn: object) -> Tiny:
    from conftest import Drawn, write_competition

    assert isinstance(drawn, Drawn)
    tiny = write_competition(tmp_path_factory.mktemp("exported"), drawn)
    for step in ("folds", "train", "ensemble", "export"):
        done = ripik(tiny, step, *NETWORK)
        assert done.returncode == 0, done.stderr
    return tiny


def bare(*words: str) -> None:
    """Run Python without any variable of this process; `-I`: nothing but its own packages is found."""
    subprocess.run([BARE, "-I", *words], env={"PATH": os.environ["PATH"]}, check=True)


@pytest.mark.skipif("BARE_PYTHON" not in os.environ, reason="`make test-export` makes the environment")
def test_the_environment_is_bare() -> None:
    bare("-c", ABSENT)


def test_200_photos_are_predicted_as_by_the_run(exported: Tiny, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 200)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"")
    done = ripik(
        exported, "predict", *NETWORK, "--images", str(tmp_path / "photos"), "--out", str(tmp_path / "own.csv")
    )
    assert done.returncode == 0, done.stderr

    shutil.copytree(exported.run / "export", tmp_path / "elsewhere")
    bare(str(tmp_path / "elsewhere" / "predict.py"), str(tmp_path / "photos"), str(tmp_path / "bare.csv"))
    own, found = (pd.read_csv(tmp_path / name, dtype={"label": str}) for name in ("own.csv", "bare.csv"))
    assert list(own.columns) == list(found.columns)
    assert own["filename"].tolist() == found["filename"].tolist()
    numbers = [column for column in own if column.startswith("p_")]
    furthest = np.abs(own[numbers].to_numpy() - found[numbers].to_numpy()).max()
    print(f"{len(own)} photos, {own[numbers].std().min():.3f} least deviation of a class, furthest {furthest:.1e}")
    assert furthest <= 1e-4


def test_the_photos_are_all_that_a_graph_reads(exported: Tiny) -> None:
    import onnx

    graphs = list((exported.run / "export").glob("*.onnx"))
    assert graphs
    for path in graphs:
        graph = onnx.load(path).graph
        (images,) = graph.input
        assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert [size.dim_value for size in images.type.tensor_type.shape.dim][1:] in ([64, 64, 3], [80, 80, 3])


def test_it_is_written_once(exported: Tiny) -> None:
    before = (exported.run / "export" / "meta.json").stat().st_mtime_ns
    done = ripik(exported, "export", *NETWORK)
    assert done.returncode == 0
    assert "is up to date" in done.stdout
    assert (exported.run / "export" / "meta.json").stat().st_mtime_ns == before
