#!/usr/bin/env python3
"""Walks the product in a real browser: headless Chromium, driven by playwright-core.

Everything that is needed is brought here once: Chromium by the machine's packages, the rest by npm
into a cache of the user. Each file in checks/ is a walk (node's own test runner); what they share
stands in lib/.

    ops/browser/check.py                          all walks
    ops/browser/check.py sign_in                  one of them
    ops/browser/check.py --binary target/debug/cityevents
    ops/browser/check.py screenshots --keep-pictures    what pages look like now is how they should
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
CHROMIUM = Path("/usr/bin/chromium")
NODE_MIN = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("walks", nargs="*", help="names of files in checks/, without .mjs")
    parser.add_argument("--binary", type=Path, help="a cityevents that is built already")
    parser.add_argument("--keep-pictures", action="store_true", help="replace those in ops/docs/pictures")
    arguments = parser.parse_args()
    known = {file.stem: file for file in sorted((HERE / "checks").glob("*.mjs"))}
    unknown = [name for name in arguments.walks if name not in known]
    if unknown:
        parser.error(f"there is no walk {', '.join(unknown)}; there are {', '.join(known)}")
    walks = [known[name] for name in arguments.walks or known]
    environment = {
        **os.environ,
        "CITYEVENTS_BINARY": str(arguments.binary.resolve() if arguments.binary else build()),
        "CITYEVENTS_NODE_MODULES": str(provision()),
        "CITYEVENTS_CHROMIUM": str(CHROMIUM),
    }
    if arguments.keep_pictures:
        environment["CITYEVENTS_KEEP_PICTURES"] = "yes"
    # Walks share nothing, but the machine is small: one after the other.
    command = ["node", "--test", "--test-concurrency=1", "--test-reporter=spec", *walks]
    return subprocess.run(command, env=environment).returncode


def build() -> Path:
    subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=REPOSITORY, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "debug" / "cityevents"


def provision() -> Path:
    """Chromium, node, and a folder of modules that is kept for the next run."""
    if not CHROMIUM.exists():
        install("chromium")
    if not shutil.which("node") or not shutil.which("npm"):
        install("nodejs", "npm")
    said = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    if int(said.stdout.strip().lstrip("v").split(".")[0]) < NODE_MIN:
        sys.exit(f"node {NODE_MIN} or later is needed; this is {said.stdout.strip()}")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cityevents"
    folder = cache / f"browser-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(npm, cwd=folder, check=True)
        (folder / "complete").touch()
    return folder


def install(*packages: str) -> None:
    """Packages of the machine. Only the administrator may."""
    wanted = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"install first, as this machine does it: {wanted}")
    print(f"installing {wanted}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run(["apt-get", "update", "--quiet"], **quiet)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    subprocess.run(command, env=environment, **quiet)


if __name__ == "__main__":
    sys.exit(main())
