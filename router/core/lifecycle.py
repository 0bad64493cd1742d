"""One instance through its processes: into the choice, out of it, started again after a crash, drained.

Rules
- A process is ready once it says so; nothing else delays it.
- Anything doubtful (no heartbeat, SIGSTOP, a failing readiness probe) takes it out of the choice, until no doubt is
  left.
- A fault (init() hangs, liveness, stopped, memory) has it killed at once, and started again like a crash.
- A start that fails, and a crash, wait `BACKOFF_BASE_S` before the next start, twice as long each further time, up to
  `BACKOFF_MAX_S`. Having been ready for `STEADY_S` makes the next crash the first one again.
- A process that was ready and is killed from outside tells nothing about the next one: that is started at once, yet
  not within `BACKOFF_BASE_S` of the moment when the killed one was ready, and it counts as no failure.
- A process that was in the choice is asked to stop only when nobody needs its address any more; one that does not stop
  in time is killed.

The caller owns the process: it reports what happened and does what it is told by the `Action` that it gets back.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

BACKOFF_BASE_S = 0.5
BACKOFF_MAX_S = 60.0
STEADY_S = 30.0
#: Signals that a fault in a process's own code never raises; a kernel short of memory sends SIGKILL.
FROM_OUTSIDE = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM))
CRASH_LOOP = 3  # crashes in a row that count as a failed deployment, although each start succeeded

# How `python -m workers` ends a start that failed, having said why.
EXIT_SCRIPT_FAILED = 3  # import, init() or warm-up
EXIT_PACKAGE_MISSING = 4
EXIT_SOCKET_UNUSABLE = 5
_EXPLAINED = (EXIT_SCRIPT_FAILED, EXIT_PACKAGE_MISSING, EXIT_SOCKET_UNUSABLE)

#: Why a process ended, as a closed set for metrics.
ExitReason = Literal[
    "ok", "crashed", "killed", "init_failed", "init_timeout", "liveness", "stopped", "memory", "tasks", "environment"
]
#: Why a process that runs is out of the choice.
Doubt = Literal["heartbeat", "readiness", "stopped"]


class State(Enum):
    """Where an instance stands. FAILING: killed for a fault, not yet gone. BACKOFF: no process, waits for the next."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    FAILING = "failing"
    BACKOFF = "backoff"
    DRAINING = "draining"
    STOPPING = "stopping"
    GONE = "gone"


class Event(Enum):
    """What can happen to an instance."""

    READY = auto()
    DOUBT = auto()
    TRUST = auto()
    FAULT = auto()
    EXITED = auto()
    RETRY = auto()
    DRAIN = auto()
    DRAINED = auto()
    OVERDUE = auto()


class Action(Enum):
    """What the caller must do next. RELEASE: wait until nobody needs the address, then report `drained`."""

    NOTHING = auto()
    START = auto()
    KILL = auto()
    RELEASE = auto()
    TERMINATE = auto()


_S, _E, _A = State, Event, Action

