"""Fields that are accepted and have no effect are told."""

from router.control.config.schema import RouterConfig
from router.control.config.unhonoured import unhonoured

CODE = {"code": "c", "scoring_script": "s.py"}


def warnings(deployment: dict[str, object], **endpoint: object) -> set[str]:
    config = RouterConfig.model_validate({"endpoints": {"churn": {**endpoint, "deployments": {"blue": deployment}}}})
    return {f"{'.'.join(map(str, warning.path[2:]))}: {warning.message}" for warning in unhonoured(config)}


def test_a_config_without_such_fields_has_no_warnings() -> None:
    """Defaults are no reason to warn."""
    assert warnings({"code_configuration": CODE, "instance_count": 2, "description": "x"}) == set()


def test_azures_fields_that_have_no_effect_here() -> None:
    """Each with the reason."""
    deployment = {
        "code_configuration": CODE,
        "instance_type": "Standard_DS3_v2",
        "environment": {"image": "x"},
        "egress_public_network_access": "disabled",
        "data_collector": {},
        "app_insights_enabled": True,
        "request_settings": {"max_queue_wait_ms": 100},
    }
    assert warnings(deployment, public_network_access="enabled", identity={"type": "system_assigned"}) == {
        "public_network_access: has no effect: `listen` decides who can connect",
        "identity: has no effect: workers run as teal's user",
        "deployments.blue.instance_type: has no effect: this host is the instance type",
        "deployments.blue.environment.image: has no effect: teal runs no containers",
        "deployments.blue.egress_public_network_access: has no effect: networks are the host's",
        "deployments.blue.data_collector: has no effect: no payload is collected",
        "deployments.blue.app_insights_enabled: has no effect: metrics are at the admin address",
        "deployments.blue.request_settings.max_queue_wait_ms: "
        "has no effect: deprecated at Azure, queueing counts towards `request_timeout_ms`",
    }


def test_fields_of_workers_have_no_effect_on_upstreams() -> None:
    """Those run elsewhere."""
    assert warnings({"upstreams": ["http://x:1"], "instance_count": 2}) == {
        "deployments.blue.instance_count: has no effect: upstreams run elsewhere; it is for workers that teal runs"
    }


def test_fields_of_upstreams_have_no_effect_on_workers() -> None:
    """Workers score and are probed at fixed paths."""
    given = {"scoring_path": "/x", "readiness_probe": {"path": "/y"}, "upgrades": ["websocket"]}
    assert warnings({"code_configuration": CODE} | given) == {
        "deployments.blue.scoring_path: has no effect: only upstreams have one, workers score at /score",
        "deployments.blue.upgrades: has no effect: only upstreams have other protocols, workers speak HTTP",
        "deployments.blue.readiness_probe.path: has no effect: only upstreams have one, workers are probed at /",
    }
