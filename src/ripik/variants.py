"""The settings of a variant: its network, how it is trained, and what it starts from."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ripik.errors import nearest
from ripik.names import ALL, HEAD, LOGISTIC, NONE, LivePolicy, Mixing, NearCopies, Precision, Solver
from ripik.sections import Added, Count, CountOrNone, Fraction, Positive, Section, Seed, Text

Size = Annotated[int, Field(ge=32, le=2048)]
Sizes = tuple[Size, ...]
TUNED = ("trials", "cv", "corrected")  # of a search: how many, the best one's CV, the same corrected for the choice


class NetworkSettings(Section):
    """The network; every variant may set its own."""

    backbone: Text = "EfficientNetB0"  # a function of keras.applications
    weights: Text = "imagenet"  # imagenet (Keras cache or download), random, or a path
    image_size: Size = 224
    crop_from: Annotated[int, Field(ge=0, le=2048), Added()] = 0  # side of the photos live crops are of; 0: image_size
    predict_sizes: Annotated[Sizes, Added()] = ()  # sides of the photos that it predicts; empty: image_size
    dropout: Fraction = 0.2
    precision: Precision = "auto"  # auto: mixed_float16 on GPUs made for it, float32 elsewhere; heads: float32


class TrainingSettings(Section):
    """How a network is trained; every variant may set its own."""

    epochs: Count = 30
    batch_size: Count = 64
    learning_rate: Positive = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Fraction = 0.1  # share of all steps, linear from 0
    label_smoothing: Fraction = 0.0
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = "none"
    inner_split: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the training folds kept to choose the epoch
    early_stopping: CountOrNone = 0  # epochs without improvement on the inner split; 0: never
    with_original: bool = True  # whether the photo itself stands among its augmented copies
    copies_per_epoch: CountOrNone = 0  # 0: all copies for a head, one otherwise
    near_copies_per_epoch: Annotated[NearCopies, Added()] = "all"  # one: of each group, another each epoch
    live: Annotated[float, Field(ge=0, le=2), Added()] = 0.0  # strength of live augmentation of pixels; 0: none
    policy: Annotated[LivePolicy, Added()] = "standard"  # of live augmentation
    mix: Annotated[Mixing, Added()] = "none"  # of a batch's images and targets
    mix_alpha: Annotated[Positive, Added()] = 0.2  # the share is drawn from Beta(mix_alpha, mix_alpha)
    weight_decay: Annotated[float, Field(ge=0), Added()] = 0.0  # AdamW's, of kernels
    rate_decay: Annotated[float, Field(gt=0, le=1), Added()] = 1.0  # of the learning rate, a block from the head down
    clip: Annotated[float, Field(ge=0), Added()] = 0.0  # largest norm of the gradient; 0: any
    average: Annotated[Fraction, Added()] = 0.0  # how slowly a running mean of the weights fades; 0: the last weights
    soup: Annotated[CountOrNone, Added()] = 0  # last epochs whose weights are averaged to predict; 0: the last's
    seed: Seed = 0
    seeds: Annotated[Count, Field(le=1000)] = 1
    refit: bool = False  # a last training on all rows predicts the test set
    distribute: Literal["none", "data"] = "none"  # data: all GPUs of the machine share each batch of one training


class SharedSettings(NetworkSettings, TrainingSettings):
    """What [finetuning] may set for the variants that train more than the head."""


class Variant(SharedSettings):
    """One member of the ensemble, with all of its settings resolved."""

    name: Text
    data: Literal["original", "augmented"] = "original"
    train_from: Text = HEAD  # head, all, or a layer or block of the backbone
    start: str = ""  # a variant whose weights of the same fold are the starting point
    solver: Annotated[Solver, Added()] = "adam"  # of a head; logistic: fitted at once, by logistic regression
    tuned: Annotated[dict[str, float], Added()] = Field(default={})  # the search that chose these settings

    @model_validator(mode="after")
    def _live_augmentation_sees_pixels(self) -> "Variant":
        if (self.live or self.mix != NONE) and self.train_from != ALL:
            raise ValueError(f'live and mix alter pixels; they need train_from = "{ALL}": set them in [finetuning]')
        if self.crop_from and self.crop_from < 32:
            raise ValueError("crop_from must be 0 or at least 32 pixels")
        return self

    @model_validator(mode="after")
    def _sizes_are_of_pixels(self) -> "Variant":
        if self.predict_sizes and self.train_from != ALL:
            raise ValueError(f'predict_sizes needs train_from = "{ALL}": set it in [finetuning]')
        if len(set(self.predict_sizes)) < len(self.predict_sizes):
            raise ValueError("predict_sizes lists a size twice")
        return self

    @model_validator(mode="after")
    def _weights_are_kept_of_what_is_finetuned(self) -> "Variant":
        if self.train_from == HEAD and (self.rate_decay != 1 or self.clip or self.average or self.soup):
            raise ValueError("rate_decay, clip, average and soup do not apply to a head: set them in [finetuning]")
        if self.soup and self.inner_split:
            raise ValueError("soup averages the last epochs, but inner_split chooses one of them: set one of them to 0")
        if self.soup > self.epochs:
            raise ValueError(f"soup = {self.soup} is more than the number of epochs, {self.epochs}")
        return self

    @model_validator(mode="after")
    def _a_fitted_head_is_one(self) -> "Variant":
        if self.solver == LOGISTIC and self.train_from != HEAD:
            raise ValueError(f'solver = "{LOGISTIC}" fits a head; it needs train_from = "{HEAD}"')
        if self.solver == LOGISTIC and (self.inner_split or self.label_smoothing or self.weight_decay):
            raise ValueError(
                f'solver = "{LOGISTIC}" knows neither inner_split nor label_smoothing nor weight_decay: set all to 0'
            )
        return self

    @model_validator(mode="after")
    def _a_search_is_told_whole(self) -> "Variant":
        if self.tuned and set(self.tuned) != set(TUNED):
            raise ValueError(f"tuned has the keys {', '.join(TUNED)}, as `make tune` writes them, and no other keys")
        return self

    @property
    def scores_copies(self) -> bool:
        """Whether the accuracy of its training is of augmented copies too; a fitted head's is of the photos."""
        return self.data == "augmented" and self.solver != LOGISTIC

    @property
    def search(self) -> str:
        """The search that chose its settings, in words; empty where there was none."""
        return searched(self.tuned) if self.tuned else ""

    @model_validator(mode="after")
    def _early_stopping_looks_inside(self) -> "Variant":
        if self.early_stopping and not self.inner_split:
            raise ValueError("early_stopping needs inner_split > 0: it must never use the held-out fold")
        return self


