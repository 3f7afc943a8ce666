"""What a training tells of itself."""

import pytest

from ripik.training.signs import epoch_told, scores_told
from ripik.variants import Variant

ROW = {"loss": 0.998, "accuracy": 0.644, "inner_macro_f1": 0.7}


def test_accuracy_on_augmented_copies_is_said_to_be_so() -> None:
    told = "loss 0.998, accuracy 0.644 on augmented copies, inner macro_f1 0.700"
    assert scores_told(ROW, copies=True) == told
    assert epoch_told(3, 60, ROW, copies=True) == f"epoch 3/60, {told}"
    assert "copies" not in epoch_told(3, 60, ROW)


@pytest.mark.parametrize(
    ("settings", "copies"),
    [({}, False), ({"data": "augmented"}, True), ({"data": "augmented", "solver": "logistic"}, False)],
)
def test_which_trainings_score_copies(settings: dict[str, str], copies: bool) -> None:
    assert Variant(name="one", **settings).scores_copies is copies
