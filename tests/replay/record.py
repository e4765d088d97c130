"""What bittrue makes of a fixed set of networks, as one hash or one message a piece of work.

`python -m tests.replay` records this for two revisions and compares them: a refactoring changes no
line. Everything goes through the public functions and the command line, so that the same recorder
runs in either tree. Figures of time are no part of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

import bittrue
from bittrue.cli.main import run_command

#: Samples that a large network is calibrated with: enough for every rule to be taken.
SAMPLES = 4
#: What `quick` looks at: each so many of the operator cases, and these networks.
QUICK_STEP = 6
QUICK_NETWORKS = ("resnet8_cifar10", "mtcnn_onet", "blazeface_front", "net_9conv")
#: Bytes of a header's checksum, and those that it covers (docs/format.md).
CRC_AT, CRC_FROM = 12, 16
#: Of the damaged copies of one executable: a byte in so many is turned.
DAMAGE_STEP = 97

Facts = Iterator[tuple[str, str]]


def digest(data: bytes) -> str:
    """Return a hash of bytes that is short enough to be read in a difference."""
    return hashlib.sha256(data).hexdigest()[:20]


def said(work: Callable[[], str]) -> str:
    """Return what a piece of work gives, or the error that it ends in, word by word."""
    try:
        return work()
    except Exception as why:  # whatever it is, it must be the same in the other tree
        return f"{type(why).__name__}: {why}".replace(str(Path.cwd()), ".")


def command(*words: str) -> str:
    """Return the exit code and what a command prints on either stream, as a hash."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_command([*words])
    return f"exit {code} {digest((out.getvalue() + chr(0) + err.getvalue()).encode())}"


# --- networks ------------------------------------------------------------------------------------


def network_facts(name: str, network: bittrue.Network) -> Facts:
    """Yield the hash of each file that a network is written to, and what commands say of it."""
    yield f"{name}/bte", digest(network.executable or b"")
    with tempfile.TemporaryDirectory() as folder:
        here = Path.cwd()
        os.chdir(folder)
        try:
            bittrue.save_archive(network, "model.bta")
            Path("model.bte").write_bytes(network.executable or b"")
            yield f"{name}/bta", digest(Path("model.bta").read_bytes())
            for words in (
                ("inspect", "model.bta", "--json"),
                ("inspect", "model.bte"),
                ("changes", "model.bta", "--json"),
                ("changes", "model.bte", "--proof", "--svg", "changes.svg"),
                ("verify", "model.bte", "--threads", "2", "--json"),
            ):
                yield f"{name}/{' '.join(words)}", command(*words)
            yield f"{name}/svg", digest(Path("changes.svg").read_bytes())
        finally:
            os.chdir(here)


def benchmark_facts(names: tuple[str, ...]) -> Facts:
    """Yield the facts of the networks of the benchmark: all, or those that are named."""
    from bench.cases import CASES
    from bench.data import Counts

    for case in CASES:
        if names and case.name not in names:
            continue
        try:
            path, weights = case.source()
            network = bittrue.import_model(path, weights=weights, preprocess=case.preprocess)
            samples = case.kind(case.preprocess, Counts(SAMPLES, 1, 1)).calibration
            network = bittrue.compile(bittrue.quantize(bittrue.optimize(network), samples))
        except Exception as why:  # a refusal is a fact too
            yield case.name, f"{type(why).__name__}: {why}"
            continue
        yield from network_facts(case.name, network)


# --- operators -----------------------------------------------------------------------------------


def operator_facts(step: int) -> Facts:
    """Yield what becomes of each `step`th of ONNX's own test cases: as it is, and as a network."""
    from onnx.backend.test.case.node import collect_testcases

    from bench.onnx_cases import claimed_cases

    for case in claimed_cases().run[::step]:
        yield f"case {case.name}", said(lambda case=case: _compiled(case.model, case.inputs))
    for case in collect_testcases(None)[::step]:
        if case.model is not None:
            model = case.model.SerializeToString()
            yield f"raw {case.name}", said(lambda model=model: _imported(model))


def _imported(model: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        try:
            network = bittrue.optimize(bittrue.import_model(path))
        except bittrue.Error as why:
            return f"{type(why).__name__}: {why}".replace(folder, "")
        bittrue.save_archive(network, Path(folder) / "model.bta")
        return digest((Path(folder) / "model.bta").read_bytes())


def _compiled(model: bytes, inputs: Mapping[str, np.ndarray]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        try:
            network = bittrue.import_model(path)
            sample = {
                name: np.asarray(array, network.native.values[name].dtype)
                for name, array in inputs.items()
                if name in network.native.inputs
            }
            network = bittrue.compile(bittrue.quantize(network, [sample]))
        except bittrue.Error as why:
            return f"{type(why).__name__}: {why}".replace(folder, "")
        return digest(network.executable or b"")


# --- damaged files -------------------------------------------------------------------------------


def damage_facts() -> Facts:
    """Yield what the readers say of damaged copies of an executable and of an archive."""
    with tempfile.TemporaryDirectory() as folder:
        network = _small()
        whole = network.executable or b""
        archive = Path(folder) / "model.bta"
        bittrue.save_archive(network, archive)
        for kind, data in (("bte", whole), ("bta", archive.read_bytes())):
            for at in range(0, len(data), DAMAGE_STEP):
                yield f"cut {kind} {at}", said(lambda d=data[:at], f=folder: _opened(d, f))
                turned = bytearray(data)
                turned[at] ^= 0x55
                if kind == "bte" and at >= CRC_FROM:
                    struct.pack_into("<I", turned, CRC_AT, zlib.crc32(turned[CRC_FROM:]))
                yield f"turn {kind} {at}", said(lambda d=bytes(turned), f=folder: _opened(d, f))


def _small() -> bittrue.Network:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["c"], ["s"]),
            helper.make_node("Mul", ["c", "s"], ["m"]),
            helper.make_node("GlobalAveragePool", ["m"], ["y"]),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 6, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 1, 1))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.onnx"
        path.write_bytes(model.SerializeToString())
        samples = [rng.normal(size=(1, 3, 6, 6)).astype(np.float32) for _ in range(4)]
        return bittrue.build(path, samples)


def _opened(data: bytes, folder: str) -> str:
    path = Path(folder) / "damaged"
    path.write_bytes(data)
    try:
        subject = bittrue.open_subject(path)
        return "opens" if subject.executable is None else subject.program().name
    except bittrue.Error as why:
        return f"{type(why).__name__}: {why}".replace(folder, "")


# --- all -----------------------------------------------------------------------------------------


def record(path: Path, *, quick: bool) -> None:
    """Write every fact to a JSON file.

    Args:
        path: The file.
        quick: Whether to look at a part only: a minute instead of ten.
    """
    if not Path(bittrue.__file__).is_relative_to(Path.cwd()):
        raise SystemExit(f"{bittrue.__file__} is not of the tree in {Path.cwd()}")
    logging.disable(logging.WARNING)  # they are said thousands of times
    facts: dict[str, str] = {}
    for part in (
        operator_facts(QUICK_STEP if quick else 1),
        damage_facts(),
        benchmark_facts(QUICK_NETWORKS if quick else ()),
    ):
        facts.update(part)
    path.write_text(json.dumps(facts, indent=0, sort_keys=True))