#: Pairs that are missing change nothing: news that came too late, such as a heartbeat of a process already killed.
TRANSITIONS: Mapping[tuple[State, Event], tuple[State, Action]] = {
    # init() returned, and the warm-up request scored.
    (_S.STARTING, _E.READY): (_S.READY, _A.NOTHING),
    # init() raised, or there was not even a process: the deployment has failed, and we keep trying.
    (_S.STARTING, _E.EXITED): (_S.BACKOFF, _A.NOTHING),
    # init() hangs, or took more memory than it may.
    (_S.STARTING, _E.FAULT): (_S.FAILING, _A.KILL),
    # It was never in the choice: there is nothing to wait for.
    (_S.STARTING, _E.DRAIN): (_S.STOPPING, _A.TERMINATE),
    # Out of the choice, but it may recover.
    (_S.READY, _E.DOUBT): (_S.UNREADY, _A.NOTHING),
    (_S.READY, _E.EXITED): (_S.BACKOFF, _A.NOTHING),
    (_S.READY, _E.FAULT): (_S.FAILING, _A.KILL),
    (_S.READY, _E.DRAIN): (_S.DRAINING, _A.RELEASE),
    # The last doubt is gone.
    (_S.UNREADY, _E.TRUST): (_S.READY, _A.NOTHING),
    (_S.UNREADY, _E.EXITED): (_S.BACKOFF, _A.NOTHING),
    (_S.UNREADY, _E.FAULT): (_S.FAILING, _A.KILL),
    # Requests may still be in flight on it.
    (_S.UNREADY, _E.DRAIN): (_S.DRAINING, _A.RELEASE),
    (_S.FAILING, _E.EXITED): (_S.BACKOFF, _A.NOTHING),
    # SIGKILL is on its way already.
    (_S.FAILING, _E.DRAIN): (_S.STOPPING, _A.NOTHING),
    (_S.BACKOFF, _E.RETRY): (_S.STARTING, _A.START),
    (_S.BACKOFF, _E.DRAIN): (_S.GONE, _A.NOTHING),
    # No proxy needs it any more.
    (_S.DRAINING, _E.DRAINED): (_S.STOPPING, _A.TERMINATE),
    # What is in flight on a wedged process would never be answered.
    (_S.DRAINING, _E.FAULT): (_S.STOPPING, _A.KILL),
    (_S.DRAINING, _E.EXITED): (_S.GONE, _A.NOTHING),
    # There is no time left to wait for the proxies.
    (_S.DRAINING, _E.OVERDUE): (_S.STOPPING, _A.KILL),
    # It ignored SIGTERM.
    (_S.STOPPING, _E.OVERDUE): (_S.STOPPING, _A.KILL),
    (_S.STOPPING, _E.EXITED): (_S.GONE, _A.NOTHING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: for metrics, and in words."""

    reason: ExitReason
    text: str


class Lifecycle:
    """The state of one instance. Every `now` is seconds on the caller's monotonic clock."""

    __slots__ = (
        "_deadline",
        "_doubts",
        "_fault",
        "_init_timeout_s",
        "_ready_at",
        "_was_killed",
        "failures",
        "has_served",
        "reason",
        "state",
    )

    def __init__(self) -> None:
        self.state = State.STARTING
        self.failures = 0  # in a row
        self.has_served = False  # some process of it was ready once
        self.reason = ""  # why it is not ready, in words
        self._ready_at: float | None = None  # when the present process became ready
        self._was_killed = False  # it was ready, and somebody else ended it
        self._init_timeout_s = 0.0
        self._deadline: float | None = None  # of init(), of the back-off or of SIGTERM, depending on the state
        self._doubts: dict[Doubt, str] = {}
        self._fault: Ended | None = None

    def __repr__(self) -> str:
        return f"Lifecycle({self.state.value}, {self.failures} failures, {self.reason!r})"

    @property
    def has_failed(self) -> bool:
        """Its last start failed, or it is down in a loop of crashes."""
        if self.state in (State.FAILING, State.BACKOFF, State.STARTING):
            return self.failures > 0 and (not self.has_served or self.failures >= CRASH_LOOP)
        return False

    def retry_in_s(self, now: float) -> float | None:
        """Seconds until the next start; None unless it is in back-off."""
        return max(0.0, self._deadline - now) if self.state is State.BACKOFF and self._deadline is not None else None

    def spawned(self, now: float, init_timeout_s: float) -> None:
        """There is a process; from now on init() has `init_timeout_s`."""
        self._init_timeout_s = init_timeout_s
        self._deadline = now + init_timeout_s

    def became_ready(self, now: float) -> Action:
        """The process said READY=1."""
        return self._handle(Event.READY, now)

    def doubt(self, cause: Doubt, text: str, now: float) -> Action:
        """Keep it out of the choice until `trust(cause)`."""
        if self.state not in (State.READY, State.UNREADY):
            return Action.NOTHING
        self._doubts[cause] = text
        self.reason = text
        return self._handle(Event.DOUBT, now)

    def trust(self, cause: Doubt, now: float) -> Action:
        """That doubt is gone."""
        self._doubts.pop(cause, None)
        if self._doubts:
            self.reason = next(iter(self._doubts.values()))
            return Action.NOTHING
        return self._handle(Event.TRUST, now)

    def fault(self, reason: ExitReason, text: str, now: float) -> Action:
        """The process must be replaced; the first fault is the one that is told."""
        if (self.state, Event.FAULT) not in TRANSITIONS:
            return Action.NOTHING
        self._fault = Ended(reason=reason, text=text)
        self.reason = text
        return self._handle(Event.FAULT, now)

    def exited(self, code: int, status: str, now: float) -> Ended:
        """The process is gone.

        Args:
            code: Its exit status, or minus the signal that ended it.
            status: What it last said of itself, or "": why it failed, or only what it was doing when it died.
        """
        is_explained = self._ready_at is None and code in _EXPLAINED and status
        text = status if is_explained else describe_exit(code)
        self._was_killed = self._ready_at is not None and self._fault is None and -code in FROM_OUTSIDE
        return self._end(self._fault or Ended(reason=self._exit_reason(code), text=text), now)

    def could_not_start(self, text: str, now: float) -> Ended:
        """There was no process: its environment failed."""
        return self._end(Ended(reason="environment", text=text), now)

    def drain(self, now: float, stop_timeout_s: float) -> Action:
        """It is not wanted any more. If it can be terminated at once, it has `stop_timeout_s` to go."""
        return self._handle(Event.DRAIN, now, stop_timeout_s)

    def drained(self, now: float, stop_timeout_s: float) -> Action:
        """Nobody needs its address any more; it has `stop_timeout_s` to go."""
        return self._handle(Event.DRAINED, now, stop_timeout_s)

    def hurry(self, now: float) -> Action:
        """Its time to go is over."""
        if (self.state, Event.OVERDUE) in TRANSITIONS:
            self._fault = self._fault or Ended(reason="killed", text="it did not stop in time")
        return self._handle(Event.OVERDUE, now)

    def tick(self, now: float) -> Action:
        """Let time pass: act on a deadline that is over."""
        if self._deadline is None or now < self._deadline:
            return Action.NOTHING
        self._deadline = None
        if self.state is State.STARTING:
            return self.fault("init_timeout", f"init() did not finish in {self._init_timeout_s:g} s", now)
        return self._handle(Event.RETRY, now) if self.state is State.BACKOFF else self.hurry(now)

    def _end(self, ended: Ended, now: float) -> Ended:
        self.reason = ended.text
        self._handle(Event.EXITED, now)
        return ended

    def _exit_reason(self, code: int) -> ExitReason:
        asked = self.state in (State.DRAINING, State.STOPPING)
        if code == 0 or (asked and code == -signal.SIGTERM):
            # Nothing that starts is meant to end well by itself.
            return "ok" if asked or self._ready_at is not None else "crashed"
        if code == EXIT_SCRIPT_FAILED and self._ready_at is None:
            return "init_failed"
        if code == EXIT_PACKAGE_MISSING and self._ready_at is None:
            return "environment"
        return "killed" if code < 0 else "crashed"

    def _handle(self, event: Event, now: float, stop_timeout_s: float = 0.0) -> Action:
        before = self.state
        self.state, action = TRANSITIONS.get((before, event), (before, Action.NOTHING))
        if self.state is not before:
            self._enter(now, stop_timeout_s)
        return action

    def _enter(self, now: float, stop_timeout_s: float) -> None:
        """Set what belongs to the state just entered."""
        self._deadline = None
        match self.state:
            case State.READY:
                self.has_served = True
                self.reason = ""
                self._ready_at = now if self._ready_at is None else self._ready_at
            case State.BACKOFF:
                self._deadline = now + self._next_delay_s(now)
                self._forget_process()
            case State.STOPPING:
                self._deadline = now + stop_timeout_s
            case _:
                pass

    def _next_delay_s(self, now: float) -> float:
        if self._was_killed and self._ready_at is not None:
            return max(0.0, self._ready_at + BACKOFF_BASE_S - now)
        if self._ready_at is not None and now - self._ready_at >= STEADY_S:
            self.failures = 0
        delay = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay

    def _forget_process(self) -> None:
        self._ready_at = None
        self._was_killed = False
        self._fault = None
        self._doubts.clear()


def describe_exit(code: int) -> str:
    """An exit status in words, with a hint where one helps."""
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, perhaps out of memory" if -code == signal.SIGKILL else name
