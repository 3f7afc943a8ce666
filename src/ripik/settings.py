"""The settings of a run: what can be set, its type, its range and its default."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ripik.errors import nearest
from ripik.kaggle_addresses import CompetitionName, dataset_name
from ripik.names import (
    LOGISTIC,
    NONE,
    BlendMethod,
    KnownMetric,
    LivePolicy,
    Merging,
    Mixing,
    NearCopies,
    Precision,
    Preset,
    RecipeName,
    Solver,
    SubmissionKind,
    ViewName,
    own_name,
)
from ripik.sections import Added, Count, Folders, Fraction, Positive, Section, Seed, Text

Label = int | str
HEAD, ALL = "head", "all"  # the two ends of train_from
AUTO, KERAS, OPENVINO = "auto", "keras", "openvino"  # what runs a network that is not trained
NUMPY = "numpy"  # what trains and runs a head alone
LOCAL, RAY = "local", "ray"  # where jobs run
FLOAT32, HALF = "float32", "mixed_float16"  # what a network computes in
DATA = "data"  # each batch of a training is divided among devices
Alpha = Annotated[Literal["white", "black", "drop"], Added()]
Methods = Annotated[tuple[BlendMethod, ...], Field(min_length=1)]


def _duration(text: str) -> float:
    """Return a text such as 8h30m in seconds; 0 when it is no duration."""
    found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return 3600.0 * hours + 60.0 * minutes + seconds


def _check_duration(key: str, text: str) -> None:
    if text and not _duration(text):
        raise ValueError(f"{key} = {text!r} is no duration: write it as 8h30m, 90m or 45s")


class RecipeSettings(Section):
    """What the configuration builds on."""

    preset: RecipeName = "source"  # its tables stand under those of the configuration


class CompetitionSettings(Section):
    """Where the organiser's files are and how they are to be read."""

    root: str = ""  # empty: <paths.input>/<run>
    train_csv: Text = "train/train.csv"
    train_images: Folders = "train/images"  # or several folders
    test_csv: Text = "test/test.csv"
    test_images: Folders = "test/images"
    sample_submission: Text = "sample_submission.csv"
    id_column: Text = "image_id"
    filename_column: str = "filename"  # empty: the file is named <id><image_extension>, or <id> with another ending
    image_extension: str = ".jpg"
    label_column: Text = "label"
    sample_id_column: Annotated[str, Added()] = ""  # of the sample; empty: train.csv's, or the one with test ids
    sample_label_column: Annotated[str, Added()] = ""  # the same; empty: train.csv's, or the one beside the ids
    group_column: str = ""  # of train.csv: rows with the same value stay in one fold, as near copies do
    corrections: str = ""  # CSV of image_id, label to train on in place of train.csv's; a path, or one below the root
    label_type: Literal["integer", "string"] = "integer"
    classes: tuple[Label, ...] = ()  # empty: the labels of train.csv, sorted
    metric: Annotated[KnownMetric, BeforeValidator(own_name)] = "macro_f1"
    submission: Literal["auto", SubmissionKind] = "auto"  # auto: as the sample submission has
    positive_class: Label = ""  # whose probability a single column gets; empty: the greater of the two
    alpha: Alpha = "white"  # what transparent images are laid on; drop: colours as stored
    on_bad_image: Literal["stop", "skip"] = "stop"  # of train; one of the test set gets the class shares
    kaggle_dataset: str = ""  # owner/name or its address, for `ripik data`

    @property
    def extension(self) -> str | None:
        """The ending of files that are named by their ids, with its dot; None where a column names the files."""
        ending = f".{self.image_extension}" if self.image_extension.isalnum() else self.image_extension
        return None if self.filename_column else ending

    @property
    def dataset(self) -> str:
        """The Kaggle dataset as owner/name, also where its address is given."""
        return dataset_name(self.kaggle_dataset)

    def image_folders(self, split: str) -> tuple[str, ...]:
        """Return the folders with the images of a split, `train` or `test`."""
        folders = self.train_images if split == "train" else self.test_images
        return (folders,) if isinstance(folders, str) else folders


class PathSettings(Section):
    """The three folders that steps read from and write to."""

    input: Text = "input"
    output: Text = "output"
    submissions: Text = "submissions"


class FoldSettings(Section):
    """How the training images are split."""

    n_splits: Annotated[int, Field(ge=2)] = 5
    seed: Seed = 0
    tries: Count = 20  # seeded splits made; the one whose class shares differ least between folds is kept
    near_copies: bool = True  # False: only the group column, or every image by itself
    near_copy_threshold: Annotated[float, Field(gt=0, le=1)] = 0.55  # similarity from which two images are one photo


