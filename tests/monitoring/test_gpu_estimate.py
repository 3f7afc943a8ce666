"""The time on a GPU whose speed is given: images in training steps, images predicted, and their arithmetic."""

import pytest

from conftest import Tiny
from ripik.monitoring.forecast import Size
from ripik.monitoring.gpu_estimate import gpu_images, gpu_seconds, show_gpu

SIZE = Size(90, 30)


def test_images_of_training_and_of_prediction(tiny: Tiny) -> None:
    settings = tiny.settings("variants.finetuned.batch_size=10", "variants.finetuned.epochs=4")
    # 60 rows in each of 4 epochs; 30 held and 30 tested images in two views; three folds
    assert gpu_images(settings, settings.variants["finetuned"], SIZE) == (3 * 4 * 60, 3 * 120)
    # a head needs the frozen passes of both sets, in two views each
    assert gpu_images(settings, settings.variants["original"], SIZE) == (0, 2 * (90 + 30))


def test_another_size_counts_by_its_area(tiny: Tiny) -> None:
    sizes = "variants.finetuned.image_size=32", "variants.finetuned.predict_sizes=[32,64]"
    settings = tiny.settings("variants.finetuned.batch_size=10", "variants.finetuned.epochs=4", *sizes)
    variant = settings.variants["finetuned"]
    assert gpu_images(settings, variant, SIZE) == (720, 360 * (1 + 4))
    assert gpu_seconds(settings, variant, SIZE, 10) == pytest.approx((720 + 1800 / 3) / 10 * (32 / 224) ** 2)


def test_the_table_has_every_variant_and_their_sum(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tiny.settings("training.epochs=4")
    show_gpu(settings, list(settings.variants.values()), SIZE, 2.5)
    told = capsys.readouterr().out
    assert "Not measured: on a GPU that finetunes 2.5 images/s at 224 pixels" in told
    assert all(name in told for name in [*settings.variants, "together"])
