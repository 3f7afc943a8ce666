"""Train a small network in float16 on two virtual devices; tell after each of three steps whether its weights moved.

In the second step a gradient overflows on the first device alone, in the third on the second one alone.
"""

from train_on_devices import split_cpu


def main() -> None:
    """Make three steps."""
    split_cpu(2)
    import keras
    import numpy as np

    from ripik.models import backend
    from ripik.training.network import build_trained_part
    from ripik.training.optimizer import compile_model
    from ripik.variants import Variant

    distribution = backend.distribution(backend.devices())
    with distribution.scope():
        with backend.computing_in("mixed_float16"):
            inputs = keras.Input((4,))
            body = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        network = build_trained_part((4,), body, 2, dropout=0.0, seed=0)
        compile_model(network, Variant(name="v", schedule="constant"), 3)
        for overflowing in (None, 0, 3):
            rows, weights = np.ones((4, 4), "float32"), np.ones(4, "float32")
            if overflowing is not None:
                weights[overflowing] = 1e6  # finite in the loss, beyond float16 in the scaled gradient
            before = network.get_weights()
            network.fit(rows, np.eye(2, dtype="float32")[[0, 1, 0, 1]], sample_weight=weights, batch_size=4, verbose=0)
            moved = any((one != other).any() for one, other in zip(before, network.get_weights(), strict=True))
            print("moved" if moved else "left")


if __name__ == "__main__":
    main()
