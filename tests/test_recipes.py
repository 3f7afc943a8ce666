from pathlib import Path

import pytest

from ripik.config import load_settings, to_toml
from ripik.errors import InputError
from ripik.recipes import RECIPES


def load(folder: Path, text: str, *overrides: str) -> object:
    path = folder / "leaves.toml"
    path.write_text(text)
    return load_settings(path, overrides)


def test_source_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, '[recipe]\npreset = "source"') == load(tmp_path, "")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_used_and_comes_back(tmp_path: Path, name: str) -> None:
    settings = load(tmp_path, f'[recipe]\npreset = "{name}"')
    assert load(tmp_path, to_toml(settings)) == settings  # type: ignore[arg-type]
    assert load(tmp_path, "", f"recipe.preset={name}") == settings


def test_the_users_own_keys_stand_over_the_recipe(tmp_path: Path) -> None:
    quick = load(tmp_path, '[recipe]\npreset = "quick"\n[finetuning]\nepochs = 3\n')
    strong = quick.variants["strong"]  # type: ignore[attr-defined]
    assert (strong.epochs, strong.live, strong.batch_size) == (3, 1.0, 16)
    own = load(tmp_path, '[recipe]\npreset = "quick"\n[variants]\none = { train_from = "all" }\n')
    assert list(own.variants) == ["one"]  # type: ignore[attr-defined]
    assert own.variants["one"].mix == "mixup"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ['[recipe]\npreset = "strng"', "[recipe]\nname = 1", "recipe = 1"])
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="recipe"):
        load(tmp_path, text)
