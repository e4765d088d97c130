"""Generate every case of a split once; what is there already is left as it is."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench.faults.cases import given_of, make, write
from bench.faults.effect import sqnr_db
from bench.faults.networks import Network
from bench.faults.plans import Plan, plans
from bench.faults.workshop import Workshop, build_archive, device, opened

#: A folder that another version of the generator made is made anew.
VERSION = 4


def generate(networks: Sequence[Network], folder: Path) -> None:
    """Write the cases of some networks below folder / split / network."""
    for network in networks:
        place = folder / network.split / network.name
        if _complete(place):
            continue
        started = time.monotonic()
        made = place.with_name(f"{network.name}.new")
        shutil.rmtree(made, ignore_errors=True)
        count = _of_network(network, made)
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
        print(f"{network.name}: {count} cases in {time.monotonic() - started:.0f} s", flush=True)


def _complete(place: Path) -> bool:
    facts = place / "network.json"
    return facts.exists() and json.loads(facts.read_text()).get("version") == VERSION


def _of_network(network: Network, place: Path) -> int:
    shop = opened(network, network.split, place)
    build_archive(shop)
    healthy = device(shop)
    rows = plans(network, given_of(shop, healthy, shop.inputs[shop.names[0]]))
    for plan in rows:
        _write(shop, plan)
    facts = {"version": VERSION, "name": network.name, "cases": len(rows)}
    facts["healthy_sqnr_db"] = _quality(shop)
    (place / "network.json").write_text(json.dumps(facts, indent=1) + "\n")
    return len(rows)


def _write(shop: Workshop, plan: Plan) -> None:
    write(shop, make(shop, plan), shop.folder / "cases" / plan.name)


def _quality(shop: Workshop) -> dict[str, float]:
    """Return signal over error energy of the healthy device, by output."""
    given = [shop.healthy[name] for name in shop.names]
    right = [shop.references[name] for name in shop.names]
    return {
        name: round(sqnr_db([row[name] for row in right], [row[name] for row in given]), 1)
        for name in shop.outputs
    }
