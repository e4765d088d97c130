"""The archive, `model.bta`: everything known of one network, stage by stage, in one file.

A zip of stored (never compressed) members: `manifest.json`, and safetensors files with the arrays.
Opening one runs nothing that is in it, and unpacks nothing to disk (docs/format.md, "The archive").
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bittrue.arith import QParams
from bittrue.contract.preprocess import (
    preprocess_from_json,
    preprocess_to_json,
)
from bittrue.errors import FormatError
from bittrue.files import read_bytes, write_atomically
from bittrue.graph.graph_json import graph_from_json, graph_to_json
from bittrue.graph.model import Graph
from bittrue.json_values import as_list, as_object
from bittrue.network import Network, Source
from bittrue.packages import require
from bittrue.passes.history import history_from_json, history_to_json
from bittrue.quant.model import QuantizedGraph, WeightCodes

ARCHIVE_FORMAT = 1
MANIFEST = "manifest.json"
ZIP_MAGIC = b"PK\x03\x04"
#: Every other member that an archive can have.
MEMBERS = frozenset(
    {
        "source.onnx",
        "native.safetensors",
        "fp_optimized.safetensors",
        "quantized.safetensors",
        "weights.safetensors",
        "compiled.bte",
    }
)
MAX_MANIFEST = 64 << 20


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


# --- writing -----------------------------------------------------------------------------------


def save_archive(network: Network, path: str | Path) -> None:
    """Write the archive to a temporary file beside `path`, then rename it into place.

    Raises:
        DataError: if the file cannot be written; an older file of that name is then untouched.
        UsageError: if safetensors is not installed.
    """
    write_atomically(Path(path), archive_bytes(network))


def archive_bytes(network: Network) -> bytes:
    """Return the archive's bytes; the same network gives the same bytes."""
    members: dict[str, bytes] = {"source.onnx": network.source.onnx}
    manifest: dict[str, object] = {
        "format": ARCHIVE_FORMAT,
        "name": network.name,
        "source": {
            "name": network.source.name,
            "sha256": network.source.sha256,
            "kind": network.source.kind,
        },
        "stages": list(network.stages),
        "preprocess": {name: preprocess_to_json(item) for name, item in network.preprocess.items()},
        "provenance": dict(network.provenance),
        "native": _pack_graph(network.native, "native", members),
    }
    if network.optimized is not None:
        manifest["fp_optimized"] = _pack_graph(network.optimized, "fp_optimized", members)
    if network.history is not None:
        manifest["history"] = history_to_json(network.history)
    if network.quantized is not None:
        manifest["quantized"] = _pack_quantized(network.quantized, members)
    if network.executable is not None:
        members["compiled.bte"] = network.executable
    manifest["members"] = {name: sha256(data) for name, data in members.items()}
    return _zip_bytes({MANIFEST: _json_bytes(manifest), **members})


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _zip_bytes(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            # A fixed time: the same network must give the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def _pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    require("safetensors", "tools")
    from safetensors.numpy import save

    # order="C" keeps a scalar a scalar; ascontiguousarray would give it an axis.
    return bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def _pack_graph(graph: Graph, stage: str, members: dict[str, bytes]) -> dict[str, object]:
    """Add the graph's constants to the members, by number: names may hold anything."""
    names = list(graph.constants)
    members[f"{stage}.safetensors"] = _pack_arrays(
        {str(index): graph.constants[name] for index, name in enumerate(names)}
    )
    return {"graph": graph_to_json(graph), "constants": names}


def _pack_quantized(quantized: QuantizedGraph, members: dict[str, bytes]) -> dict[str, object]:
    """The quantised graph is fp_optimized's with codes, but its passes may have changed it."""
    arrays: dict[str, np.ndarray] = {}
    weights = list(quantized.weights)
    for index, name in enumerate(weights):
        item = quantized.weights[name]
        arrays[f"codes{index}"], arrays[f"scale{index}"] = item.codes, item.scale
        if item.input_scale is not None:
            arrays[f"input{index}"] = item.input_scale
    values = list(quantized.activations)
    for index, name in enumerate(values):
        arrays[f"activation{index}"] = quantized.activations[name].scale
    members["weights.safetensors"] = _pack_arrays(arrays)
    return {
        **_pack_graph(quantized.graph, "quantized", members),
        "weights": weights,
        "activations": [
            [name, quantized.activations[name].zero_point, quantized.activations[name].axis]
            for name in values
        ],
        "float_values": sorted(quantized.float_values),
        "ranges": {name: list(pair) for name, pair in quantized.ranges.items()},
    }


# --- reading -----------------------------------------------------------------------------------


def open_archive(path: str | Path) -> Network:
    """Return the network that an archive holds; nothing in it is executed.

    Raises:
        FormatError: if the file is damaged, hostile or of another format.
        DataError: if it cannot be read.
    """
    return archive_from_bytes(read_bytes(path), path=str(path))


def archive_from_bytes(data: bytes, *, path: str = "") -> Network:
    """Return the network in an archive's bytes.

    Raises:
        FormatError: as `open_archive`.
    """
    if not data.startswith(ZIP_MAGIC):
        raise FormatError(
            "this is no bittrue archive (.bta)",
            path=path,
            hint="a network is imported first: bittrue import model.onnx -o model.bta",
        )
    members = _read_members(data, path)
    manifest = _read_manifest(members, path)
    try:
        network = _unpack(manifest, members, path)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as why:
        raise FormatError(
            f"{MANIFEST} does not say what an archive must: {type(why).__name__} {str(why)[:400]}",
            path=path,
            hint="write the archive again with `bittrue import`",
        ) from why
    return network


def _read_members(data: bytes, path: str) -> dict[str, bytes]:
    """Return every member; compressed or repeated ones are refused, so sizes stay bounded."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            rows = archive.infolist()
            names = [row.filename for row in rows]
            if len(set(names)) != len(names):
                raise FormatError("a member's name is there twice", path=path)
            for row in rows:
                if row.compress_type != zipfile.ZIP_STORED and MANIFEST not in names:
                    raise _no_archive(path)
                if row.compress_type != zipfile.ZIP_STORED:
                    raise FormatError(
                        f"member {row.filename!r} is compressed; archives hold stored members",
                        path=path,
                    )
            # Of all together: entries that share bytes would multiply a small file.
            if sum(row.file_size for row in rows) > len(data):
                raise FormatError("its members are longer than the file", path=path)
            return {row.filename: archive.read(row) for row in rows}
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
        struct.error,
        OverflowError,
    ) as why:
        raise FormatError(
            f"not a readable archive: {why}", path=path, hint="the file is damaged; write it again"
        ) from why


def _no_archive(path: str) -> FormatError:
    return FormatError(
        f"this is a zip, but no bittrue archive (.bta): {MANIFEST} is missing",
        path=path,
        hint="a network is imported first: bittrue import model.onnx -o model.bta",
    )


def _read_manifest(members: Mapping[str, bytes], path: str) -> Mapping[str, object]:
    if MANIFEST not in members:
        raise _no_archive(path)
    text = members[MANIFEST]
    if not text or len(text) > MAX_MANIFEST:
        raise FormatError(
            f"{MANIFEST} is missing, empty or too long",
            path=path,
            hint="the file is damaged; write it again with `bittrue import`",
        )
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as why:
        raise FormatError(f"{MANIFEST} is not JSON: {why}", path=path) from why
    if not isinstance(manifest, dict) or manifest.get("format") != ARCHIVE_FORMAT:
        raise FormatError(
            f"{MANIFEST} is not of archive format {ARCHIVE_FORMAT}",
            path=path,
            hint="write the archive again with this version of bittrue",
        )
    digests = manifest.get("members")
    if not isinstance(digests, dict) or set(digests) != set(members) - {MANIFEST}:
        raise FormatError("the members are not those that the manifest lists", path=path)
    if set(digests) - MEMBERS:
        raise FormatError(
            f"{sorted(set(digests) - MEMBERS)} are no members of an archive", path=path
        )
    for name, digest in digests.items():
        if sha256(members[name]) != digest:
            raise FormatError(
                f"member {name!r} has another sha256 than the manifest says", path=path
            )
    return manifest


def _unpack(manifest: Mapping[str, object], members: Mapping[str, bytes], path: str) -> Network:
    source, preprocess = (
        as_object(manifest["source"], "source"),
        as_object(manifest["preprocess"], "preprocess"),
    )
    history = manifest.get("history")
    network = Network(
        name=str(manifest["name"]),
        source=Source(
            str(source["name"]), str(source["sha256"]), str(source["kind"]), members["source.onnx"]
        ),
        native=_unpack_graph(manifest["native"], "native", members, path),
        preprocess={
            name: preprocess_from_json(as_object(item, "a preprocessing"), path=path)
            for name, item in preprocess.items()
        },
        history=None if history is None else history_from_json(history, path=path),
        executable=members.get("compiled.bte"),
        provenance=as_object(manifest["provenance"], "provenance"),
    )
    if "fp_optimized" in manifest:
        graph = _unpack_graph(manifest["fp_optimized"], "fp_optimized", members, path)
        network = replace(network, optimized=graph)
    if "quantized" in manifest:
        network = replace(
            network, quantized=_unpack_quantized(manifest["quantized"], members, path)
        )
    if list(network.stages) != manifest["stages"]:
        raise ValueError(f"it says stages {manifest['stages']}, it holds {list(network.stages)}")
    return network


def _unpack_arrays(data: bytes, path: str) -> dict[str, np.ndarray]:
    require("safetensors", "tools")
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, np.ndarray] = load(data)
    except (SafetensorError, KeyError, ValueError) as why:
        raise FormatError(f"an array member is damaged: {why}", path=path) from why
    return arrays


def _unpack_graph(data: object, stage: str, members: Mapping[str, bytes], path: str) -> Graph:
    row = as_object(data, stage)
    arrays = _unpack_arrays(members[f"{stage}.safetensors"], path)
    names = [str(name) for name in as_list(row["constants"], "constants")]
    constants = {name: arrays[str(index)] for index, name in enumerate(names)}
    return graph_from_json(as_object(row["graph"], "graph"), constants, path=path)


def _unpack_quantized(data: object, members: Mapping[str, bytes], path: str) -> QuantizedGraph:
    row = as_object(data, "quantized")
    arrays = _unpack_arrays(members["weights.safetensors"], path)
    activations: dict[str, QParams] = {}
    for index, entry in enumerate(as_list(row["activations"], "activations")):
        name, zero_point, axis = as_list(entry, "an activation")
        if not isinstance(zero_point, int) or not isinstance(axis, int):
            raise TypeError(f"activation {name!r} has no whole zero point and axis")
        activations[str(name)] = QParams(arrays[f"activation{index}"], zero_point, axis)
    weights = {
        str(name): WeightCodes(
            arrays[f"codes{index}"], arrays[f"scale{index}"], arrays.get(f"input{index}")
        )
        for index, name in enumerate(as_list(row["weights"], "weights"))
    }
    ranges = {
        name: (float(pair[0]), float(pair[1]))  # type: ignore[arg-type]
        for name, pair in (
            (key, as_list(item, "a range"))
            for key, item in as_object(row["ranges"], "ranges").items()
        )
    }
    return QuantizedGraph(
        graph=_unpack_graph(data, "quantized", members, path),
        activations=activations,
        weights=weights,
        float_values=frozenset(str(name) for name in as_list(row["float_values"], "float_values")),
        ranges=ranges,
    )