def searched(mark: Mapping[str, float]) -> str:
    """Return a mark of `tuned` in words."""
    trials, cv, corrected = (mark[key] for key in TUNED)
    return f"the best of {trials:.0f} trials: {cv:.4f}, corrected {corrected:.4f}"


def check_start(variant: Variant, variants: dict[str, Variant]) -> None:
    """Raise a ValueError where a variant cannot start from the ones that it names, one from another."""
    seen, current = [variant.name], variant
    while current.start:
        if current.start not in variants:
            raise ValueError(
                f"variants.{current.name}.start names the unknown variant {current.start!r}"
                f"{nearest(current.start, list(variants))}"
            )
        start = variants[current.start]
        if start.name in seen:
            raise ValueError(f"variants.{variant.name}.start is circular: {' → '.join([*seen, start.name])}")
        if (start.backbone, start.weights) != (current.backbone, current.weights):
            raise ValueError(f"variants.{current.name} starts from {start.name}, with another backbone or weights")
        if start.train_from != HEAD and current.train_from not in (ALL, start.train_from):
            raise ValueError(
                f"variants.{current.name} starts from {start.name}, which trains from {start.train_from!r}; "
                f'it must do the same or train_from = "all"'
            )
        inner = (current.inner_split, current.seed)
        if current.inner_split and (start.inner_split, start.seed) != inner:
            raise ValueError(
                f"variants.{current.name} chooses its epoch on an inner split, so {start.name}, its start, must set "
                "the same inner_split and seed: otherwise it has trained on those photos"
            )
        if start.seeds < current.seeds:
            raise ValueError(f"variants.{current.name} has more seeds than {start.name}, from which it starts")
        if current.refit and not start.refit:
            raise ValueError(f"variants.{current.name} has refit = true, so {start.name}, its start, needs it too")
        seen.append(start.name)
        current = start
