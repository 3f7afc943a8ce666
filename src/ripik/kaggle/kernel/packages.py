"""Whether the packages of the machine are those that ripik is made for; needs nothing but the standard library."""

from ripik.storage.installed import installed_version

NOT_NEEDED = {  # on Kaggle's machine
    "kaggle": "nothing is pushed from there",
    "cleanlab": "only the report and `analyse labels` ask it",
    "matplotlib": "only the report and the contact sheet draw with it",
    "tomli-w": "the code file carries it",
}
NOT_FOR_INFERENCE = ("albumentations", "jinja2", "tensorboard")


def problems(requires: list[str], kind: str) -> list[str]:
    """Return what is missing or of a version outside its range, a line each: `keras 3.7.0, but >=3.8 is needed`.

    requires: as in package metadata, `keras!=3.11.*,>=3.8`.
    """
    from packaging.requirements import Requirement

    skipped = {*NOT_NEEDED, *(NOT_FOR_INFERENCE if kind == "infer" else ())}
    found = []
    for requirement in map(Requirement, requires):
        name = requirement.name.lower()
        if name in skipped or (requirement.marker and not requirement.marker.evaluate()):
            continue
        version = installed_version(name)
        if version is None:
            found.append(f"{name} is not installed, but {requirement.specifier or 'any version'} is needed")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{name} {version}, but {requirement.specifier} is needed")
    return found
