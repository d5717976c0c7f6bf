"""What cnnlens does to the process it runs in: memory kept while it works, NumPy's threads out of the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from needs import need
from threadpoolctl import threadpool_info, threadpool_limits

import cnnlens
from cnnlens.errors import PluginFailed
from cnnlens.runtime.shared import Shared
from cnnlens.tiny import TinyModel

glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or "CS_GNU_LIBC_VERSION" not in os.confstr_names,
    reason="only glibc's allocator is told what to keep",
)

#: Six blocks as large as a batch's activations, taken, written to and freed, by turns.
BLOCKS = """
import resource, sys
import numpy as np
from cnnlens.runtime import allocator
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
def work(turns):
    for _ in range(turns):
        held = [np.ones((12, 2**20), np.float32) for _ in range(6)]
        del held
"""


def _environ() -> dict[str, str]:
    """Ours, without what somebody chose for the allocator."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}


def _seen(code: str, **more: str) -> list[int]:
    ran = subprocess.run(
        [sys.executable, "-c", BLOCKS + code],
        capture_output=True,
        text=True,
        env={**_environ(), "NUMPY_MADVISE_HUGEPAGE": "0", **more},
    )
    assert ran.returncode == 0, ran.stderr
    return [int(word) for word in ran.stdout.split()]


@glibc
def test_what_work_frees_is_kept_for_its_next_step_and_handed_back_at_the_end() -> None:
    pages = 6 * 48 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    plain, within, before, after = _seen("""
work(1)
start = faults(); work(3); print(faults() - start)
before = resident()
with allocator.kept():
    work(1)
    start = faults(); work(3); print(faults() - start)
    with allocator.kept():
        pass  # one within another hands nothing back
    work(1)
print(before, resident())
""")
    assert plain > 2 * pages, "the system's memory is fetched anew each time"
    assert within < pages / 20
    assert after < before + 32


@glibc
def test_a_process_of_our_own_keeps_a_part_for_life() -> None:
    faults, resident = _seen("""
def small(turns):
    for _ in range(turns):
        held = [np.ones((12, 2**20), np.float32) for _ in range(4)]
        del held
allocator.keep()
small(1)
start = faults(); small(3); print(faults() - start)
work(3)
print(resident())
""")
    assert faults < 1000 and resident < 256 + 150


@glibc
def test_what_lies_below_a_result_is_handed_back_when_nothing_is_asked_for() -> None:
    before, busy, idle = _seen("""
from cnnlens.runtime import rest
allocator.keep()
work(1); rest()
print(resident())
held = [np.ones((12, 2**20), np.float32) for _ in range(20)]
result = np.ones(2**18, np.float32)  # on top of all that, and it stays
del held
print(resident())
with allocator.kept():
    rest()  # under way: nothing is handed back
    assert resident() > 900
rest()
print(resident())
""")
    assert busy > 900 and idle < before + 100


@glibc
def test_a_fork_within_work_comes_out_of_it() -> None:
    within, count, again = _seen(
        """
import os
from cnnlens.runtime import blas
with allocator.kept(), blas.one_thread():
    child = os.fork()
if child:
    os.wait()
    assert allocator._kept._count == 0 and not blas._taken.locked()
else:
    print(int(blas._taken.locked()), allocator._kept._count, flush=True)
    with allocator.kept(), blas.one_thread():
        print(allocator._kept._count, flush=True)
    os._exit(0)
"""
    )
    assert (within, count, again) == (0, 0, 1)


@glibc
def test_a_fork_begins_anew_while_work_runs() -> None:
    """Its threads are not there to end what they began."""
    held, count, resting = _seen("""
import os, threading
from cnnlens.runtime import blas
go, done = threading.Event(), threading.Event()
def works():
    with allocator.kept(), blas.one_thread():
        go.set()
        done.wait(60)
thread = threading.Thread(target=works)
thread.start(), go.wait(60)
print(allocator._kept._count, flush=True)
if not os.fork():
    with allocator.kept(), blas.one_thread():
        work(1)
        assert allocator._kept._count == 1 and blas._taken.locked()
    print(allocator._kept._count, resident(), flush=True)
    os._exit(0)
os.wait()
done.set(), thread.join()
""")
    assert (held, count) == (1, 0) and resting < 200


