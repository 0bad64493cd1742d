"""One instance through its processes, as histories of what happened."""

import pytest

from router.core.lifecycle import TRANSITIONS, Action, Event, Lifecycle, State, describe_exit


def ready(now: float = 1.0) -> Lifecycle:
    """An instance whose process began at 0 and is ready."""
    lifecycle = Lifecycle()
    lifecycle.spawned(0.0, 300.0)
    lifecycle.became_ready(now)
    return lifecycle


def crash(lifecycle: Lifecycle, now: float) -> float | None:
    """Let its process crash; the seconds until the next start."""
    lifecycle.exited(1, "", now)
    return lifecycle.retry_in_s(now)


def test_process_that_says_so_is_ready_and_was_of_use() -> None:
    """READY=1 is enough, whatever the probes' delays are."""
    lifecycle = ready()
    assert (lifecycle.state, lifecycle.has_served, lifecycle.has_failed) == (State.READY, True, False)


def test_init_that_raises_fails_the_deployment_and_is_tried_again() -> None:
    """A failed start waits half a second, then starts anew."""
    lifecycle = Lifecycle()
    lifecycle.spawned(0.0, 300.0)
    ended = lifecycle.exited(3, "init() raised ValueError: bad model", 2.0)
    assert (ended.reason, ended.text) == ("init_failed", "init() raised ValueError: bad model")
    assert (lifecycle.state, lifecycle.has_failed, lifecycle.reason) == (State.BACKOFF, True, ended.text)
    assert lifecycle.tick(2.4) is Action.NOTHING
    assert lifecycle.tick(2.5) is Action.START
    assert (lifecycle.state, lifecycle.has_failed) == (State.STARTING, True)


def test_failed_start_is_forgotten_once_ready() -> None:
    """The deployment has failed until a later start succeeds."""
    lifecycle = Lifecycle()
    lifecycle.exited(3, "", 0.0)
    lifecycle.tick(0.5)
    lifecycle.became_ready(1.0)
    assert (lifecycle.has_failed, lifecycle.reason) == (False, "")


def test_back_off_doubles_up_to_a_minute() -> None:
    """Each failure in a row waits twice as long as the one before, at most 60 seconds."""
    lifecycle = Lifecycle()
    delays = [crash(lifecycle, 0.0)]
    for _ in range(8):
        lifecycle.tick(1000.0)
        delays.append(crash(lifecycle, 0.0))
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(("ready_for_s", "delay_s"), [(29.9, 1.0), (30.0, 0.5)])
def test_back_off_begins_anew_after_a_steady_time(ready_for_s: float, delay_s: float) -> None:
    """Half a minute of readiness makes the next crash the first one."""
    lifecycle = ready()
    crash(lifecycle, 1.0)
    lifecycle.tick(1.5)
    lifecycle.became_ready(10.0)
    assert crash(lifecycle, 10.0 + ready_for_s) == delay_s


def test_one_crash_does_not_fail_a_deployment_that_served() -> None:
    """A worker that is killed once is replaced without fuss."""
    lifecycle = ready()
    ended = lifecycle.exited(-9, "", 5.0)
    assert (ended.reason, ended.text) == ("killed", "SIGKILL, perhaps out of memory")
    assert (lifecycle.state, lifecycle.has_failed) == (State.BACKOFF, False)


def test_crash_loop_after_good_starts_is_visible() -> None:
    """Three crashes in a row fail the deployment, although each start succeeded."""
    lifecycle = ready()
    for now in (2.0, 4.0, 8.0):
        crash(lifecycle, now)
        lifecycle.tick(1000.0)
        lifecycle.became_ready(now + 1)
    assert not lifecycle.has_failed
    crash(lifecycle, 9.0)
    assert lifecycle.has_failed


@pytest.mark.parametrize(("ready_for_s", "delay_s"), [(0.0, 0.5), (0.25, 0.25), (0.5, 0.0), (20.0, 0.0)])
def test_one_that_is_killed_from_outside_is_started_at_once(ready_for_s: float, delay_s: float) -> None:
    """Half a second after it was ready there is nothing to wait for, as often as it is killed."""
    lifecycle = ready()
    lifecycle.exited(-9, "", 5.0)
    lifecycle.tick(5.0)
    lifecycle.became_ready(6.0)
    lifecycle.exited(-9, "", 6.0 + ready_for_s)
    assert (lifecycle.retry_in_s(6.0 + ready_for_s), lifecycle.failures) == (delay_s, 0)


