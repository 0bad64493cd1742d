"""uv's failures, in one sentence."""

import pytest

from router.control.uv_process import decisive_line

UNKNOWN_NAME = """\
Using Python 3.11.7 environment at: v
error: No solution found when resolving dependencies
  cause: Because nosuch was not found in the package registry and you require nosuch, we can conclude that your \
requirements are unsatisfiable.
"""
UNKNOWN_NAME_BEFORE_0_10 = """\
Using Python 3.11.7 environment at: v
  × No solution found when resolving dependencies:
  ╰─▶ Because nosuch was not found in the package registry and you
      require nosuch, we can conclude that your requirements are
      unsatisfiable.

hint: something else
"""
BUILD_FAILED = """\
error: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stderr]
         no good
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (UNKNOWN_NAME, "nosuch was not found in the package registry and you require nosuch"),
        (UNKNOWN_NAME_BEFORE_0_10, "nosuch was not found in the package registry and you require nosuch"),
        (
            BUILD_FAILED,
            "The build backend returned an error: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)",
        ),
        ("error: No interpreter found for Python 3.47\n", "No interpreter found for Python 3.47"),
        ("Resolved 3 packages in 2ms\n", ""),
        ("", ""),
    ],
)
def test_decisive_line_is_found(output: str, reason: str) -> None:
    """Of all that uv prints, the sentence that says why is kept, whatever uv's version."""
    assert decisive_line(output.splitlines()) == reason
