"""`python -m bench.faults generate|run|score|all`: see README.md beside this file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.faults.generate import generate
from bench.faults.networks import NETWORKS, Network
from bench.faults.pictures import ROOT

FOLDER = ROOT / "build" / "faults"


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for."""
    options = _options(arguments)
    networks = _chosen(options)
    if options.step in {"generate", "all"}:
        generate(networks, options.folder)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("step", choices=("generate", "run", "score", "all"))
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--only", action="append", default=[], metavar="NETWORK")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> list[Network]:
    rows = [row for row in NETWORKS if row.split == options.split]
    return [row for row in rows if not options.only or row.name in options.only]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
