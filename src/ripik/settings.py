"""The settings of a run: what can be set, its type, its range and its default."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ripik.kaggle_addresses import CompetitionName, dataset_name
from ripik.names import (
    FOLDERS,
    LOGISTIC,
    BlendMethod,
    KnownMetric,
    LayoutName,
    Merging,
    Preset,
    RecipeName,
    SubmissionKind,
    ViewName,
    own_name,
)
from ripik.search_ranges import TuneSettings
from ripik.sections import (
    Added,
    Count,
    CountOrNone,
    Folders,
    FoldersOrNone,
    Section,
    Seed,
    Text,
    UpTo1000,
    UpTo1000OrNone,
)
from ripik.variants import Variant, check_start

Label = int | str
INTEGER = r"-?(?:0|[1-9][0-9]{0,17})"  # a label that is a whole number, plainly written
Alpha = Annotated[Literal["white", "black", "drop"], Added()]
Methods = Annotated[tuple[BlendMethod, ...], Field(min_length=1)]


def _duration(text: str) -> float:
    """Return a text such as 8h30m in seconds; 0 when it is no duration."""
    found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return 3600.0 * hours + 60.0 * minutes + seconds


def _check_duration(key: str, text: str) -> None:
    if text and not _duration(text):
        raise ValueError(f"{key} = {text!r} is not a duration: write it as 8h30m, 90m or 45s")


class RecipeSettings(Section):
    """What the configuration builds on."""

    preset: RecipeName = "source"  # its tables stand under those of the configuration


class CompetitionSettings(Section):
    """Where the organiser's files are and how they are to be read."""

    root: str = ""  # empty: <paths.input>/<run>
    layout: Annotated[LayoutName, Added()] = "csv"  # folders: train_images holds a folder for each class, and no CSVs
    train_csv: Text = "train/train.csv"
    train_images: Folders = "train/images"  # or several folders
    test_csv: str = "test/test.csv"  # empty: none; ids are the sample's, or else names of files
    test_images: FoldersOrNone = "test/images"  # empty: there is no test set
    sample_submission: str = "sample_submission.csv"  # empty: none, and no submission is written
    id_column: Text = "image_id"
    filename_column: str = "filename"  # empty: the file is named <id><image_extension>, or <id> with another ending
    image_extension: str = ".jpg"
    label_column: Text = "label"
    label_columns: Annotated[tuple[Text, ...], Added()] = ()  # one a class: 0 and 1, or shares; in place of the former
    sample_id_column: Annotated[str, Added()] = ""  # of the sample; empty: train.csv's, or the one with test ids
    sample_label_column: Annotated[str, Added()] = ""  # the same; empty: train.csv's, or the one beside the ids
    group_column: str = ""  # of train.csv: rows with the same value stay in one fold, as near copies do
    corrections: str = ""  # CSV of image_id, label to train on in place of train.csv's; a path, or one below the root
    weight_column: Annotated[str, Added()] = ""  # of train.csv: how much a row counts in training
    ignore: Annotated[str, Added()] = ""  # of train.csv: 1 where training leaves a row out; it is scored all the same
    label_type: Literal["integer", "string"] = "integer"
    classes: tuple[Label, ...] = ()  # empty: the labels of train.csv, sorted
    metric: Annotated[KnownMetric, BeforeValidator(own_name)] = "macro_f1"
    submission: Literal["auto", SubmissionKind] = "auto"  # auto: as the sample submission has
    positive_class: Label = ""  # whose probability a single column gets; empty: the class that names it, or the greater
    alpha: Alpha = "white"  # what transparent images are laid on; drop: colours as stored
    on_bad_image: Literal["stop", "skip"] = "stop"  # of train; one of the test set gets the class shares
    kaggle_dataset: str = ""  # owner/name or its address, for `ripik data`

    @model_validator(mode="after")
    def _columns_are_of_a_csv(self) -> "CompetitionSettings":
        columns = {"group_column": self.group_column, "weight_column": self.weight_column, "ignore": self.ignore}
        named = [key for key, column in columns.items() if column]
        if named and self.of_folders:
            raise ValueError(f'{named[0]} names a column of train.csv, and layout = "folders" has none: leave it empty')
        return self

    @model_validator(mode="after")
    def _columns_are_of_classes(self) -> "CompetitionSettings":
        if self.label_columns and self.of_folders:
            raise ValueError('label_columns are of a CSV, and layout = "folders" has none: leave out one of them')
        if len(self.label_columns) == 1 or len(set(self.label_columns)) < len(self.label_columns):
            raise ValueError("label_columns must list one column per class, at least two, each once")
        if self.label_columns and self.classes and {*map(str, self.classes)} != set(self.label_columns):
            raise ValueError(
                "classes and label_columns list different classes: remove one of them, or list the same in both"
            )
        if self.label_type == "integer" and not all(re.fullmatch(INTEGER, name) for name in self.label_columns):
            raise ValueError('label_columns are the labels, and not all are whole numbers: set label_type = "string"')
        return self

    @property
    def extension(self) -> str | None:
        """The ending of files that are named by their ids, with its dot; None where a column names the files."""
        return None if self.filename_column else self.ending

    @property
    def ending(self) -> str:
        """The `image_extension` with its dot."""
        return f".{self.image_extension}" if self.image_extension.isalnum() else self.image_extension

    @property
    def dataset(self) -> str:
        """The Kaggle dataset as owner/name, also where its address is given."""
        return dataset_name(self.kaggle_dataset)

    @property
    def of_folders(self) -> bool:
        """Whether the classes of training images are given by their folders."""
        return self.layout == FOLDERS

    def image_folders(self, split: str) -> tuple[str, ...]:
        """Return the folders with the images of a split, `train` or `test`; none where there is no test set."""
        folders = self.train_images if split == "train" else self.test_images
        return ((folders,) if folders else ()) if isinstance(folders, str) else folders

    @property
    def has_sample(self) -> bool:
        """Whether the settings name a sample submission, and there is a test set for it."""
        return bool(self.sample_submission and self.test_images)

    def table(self, split: str) -> str:
        """Return the CSV that lists a split's images; empty where none does, or there is no test set."""
        if self.of_folders or (split == "test" and not self.test_images):
            return ""
        return self.train_csv if split == "train" else self.test_csv

    def listed_in(self, split: str) -> str:
        """Return what lists the images of a split, for messages: its CSV, or else its folders."""
        return self.table(split) or ", ".join(self.image_folders(split))


