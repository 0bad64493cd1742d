"""No fault at all: how well spells can be told apart that are the same."""

from faults.daemon import Daemon, config, managed
from faults.finding import Finding, Soak
from faults.rig import Rig, Trouble
from harness.samples import Contrast, Ratio

#: Of a ratio, so that one of 1.1 is told from 1.
ERROR_AT_MOST = 0.04
ERRORS = 3


def nothing(soak: Soak) -> Finding:
    """Three kinds of spells, and nothing is done in any of them: each ratio has to be 1, as far as its error goes."""
    daemon = Daemon(config(managed()), soak.folder("nothing")).start()
    with Rig(soak, daemon) as rig:
        rig.rounds(Trouble(_do_nothing, _do_nothing), Trouble(_do_nothing, _do_nothing))
        found = rig.finding("nothing")
        contrast = rig.compare(found)
    found.no_request_failed()
    check_instrument(found, contrast)
    return found


def check_instrument(found: Finding, contrast: Contrast) -> None:
    """Check ratios of spells that are the same."""
    ratios = {"raw": contrast.raw, "control": contrast.elsewhere, "against the control": contrast.added}
    for name, ratio in ratios.items():
        found.check(f"the ratio is 1 ({name})", is_one(ratio), ratio)
        found.check(f"10 % can be told ({name})", ratio.error <= ERROR_AT_MOST, f"error {ratio.error:.3f}")


def is_one(ratio: Ratio) -> bool:
    """Whether it differs from 1 by no more than its error explains."""
    return abs(ratio.mean - 1) <= ERRORS * ratio.error


def _do_nothing() -> None:
    pass
