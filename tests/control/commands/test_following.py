"""What a person is told while a deployment becomes what it shall be."""

from router.control.commands.following import Teller, progress_lines
from router.control.states import DeploymentKey, DeploymentStatus, InstanceState, InstanceStatus, ProvisioningState


def instance(name: str, state: InstanceState, *, reason: str = "", last_line: str = "") -> InstanceStatus:
    return InstanceStatus(name=name, address=f"unix:/{name}", state=state, reason=reason, last_line=last_line)


def status(*instances: InstanceStatus, state: ProvisioningState = "Creating") -> DeploymentStatus:
    key = DeploymentKey(("churn", "green"))
    return DeploymentStatus(key=key, kind="managed", provisioning_state=state, instances=instances)


def test_a_deployment_without_instances_is_told_of() -> None:
    """As while its environment is not looked at yet."""
    assert progress_lines(status()) == ["Creating: 0 of 0 instances are ready"]


def test_instances_that_are_ready_are_counted() -> None:
    """There is nothing else to tell of them."""
    ready = instance("0", "ready", last_line="scored")
    assert progress_lines(status(ready, state="Succeeded")) == ["Succeeded: 1 of 1 instances are ready"]


def test_instances_that_are_not_ready_say_why() -> None:
    """With the last line that they printed."""
    told = progress_lines(
        status(
            instance("0", "starting", last_line="Downloading numpy"),
            instance("1", "backoff", reason="init() raised", last_line="ValueError: no model"),
            instance("2", "draining"),
            instance("3", "ready"),
        )
    )
    assert told == [
        "instance 0: starting: Downloading numpy",
        "instance 1: backoff: init() raised: ValueError: no model",
        "instance 2: draining",
        "Creating: 1 of 4 instances are ready",
    ]


def test_news_is_told_once() -> None:
    """However often one looks."""
    teller = Teller()
    starting = status(instance("0", "starting"))
    assert teller.news(starting) == ["instance 0: starting", "Creating: 0 of 1 instances are ready"]
    assert teller.news(starting) == []


def test_only_what_has_changed_is_news() -> None:
    """The line of a build that goes on, not the count that is still the same."""
    teller = Teller()
    teller.news(status(instance("0", "starting", last_line="Resolved 3 packages")))
    assert teller.news(status(instance("0", "starting", last_line="Installed 3 packages"))) == [
        "instance 0: starting: Installed 3 packages"
    ]


def test_what_comes_back_is_told_again() -> None:
    """An instance that crashes a second time."""
    teller = Teller()
    teller.news(status(instance("0", "starting")))
    teller.news(status(instance("0", "backoff")))
    assert teller.news(status(instance("0", "starting"))) == ["instance 0: starting"]