class PathSettings(Section):
    """The three folders that steps read from and write to."""

    input: Text = "input"
    output: Text = "output"
    submissions: Text = "submissions"


class FoldSettings(Section):
    """How the training images are split."""

    n_splits: Annotated[Count, Field(ge=2, le=1000)] = 5
    seed: Seed = 0
    tries: Count = 20  # seeded splits made; the one whose class shares differ least between folds is kept
    near_copies: bool = True  # False: only the group column, or every image by itself
    near_copy_threshold: Annotated[float, Field(gt=0, le=1)] = 0.55  # similarity from which two images are one photo


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
    copies: UpTo1000 = 15
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
            raise ValueError("prediction.views lists a view twice")
        return self


class BlendSettings(Section):
    """How members are blended: by the first method, unless another is surely better by its cross-fitted score."""

    methods: Methods = ("greedy",)  # where probabilities are scored, by default: greedy, geometric, rank
    margin: Annotated[float, Field(ge=0)] = 2.0  # errors of its gain that another must gain; 0: the best score wins
    partitions: Annotated[UpTo1000OrNone, Added()] = 3  # other ones into folds by which the nested CV is made again
    views: Literal["all", "auto"] = "all"  # auto: each member's views are chosen, cross-fitted like everything else
    seed: Seed = 0
    restarts: UpTo1000OrNone = 8  # of the coordinate search, beside equal weights and each member alone
    bags: UpTo1000 = 20  # of the greedy selection

    @model_validator(mode="after")
    def _methods_differ(self) -> "BlendSettings":
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("blend.methods lists a method twice")
        return self


class DecisionSettings(Section):
    """What is done to the blend's probabilities before the most probable class is submitted."""

    copies_vote: Literal["auto", "on", "off"] = "auto"  # near copies of one photo share their mean probabilities
    offsets: Literal["auto", "on", "off"] = "auto"  # added to log-probabilities, for label metrics; auto: if in reach
    ranks: Annotated[Literal["auto", "on", "off"], Added()] = (
        "auto"  # thresholds of the expected rank, for quadratic_kappa
    )
    prior_shift: bool = False  # whether probabilities follow the class shares estimated on the rows to be predicted


class JobSettings(Section):
    """Where jobs run, how many at once, and with how many threads each."""

    engine: Literal["local", "ray"] = "local"  # processes of this machine, or a Ray cluster (RAY_ADDRESS, or one here)
    jobs: Count = 1  # at once; a cluster that RAY_ADDRESS names runs as many as it has room for
    threads: CountOrNone = 0  # of a job; 0: as the run began, at first the cores divided among the jobs


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
    tune: TuneSettings = TuneSettings()
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
            check_start(variant, self.variants)
        return self
