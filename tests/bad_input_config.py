"""The cases of `tests.bad_input` about the configuration and the options of commands."""

from __future__ import annotations

from tests.bad_input_world import Case, Spoil, nothing
from tests.conftest import Tiny

ORIGINAL = "[variants.original]\n"


def config(change: str, *, at_start: bool = False) -> Spoil:
    """Add lines to the configuration."""

    def write(tiny: Tiny) -> None:
        text = tiny.config.read_text(encoding="utf-8")
        tiny.config.write_text(change + "\n" + text if at_start else f"{text}\n{change}\n", encoding="utf-8")

    return write


def raw(data: bytes) -> Spoil:
    return lambda tiny: tiny.config.write_bytes(data)


def named(name: str) -> Spoil:
    """Give the configuration a second name."""
    return lambda tiny: (tiny.folder / name).write_bytes(tiny.config.read_bytes())


def in_file(name: str, spoil: Spoil, *says: str) -> Case:
    return Case("configuration", name, spoil, ("tiny.toml", *says), 2, ("config",))


def by_set(name: str, override: str, *says: str, step: str = "config", more: tuple[str, ...] = ()) -> Case:
    return Case("configuration", name, nothing, says, 2, (step, *(p for o in (override, *more) for p in ("--set", o))))


FILES = (
    Case(
        "configuration", "no such file", nothing, ("no.toml", "CONFIG="), 2, ("config", "--config", "{folder}/no.toml")
    ),
    Case("configuration", "a folder", nothing, ("input", "CONFIG="), 2, ("config", "--config", "{folder}/input")),
    Case(
        "configuration",
        "a name with a space",
        named("my run.toml"),
        ("my run.toml", "letters, digits"),
        2,
        ("config", "--config", "{folder}/my run.toml"),
    ),
    in_file("no TOML", config("[training\nepochs = 3"), "not valid TOML", "line", "Fix that line"),
    in_file("a text without quotes", config("[training]\nschedule = cosine"), "not valid TOML", "line", "need quotes"),
    in_file("UTF-16", raw("[training]\nepochs = 3\n".encode("utf-16")), "not UTF-8", "Save it"),
    in_file("lists in lists", config("x = " + "[" * 3000 + "]" * 3000), "nested", "a number, a string"),
    in_file("a key twice", config("[training]\nseed = 1\nseed = 2"), "not valid TOML", "line", "Fix that line"),
)
KEYS = (
    in_file("a table misspelt", config("[trainin]\nepochs = 3"), "[trainin]", "did you mean training?"),
    in_file("a key misspelt", config("[training]\nepoch = 3"), "training.epoch", "did you mean epochs?"),
    in_file("a key of another table", config("[training]\nranks = 3"), "training.ranks", "known:"),
    in_file("a variant's key misspelt", config(ORIGINAL + "dta = 'x'"), "variants.original.dta", "mean data?"),
    in_file("a key to search misspelt", config("[tune.ranges]\nlr = [1, 2]"), "tune.ranges.lr", "known:"),
    by_set("an option misspelt", "training.timelimit=5s", "training.timelimit", "did you mean time_limit?"),
    by_set("an option without a value", "training.epochs", "--set training.epochs", "table.key=value"),
    by_set("an option of an unknown variant", "variants.orignal.epochs=3", "'orignal'", "did you mean original?"),
    by_set("a table as a value", "training=3", "--set training=3", "table.key=value"),
)
VALUES = (
    in_file("a text for a number", config("[training]\nepochs = 'ten'"), "training.epochs = 'ten'", "integer"),
    in_file(
        "a number for a text", config("[training]\nschedule = 3"), "training.schedule = 3", "'cosine' or 'constant'"
    ),
    in_file("a fraction for a whole number", config("[training]\nepochs = 3.5"), "training.epochs = 3.5", "integer"),
    in_file("a table for a value", config("[training.epochs]\nx = 1"), "training.epochs", "integer"),
    in_file("a value for a table", config("training = 3", at_start=True), "training", "table"),
    in_file("an array of tables", config("[[training]]\nepochs = 3"), "training", "table"),
    in_file("a date", config("[training]\nepochs = 2024-05-01"), "training.epochs", "date"),
    in_file(
        "an empty range",
        config("[tune.ranges]\ndropout = {low = 0.5, high = 0.2}"),
        "tune.ranges.dropout",
        "is empty",
    ),
    by_set("negative", "training.epochs=-3", "training.epochs = -3", "greater than or equal to 1"),
    by_set("none", "training.batch_size=0", "training.batch_size = 0", "greater than or equal to 1"),
    by_set("nan", "training.learning_rate=nan", "training.learning_rate", "finite"),
    by_set("inf", "variants.original.dropout=inf", "variants.original.dropout", "finite"),
    by_set("one fold", "folds.n_splits=1", "folds.n_splits = 1", "greater than or equal to 2"),
    by_set("a number beyond 64 bits", f"training.seed={'9' * 30}", "training.seed", "2147483648"),
    by_set(
        "an option of lists in lists",
        f"training.epochs={'[' * 3000}",
        "--set training.epochs=[[[",
        "nested",
        "a number, a string",
    ),
    by_set("a number without end", f"training.epochs={'9' * 5000}", "--set training.epochs=999", "huge", "a number"),
    by_set("class weights of a text", "training.class_weights=heavy", "training.class_weights", "balanced", "table"),
    by_set(
        "a negative class weight",
        "training.class_weights={1=-2.0}",
        "training.class_weights.1 = -2.0",
        "greater than 0",
    ),
    by_set("too many copies", "augmentation.copies=1000000000", "augmentation.copies", "less than or equal to 1000"),
    by_set("no duration", "training.time_limit=soon", "training.time_limit = 'soon'", "8h30m"),
    by_set("no blend", "blend.methods=[]", "blend.methods = []", "at least one"),
    by_set("an unknown blend", 'blend.methods=["stack"]', "blend.methods.0", "'stack'", "'equal'"),
    by_set(
        "classes of another type",
        'competition.classes=["1","2","3"]',
        "competition.classes",
        "label_type",
        step="folds",
    ),
    by_set("a class named twice", "competition.classes=[1,2,3,3]", "competition.classes", "twice", step="folds"),
    by_set("an unknown metric", "competition.metric=f1", "competition.metric", "'f1'", "did you mean", step="train"),
    by_set("an unknown view", 'prediction.views=["flip"]', "prediction.views", "'flip'", "did you mean", step="train"),
    by_set(
        "an unknown preset", "augmentation.preset=strong", "augmentation.preset", "'strong'", "source", step="train"
    ),
)
TOGETHER = (
    by_set(
        "an order-dependent metric of text",
        "competition.metric=quadratic_kappa",
        "tiny.toml",
        "quadratic_kappa",
        "competition.classes",
        more=('competition.label_type="string"',),
    ),
    by_set("stopping early on the held fold", "training.early_stopping=3", "early_stopping", "inner_split > 0"),
    in_file(
        "a start that is none",
        config(ORIGINAL + "start = 'orginal'"),
        "variants.original.start",
        "did you mean original?",
    ),
    in_file(
        "starts in a circle",
        config("[variants.a]\nstart = 'b'\n[variants.b]\nstart = 'a'"),
        "variants.a.start",
        "a → b → a",
    ),
    in_file(
        "a start with another backbone",
        config("[variants.a]\n[variants.b]\nstart = 'a'\nbackbone = 'ResNet50'"),
        "variants.b",
        "another backbone",
        "a",
    ),
    in_file("a reserved name", config("[variants.report]"), "variants.report", "choose another"),
    in_file("a name with a comma", config('[variants."a,b"]'), "variants.a,b", "letters, digits"),
    in_file("a name that is a path", config('[variants."../x"]'), "variants.../x", "letters, digits"),
    in_file("no variant", config("variants = {}", at_start=True), "[variants]", "no variant"),
    Case(
        "configuration",
        "variants with a comma",
        nothing,
        ("'original,augmented'", "did you mean"),
        2,
        ("train", "--variants", "original,augmented"),
    ),
    Case("configuration", "an unknown fold", nothing, ("7", "0 … 1"), 2, ("train", "--folds", "7")),
)

CASES = (*FILES, *KEYS, *VALUES, *TOGETHER)