@glibc
@pytest.mark.parametrize(
    "chosen",
    [
        {"MALLOC_TRIM_THRESHOLD_": "65536"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"},
        {"MALLOC_ARENA_MAX": "2"},
    ],
)  # fmt: skip
def test_who_chose_for_the_process_is_left_alone(chosen: dict[str, str]) -> None:
    pages = 6 * 48 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    (within,) = _seen(
        "with allocator.kept():\n  start = faults(); work(3); print(faults() - start)", **chosen
    )
    assert within > 2 * pages


@glibc
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_memory_that_is_limited_is_not_kept(limit: str) -> None:
    """Not even where it is limited after some work was done."""
    pages = 6 * 48 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    before, within = _seen(f"""
def seen():
    with allocator.kept():
        work(1); start = faults(); work(3); print(faults() - start)
seen()
resource.setrlimit(resource.{limit}, (8 * 2**30, 8 * 2**30))
seen()
""")
    assert before < pages / 20 and within > 2 * pages


def _threads() -> list[int]:
    numpys = [one for one in threadpool_info() if one["prefix"] == "libscipy_openblas"]
    return [one["num_threads"] for one in numpys if "numpy" in one["filepath"]]


@pytest.fixture
def several() -> Iterator[None]:
    """NumPy with threads, which a suite that runs in several processes may have been denied."""
    if not _threads():
        pytest.skip("this NumPy does not multiply by an OpenBLAS of its own")
    with threadpool_limits(3, "blas"):
        yield


def test_numpy_has_one_thread_while_a_visualiser_runs(several: None) -> None:
    seen = []

    @cnnlens.visualiser(title="Threads")
    def looks(probe: cnnlens.Probe, *, fail: bool = False) -> cnnlens.Note:
        """How many threads there are."""
        seen.extend(_threads())
        if fail:
            raise ValueError("no")
        return cnnlens.Note("seen")

    image = np.zeros((8, 8, 3), np.float32)
    cnnlens.look(TinyModel(), image, looks)
    assert seen == [1] and _threads() == [3]
    with pytest.raises(PluginFailed):
        cnnlens.look(TinyModel(), image, looks, fail=True)
    assert seen == [1, 1] and _threads() == [3]


def test_visualisers_that_overlap_leave_numpys_threads_as_they_were() -> None:
    """In a process of its own: only one thread of a process may set the number."""
    if not _threads():
        pytest.skip("this NumPy does not multiply by an OpenBLAS of its own")
    during, before, after = _seen(
        """
import threading
from threadpoolctl import threadpool_info
from cnnlens.runtime import one_thread
def threads():
    return next(one["num_threads"] for one in threadpool_info() if one["prefix"] == "libscipy_openblas")
second_began, first_ended = threading.Event(), threading.Event()
def first():
    with one_thread():
        second.start()
        assert second_began.wait(60)
        print(threads())
    first_ended.set()
def last():
    with one_thread():
        second_began.set()
        assert first_ended.wait(60)
second = threading.Thread(target=last)
before = threads()
beginning = threading.Thread(target=first)
beginning.start()
beginning.join(60), second.join(60)
print(before, threads())
"""
    )
    assert during == 1 and after == before


def test_no_other_librarys_threads_are_touched() -> None:
    """SciPy's OpenBLAS has the name of NumPy's, and a framework may compute with it."""
    if not _threads():
        pytest.skip("this NumPy does not multiply by an OpenBLAS of its own")
    need("scipy")
    before, numpys, others = _seen("""
import scipy.linalg
from pathlib import Path
from threadpoolctl import threadpool_info
from cnnlens.runtime import one_thread
def threads(home):
    found = [one for one in threadpool_info() if Path(one["filepath"]).parent.name == home]
    return found[0]["num_threads"] if found else 0
print(threads("scipy.libs"))
with one_thread():
    print(threads("numpy.libs"), threads("scipy.libs"))
""")
    assert numpys == 1 and others == before


def test_what_is_shared_is_begun_once_and_ended_once() -> None:
    did: list[str] = []
    shared = Shared(lambda: did.append("begin"), lambda: did.append("end"))
    with shared.held():
        with pytest.raises(KeyError), shared.held():
            raise KeyError
        shared.at_rest(lambda: did.append("never"))
    shared.at_rest(lambda: did.append("rest"))
    with shared.held():
        pass
    assert did == ["begin", "end", "rest", "begin", "end"]
