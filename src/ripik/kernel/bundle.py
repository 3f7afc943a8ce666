"""One code file that carries the package itself: all that `kaggle kernels push` sends."""

import base64
import importlib.metadata
import importlib.util
import io
import json
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import ripik

CARRIED = ("tomli_w",)  # small packages of pure Python that Kaggle's image may lack
SUFFIXES = (".py", ".j2", ".html", ".css", ".js")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same sources make the same bytes
WIDTH = 120
CODE = '''\
"""{title}: a kernel of ripik, written by `make kernel`. Build it again instead of editing it."""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

FACTS = r"""{facts}"""

PACKAGE = """
{package}
"""

folder = tempfile.mkdtemp(prefix="ripik-")
zipfile.ZipFile(io.BytesIO(base64.b64decode(PACKAGE))).extractall(folder)
facts = os.path.join(folder, "facts.json")
with open(facts, "w", encoding="utf-8") as file:
    json.dump(json.loads(FACTS), file)
environment = {{**os.environ, "PYTHONPATH": folder, "PYTHONUNBUFFERED": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}}
code = subprocess.run([sys.executable, "-m", "ripik.kernel.main", facts], env=environment).returncode
if code:
    sys.exit(code)
'''


def code_text(title: str, facts: dict[str, Any]) -> str:
    """Return the code file: `facts` (JSON) for `kernel.main`, and this package as a zip in base64."""
    package = "\n".join(textwrap.wrap(base64.b64encode(package_zip()).decode(), WIDTH))
    return CODE.format(title=title, facts=json.dumps(facts, indent=1, ensure_ascii=True), package=package)


def package_zip() -> bytes:
    """Return this package and the carried ones, zipped; the same sources give the same bytes."""
    folders = [Path(ripik.__file__).parent, *(_folder(name) for name in CARRIED)]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix in SUFFIXES:
                    name = path.relative_to(folder.parent).as_posix()
                    archive.writestr(zipfile.ZipInfo(name, LONG_AGO), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return written.getvalue()


def requirements() -> list[str]:
    """Return this package's own requirements with their ranges, without extras: `keras!=3.11.*,>=3.8`."""
    return [text for text in importlib.metadata.requires("ripik") or [] if "extra ==" not in text]


def _folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is one of the requirements"
    assert found.origin is not None
    return Path(found.origin).parent