def test_a_kill_from_outside_leaves_the_back_off_of_crashes_as_it_is() -> None:
    """Neither does it lengthen the next wait, nor is what crashed before forgiven."""
    lifecycle = ready()
    crash(lifecycle, 2.0)
    lifecycle.tick(10.0)
    lifecycle.became_ready(11.0)
    lifecycle.exited(-15, "", 12.0)
    lifecycle.tick(12.0)
    lifecycle.became_ready(13.0)
    assert crash(lifecycle, 14.0) == 1.0


@pytest.mark.parametrize("code", [-11, -6, 0, 1])
def test_one_that_ends_by_its_own_fault_backs_off(code: int) -> None:
    """SIGSEGV, SIGABRT and its own exit come again with the next process."""
    lifecycle = ready()
    lifecycle.exited(code, "", 5.0)
    assert (lifecycle.retry_in_s(5.0), lifecycle.failures) == (0.5, 1)


def test_one_that_teal_kills_for_a_fault_backs_off() -> None:
    """SIGKILL for a failing probe is no kill from outside."""
    lifecycle = ready()
    lifecycle.fault("liveness", "GET / failed", 5.0)
    lifecycle.exited(-9, "", 5.1)
    assert lifecycle.failures == 1


def test_one_that_is_killed_before_it_was_ready_backs_off() -> None:
    """A kernel short of memory kills what loads a model that is too large, each time."""
    lifecycle = Lifecycle()
    lifecycle.exited(-9, "", 5.0)
    assert (lifecycle.retry_in_s(5.0), lifecycle.failures) == (0.5, 1)


def test_init_that_hangs_is_killed_and_named() -> None:
    """Past the time for init() the process is killed, and its exit is put down to that."""
    lifecycle = Lifecycle()
    lifecycle.spawned(10.0, 310.0)
    assert lifecycle.tick(319.9) is Action.NOTHING
    assert lifecycle.tick(320.0) is Action.KILL
    assert lifecycle.state is State.FAILING
    ended = lifecycle.exited(-9, "", 320.1)
    assert (ended.reason, ended.text) == ("init_timeout", "init() did not finish in 310 s")
    assert lifecycle.has_failed


def test_preparing_an_environment_has_no_deadline_of_init() -> None:
    """Time counts from the process on, not from the start of its environment's build."""
    assert Lifecycle().tick(1e9) is Action.NOTHING


def test_environment_that_fails_is_tried_again() -> None:
    """Without a process there is still a reason and a back-off."""
    lifecycle = Lifecycle()
    assert lifecycle.could_not_start("no such package: nunpy", 0.0).reason == "environment"
    assert (lifecycle.state, lifecycle.reason) == (State.BACKOFF, "no such package: nunpy")


def test_missing_heartbeat_takes_out_and_its_return_puts_back() -> None:
    """A silent worker is out of the choice, and back in it with its next heartbeat."""
    lifecycle = ready()
    lifecycle.doubt("heartbeat", "no heartbeat for 3 s", 5.0)
    assert (lifecycle.state, lifecycle.reason) == (State.UNREADY, "no heartbeat for 3 s")
    lifecycle.trust("heartbeat", 6.0)
    assert (lifecycle.state, lifecycle.reason) == (State.READY, "")


def test_every_doubt_must_go_before_it_returns() -> None:
    """A heartbeat alone does not overrule a failing readiness probe."""
    lifecycle = ready()
    lifecycle.doubt("heartbeat", "no heartbeat for 3 s", 5.0)
    lifecycle.doubt("readiness", "GET / answered 500", 6.0)
    lifecycle.trust("heartbeat", 7.0)
    assert (lifecycle.state, lifecycle.reason) == (State.UNREADY, "GET / answered 500")
    lifecycle.trust("readiness", 8.0)
    assert lifecycle.state is State.READY


def test_doubt_of_a_process_ends_with_it() -> None:
    """The next process starts with a clean sheet."""
    lifecycle = ready()
    lifecycle.doubt("readiness", "GET / answered 500", 5.0)
    crash(lifecycle, 6.0)
    lifecycle.tick(10.0)
    lifecycle.became_ready(11.0)
    assert lifecycle.state is State.READY
    lifecycle.doubt("heartbeat", "no heartbeat for 3 s", 15.0)
    lifecycle.trust("heartbeat", 16.0)
    assert lifecycle.state is State.READY


def test_first_fault_is_the_one_that_is_told() -> None:
    """What happens to a process that is being killed already does not change why."""
    lifecycle = ready()
    assert lifecycle.fault("memory", "used too much", 5.0) is Action.KILL
    assert lifecycle.fault("liveness", "GET / failed", 5.1) is Action.NOTHING
    assert lifecycle.trust("heartbeat", 5.2) is Action.NOTHING
    assert lifecycle.state is State.FAILING
    assert lifecycle.exited(-9, "", 5.3).reason == "memory"