class NetworkSettings(Section):
    """The network; every variant may set its own."""

    backbone: Text = "EfficientNetB0"  # a function of keras.applications
    weights: Text = "imagenet"  # imagenet (Keras cache or download), random, or a path
    image_size: Annotated[int, Field(ge=32, le=2048)] = 224
    crop_from: Annotated[int, Field(ge=0, le=2048), Added()] = 0  # side of the photos live crops are of; 0: image_size
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
    early_stopping: Annotated[int, Field(ge=0)] = 0  # epochs without improvement on the inner split; 0: never
    with_original: bool = True  # whether the photo itself stands among its augmented copies
    copies_per_epoch: Annotated[int, Field(ge=0)] = 0  # 0: all copies for a head, one otherwise
    near_copies_per_epoch: Annotated[NearCopies, Added()] = "all"  # one: of each group, another each epoch
    live: Annotated[float, Field(ge=0, le=2), Added()] = 0.0  # strength of live augmentation of pixels; 0: none
    policy: Annotated[LivePolicy, Added()] = "standard"  # of live augmentation
    mix: Annotated[Mixing, Added()] = "none"  # of a batch's images and targets
    mix_alpha: Annotated[Positive, Added()] = 0.2  # the share is drawn from Beta(mix_alpha, mix_alpha)
    weight_decay: Annotated[float, Field(ge=0), Added()] = 0.0  # AdamW's, of kernels
    rate_decay: Annotated[float, Field(gt=0, le=1), Added()] = 1.0  # of the learning rate, a block from the head down
    clip: Annotated[float, Field(ge=0), Added()] = 0.0  # largest norm of the gradient; 0: any
    average: Annotated[Fraction, Added()] = 0.0  # how slowly a running mean of the weights fades; 0: the last weights
    seed: Seed = 0
    seeds: Count = 1
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

    @model_validator(mode="after")
    def _live_augmentation_sees_pixels(self) -> "Variant":
        if (self.live or self.mix != NONE) and self.train_from != ALL:
            raise ValueError(f'live and mix alter pixels; they need train_from = "{ALL}": set them in [finetuning]')
        if self.crop_from and self.crop_from < 32:
            raise ValueError("crop_from is 0 or at least 32 pixels")
        return self

    @model_validator(mode="after")
    def _heads_learn_by_plain_adam(self) -> "Variant":
        if self.train_from == HEAD and (self.weight_decay or self.rate_decay != 1 or self.clip or self.average):
            raise ValueError("weight_decay, rate_decay, clip and average are not for a head: set them in [finetuning]")
        return self

    @model_validator(mode="after")
    def _a_fitted_head_is_one(self) -> "Variant":
        if self.solver == LOGISTIC and self.train_from != HEAD:
            raise ValueError(f'solver = "{LOGISTIC}" fits a head; it needs train_from = "{HEAD}"')
        if self.solver == LOGISTIC and (self.inner_split or self.label_smoothing):
            raise ValueError(f'solver = "{LOGISTIC}" knows neither inner_split nor label_smoothing: set both to 0')
        return self

    @model_validator(mode="after")
    def _early_stopping_looks_inside(self) -> "Variant":
        if self.early_stopping and not self.inner_split:
            raise ValueError("early_stopping needs inner_split > 0: it must never look at the held fold")
        return self


class LimitSettings(Section):
    """What [training] says of a whole session and not of one variant."""

    time_limit: str = ""  # such as 8h30m: of one command; it stops in time, and the next one goes on. Empty: none

    @model_validator(mode="after")
    def _limit_is_a_duration(self) -> "LimitSettings":
        _check_duration("training.time_limit", self.time_limit)
        return self

    @property
    def seconds(self) -> float | None:
        """The limit in seconds; None when there is none."""
        return _duration(self.time_limit) if self.time_limit else None


class AugmentationSettings(Section):
    """The augmented copies."""

    preset: Preset = "source"  # or albumentations2: the same transforms with the defaults of Albumentations 2
    copies: Count = 15
    size: Annotated[int, Field(ge=32, le=4096)] = 512  # pixels a side at which the transforms act
    seed: Seed = 0


class FeatureSettings(Section):
    """What is kept of the passes through frozen layers."""

    store: bool = True  # False: frozen layers are run again in every epoch, for comparison
    dtype: Literal["float32", "float16"] = "float32"


class PredictionSettings(Section):
    """Test-time augmentation, the same for OOF and test."""

    views: Annotated[tuple[ViewName, ...], Field(min_length=1)] = ("identity", "hflip")
    merge: Merging = "arithmetic"
    batch_size: Count = 64
    engine: Literal["auto", "keras", "openvino"] = "auto"  # auto: OpenVINO where it is installed and agrees

    @model_validator(mode="after")
    def _views_differ(self) -> "PredictionSettings":
        if len(set(self.views)) < len(self.views):
            raise ValueError("prediction.views names a view twice")
        return self


