"""`keras.Model.predict` of EfficientNetB0's averaged features over images in memory.

python keras_predict.py IMAGES.npy [--limit 256]
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def main() -> None:
    """Predict once to warm up and once for the clock; print seconds and images, keep the features if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="uint8 .npy, (n, S, S, 3)")
    parser.add_argument("--weights", default="")
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help=".npy for the features")
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    images = np.ascontiguousarray(np.load(given.images, mmap_mode="r")[: given.limit])
    shape = images.shape[1:]
    network = keras.applications.EfficientNetB0(include_top=False, weights=None, pooling="avg", input_shape=shape)
    if given.weights:
        network.load_weights(given.weights)
    network.jit_compile = False
    network.predict(images[: 2 * given.batch_size], batch_size=given.batch_size, verbose=0)
    start = time.perf_counter()
    features = network.predict(images, batch_size=given.batch_size, verbose=0)
    seconds = time.perf_counter() - start
    if given.out:
        np.save(given.out, features)
    print(json.dumps({"seconds": seconds, "images": len(images), "batch_size": given.batch_size}))


if __name__ == "__main__":
    main()