def test_fault_of_one_process_is_not_that_of_the_next() -> None:
    """After a replacement, a plain crash is a plain crash."""
    lifecycle = ready()
    lifecycle.fault("liveness", "GET / failed", 5.0)
    lifecycle.exited(-9, "", 5.1)
    lifecycle.tick(9.0)
    lifecycle.became_ready(10.0)
    assert lifecycle.exited(1, "", 11.0).reason == "crashed"


def test_drain_waits_for_release_then_terminates_then_kills() -> None:
    """In the choice: first nobody needs it, then SIGTERM, then SIGKILL when the time is over."""
    lifecycle = ready()
    assert (lifecycle.drain(5.0, 35.0), lifecycle.state) == (Action.RELEASE, State.DRAINING)
    assert lifecycle.drained(20.0, 35.0) is Action.TERMINATE
    assert lifecycle.tick(54.9) is Action.NOTHING
    assert lifecycle.tick(55.0) is Action.KILL
    ended = lifecycle.exited(-9, "", 55.1)
    assert (ended.reason, ended.text) == ("killed", "it did not stop in time")
    assert lifecycle.state is State.GONE


def test_hurry_kills_what_is_leaving_and_nothing_else() -> None:
    """When the time for a whole stop is over, nobody is waited for; an instance that is wanted is not touched."""
    leaving, wanted = ready(), ready()
    leaving.drain(5.0, 35.0)
    assert (leaving.hurry(6.0), leaving.state) == (Action.KILL, State.STOPPING)
    assert (wanted.hurry(6.0), wanted.state) == (Action.NOTHING, State.READY)


def test_last_status_of_one_that_was_killed_is_not_taken_for_the_reason() -> None:
    """What it was doing is not why it ended."""
    assert Lifecycle().exited(-9, "running init()", 1.0).text == "SIGKILL, perhaps out of memory"


@pytest.mark.parametrize("code", [0, -15])
def test_stopping_when_asked_is_a_good_end(code: int) -> None:
    """Exit 0, or death by our own SIGTERM, after a drain is no failure."""
    lifecycle = ready()
    lifecycle.drain(5.0, 35.0)
    lifecycle.drained(6.0, 35.0)
    assert lifecycle.exited(code, "", 7.0).reason == "ok"
    assert lifecycle.state is State.GONE


def test_drain_of_one_that_never_served_does_not_wait() -> None:
    """While init() runs nobody can need the address."""
    lifecycle = Lifecycle()
    lifecycle.spawned(0.0, 300.0)
    assert lifecycle.drain(1.0, 35.0) is Action.TERMINATE
    assert lifecycle.exited(-15, "", 1.1).reason == "ok"


def test_drain_in_back_off_is_over_at_once() -> None:
    """There is no process to wait for, and none will be started."""
    lifecycle = ready()
    crash(lifecycle, 2.0)
    assert lifecycle.drain(2.1, 35.0) is Action.NOTHING
    assert lifecycle.state is State.GONE
    assert lifecycle.tick(100.0) is Action.NOTHING


def test_process_that_dies_while_draining_is_not_replaced() -> None:
    """Nobody wanted it any more."""
    lifecycle = ready()
    lifecycle.drain(5.0, 35.0)
    lifecycle.exited(-9, "", 6.0)
    assert lifecycle.state is State.GONE
    assert lifecycle.drained(7.0, 35.0) is Action.NOTHING


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0, "crashed"), (1, "crashed"), (3, "init_failed"), (4, "environment"), (5, "crashed"), (-11, "killed")],
)
def test_exit_before_ready_has_its_reason(code: int, reason: str) -> None:
    """The worker's exit statuses mean what its contract says."""
    assert Lifecycle().exited(code, "", 1.0).reason == reason


@pytest.mark.parametrize(("code", "reason"), [(0, "ok"), (3, "crashed"), (4, "crashed"), (-11, "killed")])
def test_exit_after_ready_has_its_reason(code: int, reason: str) -> None:
    """Once ready, the statuses for a failed start mean nothing special."""
    assert ready().exited(code, "", 2.0).reason == reason


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "exit status 1"), (-9, "SIGKILL, perhaps out of memory"), (-11, "SIGSEGV"), (-99, "signal 99")],
)
def test_exit_in_words(code: int, words: str) -> None:
    """An exit status is told so that a person understands it."""
    assert describe_exit(code) == words


def test_gone_is_final() -> None:
    """No event leads out of it."""
    assert [pair for pair in TRANSITIONS if pair[0] is State.GONE] == []


def test_every_state_with_a_process_survives_its_exit() -> None:
    """A process can end at any time: every state but those without one knows what to do then."""
    without_process = {State.BACKOFF, State.GONE}
    assert {state for state, event in TRANSITIONS if event is Event.EXITED} == set(State) - without_process
