"""What the daemon says of itself, where a test needs any status."""

from router.control.status import RouterStatus

STATUS = RouterStatus(
    version="0.1.0",
    pid=4711,
    started=1000.0,
    config_path="config/teal.yaml",
    generation=7,
    base_url="http://127.0.0.1:8080",
    proxies=(),
    endpoints=(),
    unknown_endpoint={404: 2},
)
