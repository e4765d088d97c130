"""`python -m bench.faults generate|run|score|all`: see README.md beside this file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.faults.generate import generate
from bench.faults.networks import NETWORKS, Network
from bench.faults.page import markdown, text
from bench.faults.pictures import ROOT
from bench.faults.run import EVERY, cases, read, run
from bench.faults.score import scored, write_json

FOLDER = ROOT / "build" / "faults"
PAGE = ROOT / "docs" / "faults.md"
QUICK = ("resnet20_cifar10", "mtcnn_onet", "fsanet_1x1")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for."""
    options = _options(arguments)
    networks = _chosen(options)
    results = options.results or options.folder / options.split / "results.json"
    if options.step in {"generate", "all"}:
        generate(networks, options.folder)
    if options.step in {"run", "all"}:
        folders = cases(networks, options.folder)
        folders = [row for row in folders if options.match in str(row)]
        run(folders[:: EVERY if options.quick else options.every], options.jobs, results)
    if options.step in {"score", "all"}:
        _score(options, results, networks)
    return 0


def _score(options: argparse.Namespace, results: Path, networks: Sequence[Network]) -> None:
    folder = options.folder / options.split
    rows = [scored(row, folder) for row in read(results)]
    write_json(rows, results.with_name(f"{results.stem}_scored.json"))
    print(text(rows))
    if options.page:
        every = [f"{row.parent.parent.name}/{row.name}" for row in cases(networks, options.folder)]
        done = {row.folder for row in rows}
        PAGE.write_text(markdown(rows, [name for name in every if name not in done]))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("step", choices=("generate", "run", "score", "all"))
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--only", action="append", default=[], metavar="NETWORK")
    parser.add_argument("--match", default="", help="run only cases with this in their path")
    parser.add_argument("--quick", action="store_true", help="three small networks, few cases")
    parser.add_argument("--every", type=int, default=1, help="run one case of so many (odd!)")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--page", action="store_true", help="write docs/faults.md")
    parser.add_argument("--results", type=Path, help="another file than the split's")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> list[Network]:
    only = options.only or (QUICK if options.quick else ())
    split = "test" if options.quick else options.split
    return [row for row in NETWORKS if row.split == split and (not only or row.name in only)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
