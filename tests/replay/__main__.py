"""`python -m tests.replay [--quick] REV`: does this tree make the same bytes as another revision?

Records both (`record.py`), each with its own code in a process of its own on this machine, and
lists what differs: executables, archives, reports, refusals, error texts. Exit code 1 if anything
does. The recording of a revision is kept in BITTRUE_CACHE.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bittrue.fetch import cache_folder
from tests.replay.record import record

ROOT = Path(__file__).resolve().parents[2]


def git(*words: str) -> str:
    """Return what a git command prints."""
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def recorded(tree: Path, out: Path, quick: bool) -> dict[str, str]:
    """Return the facts of one tree, recorded by its own code."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_suffix(".part")
    # The old tree may not have that folder: it is this one's, whatever is recorded.
    places = (ROOT / "tests" / "other_tree", tree / "src", tree)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.replay",
            "--record",
            str(draft),
            *(["--quick"] if quick else []),
        ],
        cwd=tree,
        env=environment,
        check=True,
    )
    draft.replace(out)
    return dict(json.loads(out.read_text()))


def of_revision(revision: str, quick: bool) -> dict[str, str]:
    """Return the facts of a revision: checked out beside this tree, so that ../shared is there."""
    commit = git("rev-parse", revision)
    kept = cache_folder() / "replay" / f"{commit[:12]}{'-quick' if quick else ''}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    with tempfile.TemporaryDirectory(dir=ROOT.parent, prefix=".replay-") as folder:
        tree = Path(folder) / "tree"
        shared = ROOT.parent / "shared"
        if shared.exists():
            (Path(folder) / "shared").symlink_to(shared.resolve())
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            _build(tree)
            return recorded(tree, kept, quick)
        finally:
            git("worktree", "remove", "--force", str(tree))


def _build(tree: Path) -> None:
    """Build the engine of a tree, in the folder that the package looks into."""
    cmake = shutil.which("cmake", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if cmake is None:
        raise SystemExit("cmake is not installed: make test installs it")
    for words in (["-S", ".", "-B", "build/native"], ["--build", "build/native", "--parallel"]):
        subprocess.run([cmake, *words], cwd=tree, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Compare this tree with a revision, or record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE", help="only record this tree")
    parser.add_argument("--quick", action="store_true", help="a part only: a minute, not ten")
    parser.add_argument("revision", nargs="?", help="what to compare with")
    given = parser.parse_args()
    if given.record:
        record(given.record, quick=given.quick)
        return 0
    if not given.revision:
        parser.error("name the revision to compare with")
    old = of_revision(given.revision, given.quick)
    with tempfile.TemporaryDirectory() as folder:
        new = recorded(ROOT, Path(folder) / "facts.json", given.quick)
    differing = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    for key in differing:
        print(f"{key}\n  before: {old.get(key, '(none)')}\n  now:    {new.get(key, '(none)')}")
    print(f"{len(new)} facts, {len(differing)} differ from {given.revision}")
    return int(bool(differing) or not new)


if __name__ == "__main__":
    sys.exit(main())
