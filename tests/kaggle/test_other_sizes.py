"""What predicts at several sizes says the same everywhere: in the run, of a folder of photos, in a kernel."""

import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import FAST, Tiny, ripik
from ripik.kaggle.kernel.infer import infer
from ripik.kaggle.kernel.models_dataset import write_models

SIZES = "variants.finetuned.predict_sizes=[32, 64]"


@pytest.mark.long
@pytest.mark.parametrize("views", ["all", "auto"])
def test_a_folder_and_a_kernel_are_predicted_at_the_sizes_of_the_run(tiny: Tiny, views: str) -> None:
    sets = (SIZES, f'blend.views="{views}"', 'decision.copies_vote="off"', 'blend.methods=["equal"]')
    words = [part for each in sets for part in ("--set", each)]
    for step in ("folds", "train", "ensemble"):
        done = ripik(tiny, step, *words, *([] if step == "folds" else ["--variants", "original", "finetuned"]))
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(tiny.run / "backbones")
    done = ripik(tiny, "predict", "--images", str(tiny.input / "test" / "images"), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    columns = ["p_1", "p_2", "p_3"]
    found = pd.read_csv(tiny.run / "predictions" / "images.csv").set_index("filename")[columns]
    blend = pd.read_csv(tiny.run / "ensemble" / "test.csv", dtype={"image_id": str})
    np.testing.assert_allclose(found.loc[blend["image_id"] + ".jpg"], blend[columns], atol=1e-5)
    models, target = tiny.folder / "models", tiny.folder / "found.csv"
    shutil.rmtree(tiny.run / "backbones")
    write_models(tiny.settings(*FAST, *sets, "kaggle.user=me"), models)
    infer(tiny.settings(*FAST, *sets, f"paths.output={tiny.folder / 'elsewhere'}"), models, target)
    (submission,) = tiny.folder.glob("submissions/tiny-*[0-9].csv")
    assert target.read_bytes() == submission.read_bytes()
    done = ripik(tiny, "analyse", "views", "--of", "finetuned", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hflip@64" in done.stdout
