"""Numbers as text, for heads and log lines that come with every request."""

_WHOLE = [b"%d" % number for number in range(1000)]
_DECIMALS = [b".%03d" % number for number in range(1000)]


def whole(number: int) -> bytes:
    """A number that is 0 or more, in decimal digits."""
    return _WHOLE[number] if number < 1000 else b"%d" % number


def milliseconds(seconds: float) -> bytes:
    """A time in milliseconds, with three decimals."""
    if not 0.0 <= seconds < 0.9999:
        return b"%.3f" % (seconds * 1000)
    microseconds = int(seconds * 1_000_000 + 0.5)
    return _WHOLE[microseconds // 1000] + _DECIMALS[microseconds % 1000]
