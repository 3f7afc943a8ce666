"""Engines: they agree with Keras, are chosen as the setting says, and say which one ran."""

import importlib.util
import os
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest

from ripik.errors import InputError
from ripik.execution import environment
from ripik.models import backend, engines, random_weights
from ripik.models.backbone import cut
from ripik.models.engines import make_predictor
from ripik.training.network import build_trained_part

if importlib.util.find_spec("openvino") is None:  # an import would send usage data
    pytest.skip("OpenVINO is not installed", allow_module_level=True)

SIZE = 32


def calibrated_on_few(name: str) -> keras.Model:
    """Return a network with useful random weights, for smaller images than the demo's."""
    with mock.patch.multiple(random_weights, CALIBRATION_IMAGES=16, CALIBRATION_SIZE=64):
        return random_weights.random_backbone(name)


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = calibrated_on_few("EfficientNetB0")
    return keras.Model(model.inputs[0], model.outputs[0], name="small")


@pytest.fixture(scope="module")
def photos(backbone: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, *backbone.input.shape[1:]), dtype=np.uint8)


@pytest.fixture(scope="module")
def by_openvino(backbone: keras.Model, photos: np.ndarray) -> engines.Predictor:
    return make_predictor(backbone, "openvino", photos)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float((np.abs(found - wanted).max(axis=1) / np.abs(wanted).max(axis=1)).max())


def test_openvino_agrees_with_keras(backbone, photos, by_openvino) -> None:
    wanted = backbone.predict_on_batch(photos)
    found = np.concatenate(list(by_openvino.stream([photos[:3], photos[3:]])))
    assert found.dtype == np.float32
    assert by_openvino.disagreement < 1e-4
    assert sys.modules["openvino_telemetry"] is None
    assert relative(found, wanted) < 1e-4


def test_an_output_does_not_depend_on_the_batch(photos, by_openvino) -> None:
    together, alone = by_openvino.stream([photos, photos[3:4]])
    np.testing.assert_array_equal(together[3], alone[0])


@pytest.mark.long
def test_a_finetuned_network_and_a_cut_run_on_openvino_too(backbone, photos) -> None:
    parts = cut(backbone, "block6a")
    features = parts.frozen.predict_on_batch(photos)
    for inputs, body in ((photos, backbone), (features, parts.body)):
        trained_part = build_trained_part(inputs.shape[1:], body, 4, dropout=0.5, seed=0)
        head = trained_part.get_layer("head")
        features = keras.Model(trained_part.inputs[0], head.input).predict_on_batch(inputs)
        logits = features @ keras.ops.convert_to_numpy(head.kernel)
        head.kernel.assign(head.kernel / logits.std())
        head.bias.assign(-logits.mean(axis=0) / logits.std())
        predictor = make_predictor(trained_part, "auto", inputs)
        assert predictor.engine == "openvino"
        (found,) = predictor.stream([inputs])
        wanted = trained_part.predict_on_batch(inputs)
        assert wanted.std(axis=0).max() > 0.01  # the head does tell these images apart
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_keras_is_used_when_asked_for(backbone, photos) -> None:
    predictor = make_predictor(backbone, "keras", photos)
    (found,) = predictor.stream([photos])
    np.testing.assert_array_equal(found, backbone.predict_on_batch(photos))
    assert predictor.record()["name"] == f"keras {keras.__version__}"


def test_the_record_tells_engine_precision_and_threads(by_openvino, monkeypatch) -> None:
    record = by_openvino.record()
    assert record["name"].startswith("openvino 20")
    assert (record["precision"], record["threads"]) == ("float32", environment.threads())
    assert "differs from Keras by" in str(by_openvino)


@pytest.mark.long
def test_importing_openvino_reports_to_nobody(tmp_path) -> None:
    """Its telemetry keeps an identifier in the home folder; there must be none."""
    code = (
        "from ripik.models.engines import import_openvino; import_openvino().Core(); "
        "import sys; print('openvino' in sys.modules)"
    )
    surroundings = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert not (tmp_path / "intel").exists()


def test_the_version_that_the_conversion_asks_for_is_told_as_before(monkeypatch) -> None:
    """On Python 3.13 what OpenVINO itself has for it fails."""
    tensorflow = pytest.importorskip("tensorflow", reason="OpenVINO converts TensorFlow's networks alone")
    utils = importlib.import_module("openvino.frontend.tensorflow.utils")
    own = utils.get_environment_setup
    monkeypatch.setattr(utils, "get_environment_setup", own)  # put back afterwards
    engines._let_it_convert_on_python_3_13()
    told = utils.get_environment_setup("tf")["tensorflow"]
    assert told == tensorflow.__version__
    if sys.version_info < (3, 13):
        assert told == own("tf")["tensorflow"]


def test_an_engine_that_disagrees_is_left_or_refused(backbone, photos, monkeypatch, capsys) -> None:
    def wrong(model, sample):  # type: ignore[no-untyped-def]
        return lambda batch: model.predict_on_batch(batch) * 1.01

    monkeypatch.setattr(engines, "_compiled", wrong)
    assert make_predictor(backbone, "auto", photos).engine == "keras"
    assert "differs from Keras by 1.0e-02 on small" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match=r"prediction\.engine.*differs from Keras"):
        make_predictor(backbone, "openvino", photos)


def test_an_output_that_is_no_number_is_a_disagreement(backbone, photos, monkeypatch) -> None:
    monkeypatch.setattr(engines, "_compiled", lambda model, sample: lambda batch: np.full((5, 1280), np.nan))
    assert make_predictor(backbone, "auto", photos).engine == "keras"


def test_outputs_of_another_shape_or_of_zeros_are_judged(photos) -> None:
    ones = np.ones((5, 4), "float32")
    assert engines._disagreement(ones[:, None], ones) == np.inf
    assert engines._disagreement(np.zeros((5, 4)), np.zeros((5, 4))) == 0
    assert engines._disagreement(ones * 1e-3, np.zeros((5, 4))) > 1


@pytest.mark.parametrize("error", [ImportError("libtbb is missing"), RuntimeError("no such operation")])
def test_an_openvino_that_fails_is_left_or_refused(backbone, photos, monkeypatch, capsys, error) -> None:
    def fail(model, sample):  # type: ignore[no-untyped-def]
        raise error

    monkeypatch.setattr(engines, "_compiled", fail)
    assert make_predictor(backbone, "auto", photos).engine == "keras"
    assert str(error) in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match=rf"cannot run small \({error}\)"):
        make_predictor(backbone, "openvino", photos)


@pytest.mark.long
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetV2B0"])
def test_other_backbones_run_on_openvino(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = calibrated_on_few(name)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    predictor = make_predictor(model, "openvino", images)
    (found,) = predictor.stream([images])
    assert relative(found, model.predict_on_batch(images)) < 1e-4


def test_without_the_package_auto_is_keras_and_openvino_an_error(backbone, photos, monkeypatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    assert make_predictor(backbone, "auto", photos).engine == "keras"
    with pytest.raises(InputError, match=r"prediction\.engine.*needs the package openvino"):
        make_predictor(backbone, "openvino", photos)


def test_on_a_gpu_auto_is_keras(backbone, photos, monkeypatch) -> None:
    monkeypatch.setattr(backend, "can_trace", lambda: False)
    assert make_predictor(backbone, "auto", photos).engine == "keras"
