"""What Prometheus learns of teal's own processes."""

import os
import subprocess
import sys
import time

import pytest

from router.control.process_metrics import ProcessFacts, ProxyFacts, control_facts, process_metrics
from router.core.stats import Vitals
from router.vitals import VitalSigns

Samples = dict[tuple[str, str], float]

VITALS = Vitals(loop_lag_s=0.001, loop_lag_max_s=0.02, gc_pauses=3, gc_pause_sum_s=0.5, gc_pause_max_s=0.25)


def samples(*processes: ProcessFacts) -> Samples:
    """Every sample by its name and the process that it is of."""
    return {
        (sample.name, sample.labels["process"]): sample.value
        for family in process_metrics(processes)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("teal_event_loop_lag_seconds", 0.001),
        ("teal_event_loop_lag_max_seconds", 0.02),
        ("teal_gc_pause_seconds_count", 3),
        ("teal_gc_pause_seconds_sum", 0.5),
        ("teal_gc_pause_max_seconds", 0.25),
        ("teal_proxy_config_generation", 7),
        ("teal_proxy_restarts_total", 2),
        ("teal_proxy_stalls_total", 1),
    ],
)
def test_what_a_proxy_says_of_itself(name: str, expected: float) -> None:
    """Each of its vitals is a sample, and so are its table and its restarts."""
    proxy = ProxyFacts(name="proxy-0", pid=os.getpid(), vitals=VITALS, generation=7, restarts=2, stalls=1)
    assert samples(proxy)[name, "proxy-0"] == expected


def test_what_the_system_says_of_a_process() -> None:
    """Descriptors and their limit, memory, CPU and age, of a process that has 3 files open."""
    started = time.time()
    command = [sys.executable, "-c", "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77));"
               "print(flush=True); sys.stdin.read()"]  # fmt: skip
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    shown = samples(ProcessFacts(name="control", pid=child.pid))
    child.communicate()
    assert shown["teal_process_open_fds", "control"] == 3
    assert shown["teal_process_max_fds", "control"] == 77
    assert shown["teal_process_resident_memory_bytes", "control"] > 1_000_000
    assert shown["teal_process_cpu_seconds_total", "control"] >= 0
    assert shown["teal_process_start_time_seconds", "control"] == pytest.approx(started, abs=30)


def test_a_process_that_has_ended_has_no_samples_of_the_system() -> None:
    """It ends between the snapshot and the question, and the page is rendered all the same."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    shown = samples(ProcessFacts(name="control", pid=child.pid, vitals=VITALS))
    assert ("teal_process_open_fds", "control") not in shown
    assert shown["teal_gc_pause_seconds_count", "control"] == 3


def test_an_empty_slot_routes_by_nothing() -> None:
    """Its generation is 0, for an alert to see, and nobody is there to have vitals."""
    shown = samples(ProxyFacts(name="proxy-1", pid=None, restarts=4))
    assert shown == {
        ("teal_proxy_config_generation", "proxy-1"): 0,
        ("teal_proxy_restarts_total", "proxy-1"): 4,
        ("teal_proxy_stalls_total", "proxy-1"): 0,
    }


def test_the_control_process_shows_what_was_measured_last() -> None:
    """A copy: what is measured while a page is rendered is for the next page."""
    signs = VitalSigns()
    signs.tick(0.2)
    facts = control_facts(signs)
    signs.tick(0.1)
    signs.close()
    assert (facts.name, facts.pid, facts.vitals.loop_lag_s) == ("control", os.getpid(), 0.2)
