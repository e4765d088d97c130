"""Which instruction set an emulated CPU gets, and what it refuses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from bittrue import settings
from bittrue.engines.native_library import available_isas
from bittrue.errors import UsageError
from tests.kernels.places import (
    EVERYWHERE,
    ROOT,
    Driver,
    built,
    emulation,
    place,
    qemu,
    run_cases,
    tool,
)
from tests.kernels.programs import Case, ConvShape, conv_case

ARM_CPUS = {
    "cortex-a53": ("scalar", "neon"),
    "cortex-a72": ("scalar", "neon"),
    "cortex-a76": ("scalar", "neon", "neondot"),
    "max": ("scalar", "neon", "neondot"),
}
VNNI = ("avxvnni", "avx512vnni256", "avx512vnni", "avx512vbmi")


def test_every_list_of_instruction_sets_is_that_of_the_engine() -> None:
    """native/isas.inc is the list; what another forgot is named by the difference."""
    table = (ROOT / "native" / "isas.inc").read_text()
    isas = tuple(re.findall(r'^ISA\(\w+, "(\w+)"\)$', table, re.MULTILINE))
    assert ("auto", *isas) == settings.ISAS
    assert tuple(dict.fromkeys(name.partition("@")[0] for name in EVERYWHERE)) == isas
    built_from = (ROOT / "native" / "CMakeLists.txt").read_text()
    listed = re.findall(r"^  bittrue_(?:emulated_)?isa\((\w+)", built_from, re.MULTILINE)
    assert ("scalar", *listed) == isas
    told = (ROOT / "docs" / "kernels.md").read_text().partition("## How a convolution")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == isas


def one_case() -> Case:
    return conv_case(np.random.default_rng(0), ConvShape((1, 4, 5, 8), 20, (3, 3)))


@pytest.mark.parametrize("cpu", ARM_CPUS)
def test_an_arm_cpu_gets_the_best_set_that_it_has(cpu: str) -> None:
    runner = qemu(cpu)
    assert runner.isas() == ARM_CPUS[cpu]
    found = runner.run(one_case(), "auto")
    best = ARM_CPUS[cpu][-1]
    assert (found.isa, found.kernels[-1]) == (best, f"conv_dense_{best}")


def test_a_cpu_without_sdot_refuses_neondot_by_name() -> None:
    with pytest.raises(UsageError, match=r"does not run .*neondot; it runs: scalar, neon$"):
        qemu("cortex-a53").run(one_case(), "neondot")


@pytest.mark.parametrize("isa", ["avx2", *VNNI])
def test_an_arm_cpu_refuses_the_sets_of_x86_by_name(isa: str) -> None:
    with pytest.raises(UsageError, match=f"does not run instruction set {isa}"):
        qemu("max").run(one_case(), isa)


def test_an_unknown_set_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"'sve2'; this CPU runs: scalar, neon, neondot$"):
        qemu("max").run(one_case(), "sve2")


def test_an_x86_cpu_without_avx_gets_plain_code() -> None:
    """Under qemu CPUID and XGETBV are those of the CPU asked for."""
    emulation()
    driver = built("emulate", "-DBITTRUE_EMULATE_AVX512=ON") / "kernel_driver"
    for cpu, isas in (("Nehalem", ("scalar",)), ("max", ("scalar", "avx2", *VNNI))):
        runner = Driver((tool("qemu-x86_64", "qemu-user"), "-cpu", cpu, str(driver)))
        assert runner.isas() == isas
        assert runner.run(one_case(), "auto").isa == isas[-1]
        runner.close()


def test_this_cpu_gets_the_sets_that_linux_lists() -> None:
    """/proc/cpuinfo holds what CPUID says and the kernel saves."""
    tool("lscpu", "util-linux")
    said = subprocess.run(["lscpu"], check=True, capture_output=True, text=True).stdout
    flags = set(said.split())
    wide = {"avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}
    needs = {
        "scalar": set[str](),
        "avx2": {"avx2"},
        "avxvnni": {"avx2", "avx_vnni"},
        "avx512vnni256": wide,
        "avx512vnni": wide,
        "avx512vbmi": wide | {"avx512vbmi"},
        "neon": {"asimd"},
        "neondot": {"asimd", "asimddp"},
    }
    assert set(needs) == set(settings.ISAS[1:])
    assert available_isas() == tuple(isa for isa in needs if needs[isa] <= flags)


def same_everywhere(make: Callable[[np.random.Generator], Case], names: tuple[str, ...]) -> int:
    """Return how many bytes were compared; fail if any place has other ones than the first."""
    cases = [make(np.random.default_rng(seed)) for seed in range(4)]
    first, *others = (run_cases(cases, name.partition("@")[0], place(name)) for name in names)
    assert all(other == first for other in others)
    return len(others) * sum(len(block) for row in first for block in row.values())


def test_run_cases_gives_the_bytes_of_all_tensors_wherever_they_run() -> None:
    shape = ConvShape((1, 20, 21, 24), 40, (3, 3), pad=(1, 1, 1, 1))
    names = ("scalar", "scalar@max", "neon@cortex-a53", "neon@max", "neondot@max")
    assert same_everywhere(lambda rng: conv_case(rng, shape), names) > 4 * 4 * 20 * 21 * 64
