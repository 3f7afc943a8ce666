"""Predictions side by side: the same images and classes, in the same order."""

from dataclasses import replace

from ripik.analysis.loading import Predictions
from ripik.data.csv_tables import first
from ripik.errors import InputError


def align(a: Predictions, b: Predictions) -> Predictions:
    """Return b with its rows and classes in the order of a's.

    Raises InputError unless both have the same images, labels and classes, in any order.
    """
    for what, of_a, of_b in (
        ("classes", a.classes, b.classes),
        ("image ids", a.frame["image_id"], b.frame["image_id"]),
    ):
        only_a, only_b = sorted(set(of_a) - set(of_b)), sorted(set(of_b) - set(of_a))
        if only_a or only_b:
            raise InputError(
                f"{a.path} and {b.path} have different {what}: {len(only_a)} only the first has ({first(only_a)}), "
                f"{len(only_b)} only the second ({first(only_b)}). Compare predictions of the same training images."
            )
    rows = b.frame.set_index("image_id").loc[a.frame["image_id"]].reset_index()
    other = a.frame.loc[(rows["label"] != a.frame["label"]).to_numpy(), "image_id"].tolist()
    if other:
        raise InputError(
            f"{a.path} and {b.path} have different labels for {len(other)} images ({first(other)}). "
            "Make both from the same train.csv."
        )
    return replace(b, frame=rows, classes=a.classes)
