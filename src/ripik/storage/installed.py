"""The version of an installed package, also where it is installed under another name; standard library only."""

import importlib.metadata

TWINS = {  # the same package under other names
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "tensorflow": ("tensorflow-cpu",),
}


def installed_version(name: str) -> str | None:
    """Return the version of a package, or of the first of its twins that is installed; None: none is."""
    for each in (name, *TWINS.get(name, ())):
        try:
            return importlib.metadata.version(each)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