class BlendSettings(Section):
    """How members are blended: by the first method, unless another is surely better by its cross-fitted score."""

    methods: Methods = ("greedy",)  # where probabilities are scored, by default: greedy, geometric, rank
    margin: Annotated[float, Field(ge=0)] = 2.0  # errors of its gain that another must gain; 0: the best score wins
    partitions: Annotated[int, Field(ge=0), Added()] = 3  # other ones into folds by which the nested CV is made again
    views: Literal["all", "auto"] = "all"  # auto: each member's views are chosen, cross-fitted like everything else
    seed: Seed = 0
    restarts: Annotated[int, Field(ge=0)] = 8  # of the coordinate search, beside equal weights and each member alone
    bags: Count = 20  # of the greedy selection

    @model_validator(mode="after")
    def _methods_differ(self) -> "BlendSettings":
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("blend.methods names a method twice")
        return self


class DecisionSettings(Section):
    """What is done to the blend's probabilities before the most probable class is submitted."""

    copies_vote: Literal["auto", "on", "off"] = "auto"  # near copies of one photo share their mean probabilities
    offsets: Literal["auto", "on", "off"] = "auto"  # added to log-probabilities, for label metrics; auto: if in reach
    prior_shift: bool = False  # whether probabilities follow the class shares estimated on the rows to be predicted


class JobSettings(Section):
    """Where jobs run, how many at once, and with how many threads each."""

    engine: Literal["local", "ray"] = "local"  # processes of this machine, or a Ray cluster (RAY_ADDRESS, or one here)
    jobs: Count = 1  # at once; a cluster that RAY_ADDRESS names runs as many as it has room for
    threads: Annotated[int, Field(ge=0)] = 0  # of a job; 0: as the run began, at first the cores divided among the jobs


class KaggleSettings(Section):
    """Whose kernels and datasets these are, where submissions go, and the machine that kernels get."""

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")] = ""  # your user name, as in kaggle.com/<user>
    competition: CompetitionName = ""  # its name in the address, or that; empty: none on Kaggle
    private: bool = True
    accelerator: str = "NvidiaTeslaT4"  # as the kaggle command names it; empty: a CPU machine
    time_limit: Text = "11h30m"  # of a training kernel, within Kaggle's own limit; the next version goes on
    engine: Literal["recorded", "keras"] = "recorded"  # of the inference kernel: the run's own, or Keras (within 1e-4)

    @model_validator(mode="after")
    def _limit_is_a_duration(self) -> "KaggleSettings":
        _check_duration("kaggle.time_limit", self.time_limit)
        return self

    @property
    def seconds(self) -> float:
        """The training kernel's limit in seconds."""
        return _duration(self.time_limit)


class Settings(Section):
    """The effective configuration of a run."""

    run: str
    recipe: RecipeSettings = RecipeSettings()
    competition: CompetitionSettings = CompetitionSettings()
    paths: PathSettings = PathSettings()
    folds: FoldSettings = FoldSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    features: FeatureSettings = FeatureSettings()
    prediction: PredictionSettings = PredictionSettings()
    blend: BlendSettings = BlendSettings()
    decision: DecisionSettings = DecisionSettings()
    jobs: JobSettings = JobSettings()
    training: LimitSettings = LimitSettings()
    kaggle: KaggleSettings = KaggleSettings()
    variants: dict[str, Variant]

    @model_validator(mode="after")
    def _fitted_heads_read_a_store(self) -> "Settings":
        fitted = [variant.name for variant in self.variants.values() if variant.solver == LOGISTIC]
        if fitted and not self.features.store:
            raise ValueError(f"variants.{fitted[0]} is fitted to stored features, so features.store must be true")
        return self

    @model_validator(mode="after")
    def _starts_exist(self) -> "Settings":
        for variant in self.variants.values():
            _check_start(variant, self.variants)
        return self


def _check_start(variant: Variant, variants: dict[str, Variant]) -> None:
    seen, current = [variant.name], variant
    while current.start:
        if current.start not in variants:
            raise ValueError(
                f"variants.{current.name}.start names the unknown variant {current.start!r}"
                f"{nearest(current.start, list(variants))}"
            )
        start = variants[current.start]
        if start.name in seen:
            raise ValueError(f"variants.{variant.name}.start goes in a circle: {' → '.join([*seen, start.name])}")
        if (start.backbone, start.weights) != (current.backbone, current.weights):
            raise ValueError(f"variants.{current.name} starts from {start.name}, which has another backbone or weights")
        if start.train_from != HEAD and current.train_from not in (ALL, start.train_from):
            raise ValueError(
                f"variants.{current.name} starts from {start.name}, which trains from {start.train_from!r}; "
                f'it must do the same or train_from = "all"'
            )
        inner = (current.inner_split, current.seed)
        if current.inner_split and (start.inner_split, start.seed) != inner:
            raise ValueError(
                f"variants.{current.name} chooses its epoch on an inner split, so {start.name}, its start, must set "
                "the same inner_split and seed: else it has trained on those photos"
            )
        if start.seeds < current.seeds:
            raise ValueError(f"variants.{current.name} has more seeds than {start.name}, from which it starts")
        if current.refit and not start.refit:
            raise ValueError(f"variants.{current.name} has refit = true, so {start.name}, its start, needs it too")
        seen.append(start.name)
        current = start
