"""How long a process that reports several times a second may say nothing before it counts as stuck.

A busy process is late by its load: milliseconds, seconds on a machine that is far too small. One that is stopped, or in
a loop without end, is not late but silent.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds of silence that are borne.

    Attributes:
        start_s: Of a process that has not said anything yet, and that nobody relies on.
        silent_s: Of one that has, and runs: it may be merely busy.
        stopped_s: Of one that the kernel does not let run (SIGSTOP).
    """

    start_s: float = 60.0
    silent_s: float = 15.0
    stopped_s: float = 2.0

    def is_over(self, silence_s: float, *, has_spoken: bool, is_stopped: bool) -> bool:
        """Whether a process that has been silent for so long must be given up."""
        if not has_spoken:
            return silence_s >= self.start_s
        return silence_s >= (self.stopped_s if is_stopped else self.silent_s)
