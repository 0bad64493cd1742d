"""A model that does nothing: what is left is the worker's own time."""


def init() -> None:
    """Nothing to load."""


def run(raw_data: str) -> dict[str, object]:
    return {"result": [0.25, 0.75], "received": len(raw_data)}
