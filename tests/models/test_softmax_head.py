"""The head in NumPy against Keras: its steps, its files, its schedule."""

import keras
import numpy as np
import pytest

from ripik.models.head_files import read_head, save_head
from ripik.models.softmax_head import Adam, SoftmaxHead, glorot_uniform, head_predictor
from ripik.models.variables import digest_of
from ripik.training.network import build_trained_part
from ripik.training.optimizer import compile_model
from ripik.training.schedule import learning_rates
from ripik.variants import Variant

ROWS, WIDTH, CLASSES = 90, 24, 5


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, one-hot targets and weights of the examples."""
    rng = np.random.default_rng(1)
    targets = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, ROWS)]
    inputs = (rng.random((ROWS, WIDTH)) + 0.3 * targets @ rng.random((CLASSES, WIDTH))).astype("float32")
    return inputs, targets, rng.uniform(0.5, 2, ROWS).astype("float32")


def by_keras(seed: int, dropout: float = 0.0) -> keras.Model:
    return build_trained_part((WIDTH,), None, CLASSES, dropout=dropout, seed=seed)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_head_learns_what_keras_does(smoothing: float, weighted: bool) -> None:
    inputs, targets, weights = drawn()
    steps = [slice(first, first + 32) for first in range(0, ROWS, 32)] * 8  # the last batch is short
    variant = Variant(name="v", learning_rate=0.05, warmup=0.2, label_smoothing=smoothing)
    model = by_keras(7)
    compile_model(model, variant, len(steps))
    head = SoftmaxHead(glorot_uniform(7)((WIDTH, CLASSES)), np.zeros(CLASSES), smoothing)
    np.testing.assert_array_equal(model.get_weights()[0], head.kernel)
    adam, rates = Adam.of(len(head.values)), learning_rates(variant, len(steps))
    for number, part in enumerate(steps):
        more = {"sample_weight": weights[part]} if weighted else {}
        told = model.train_on_batch(inputs[part], targets[part], return_dict=True, **more)
        model.reset_metrics()
        loss, right = head.learn(adam, rates[number], inputs[part], targets[part], *more.values())
        assert loss / len(inputs[part]) == pytest.approx(float(told["loss"]), rel=1e-5)
        assert right / len(inputs[part]) == pytest.approx(float(told["accuracy"]))
    np.testing.assert_allclose(head.kernel, model.get_weights()[0], atol=2e-6)
    np.testing.assert_allclose(head.bias, model.get_weights()[1], atol=2e-6)
    found = head_predictor(head.kernel, head.bias)
    assert found.record()["name"] == f"numpy {np.__version__}"
    np.testing.assert_allclose(next(found.stream([inputs])), model.predict_on_batch(inputs), atol=2e-6)


CASES = [("cosine", 0.0), ("cosine", 0.1), ("cosine", 0.99), ("constant", 0.1)]


@pytest.mark.parametrize(("schedule", "warmup"), CASES)
def test_the_schedule_is_that_of_keras(schedule: str, warmup: float) -> None:
    variant = Variant(name="v", learning_rate=0.02, schedule=schedule, warmup=warmup)
    model = by_keras(1)
    compile_model(model, variant, 70)
    rate = model.optimizer._learning_rate
    wanted = [float(rate(step)) if callable(rate) else float(rate) for step in range(71)]
    found = learning_rates(variant, 70)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-8)


def test_keras_reads_the_file_and_says_the_same_digest(tmp_path) -> None:  # type: ignore[no-untyped-def]
    kernel, bias = glorot_uniform(3)((WIDTH, CLASSES)), np.linspace(0, 1, CLASSES, dtype="float32")
    path, model = tmp_path / "last.weights.h5", by_keras(1)
    digest = save_head(path, kernel, bias)
    model.load_weights(path)
    for found, wanted in zip(model.get_weights(), (kernel, bias), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert digest_of(model) == digest
    for found, wanted in zip(read_head(path), (kernel, bias), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_head_of_any_trained_part_of_keras_is_found(tmp_path) -> None:  # type: ignore[no-untyped-def]
    inputs = keras.Input((8,))
    body = keras.Model(inputs, keras.layers.Dense(WIDTH)(inputs))
    model = build_trained_part((8,), body, CLASSES, dropout=0.2, seed=1)
    model.save_weights(tmp_path / "part.weights.h5")
    for found, wanted in zip(
        read_head(tmp_path / "part.weights.h5"), model.get_layer("head").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_a_step_leaves_another_heads_moments_alone() -> None:
    """A head has its own number of steps: Adam's correction of the first is not that of a later one."""
    inputs, targets, _ = drawn()
    heads = [SoftmaxHead(glorot_uniform(7)((WIDTH, CLASSES)), np.zeros(CLASSES)) for _ in range(2)]
    one, other = (Adam.of(len(head.values)) for head in heads)
    for _ in range(3):
        heads[0].learn(one, np.float32(0.1), inputs, targets)
    assert other.steps == 0
    heads[1].learn(other, np.float32(0.1), inputs, targets)
    first = SoftmaxHead(glorot_uniform(7)((WIDTH, CLASSES)), np.zeros(CLASSES))
    first.learn(Adam.of(len(first.values)), np.float32(0.1), inputs, targets)
    np.testing.assert_array_equal(heads[1].values, first.values)
