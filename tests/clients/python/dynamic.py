"""The official Python client's dynamic API, on a built-in kind and on one that it defines itself."""

from kubernetes import config, dynamic
from kubernetes.client import api_client
from kubernetes.dynamic import exceptions

LIMIT = 20
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "bells.python.coracle.dev"},
    "spec": {
        "group": "python.coracle.dev",
        "scope": "Namespaced",
        "names": {"plural": "bells", "singular": "bell", "kind": "Bell"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "tone": {"type": "string", "enum": ["high", "low"]},
                                    "rings": {"type": "integer", "default": 3},
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {"rung": {"type": "integer"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}

config.load_kube_config()
client = dynamic.DynamicClient(api_client.ApiClient())


def refused(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error as refusal:
        return refusal.summary()
    raise AssertionError("it was not refused")


def finds_kinds():
    assert client.version["kubernetes"]["major"] == "1", client.version
    deployments = client.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.namespaced and deployments.name == "deployments"
    assert {"scale", "status"} <= set(deployments.subresources), deployments.subresources
    groups = {resource.group for resource in client.resources.search()}
    for group in ("", "apps", "batch", "coordination.k8s.io", "rbac.authorization.k8s.io"):
        assert group in groups, groups


def built_in():
    maps = client.resources.get(api_version="v1", kind="ConfigMap")
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "d"}, "data": {"a": "1"}}
    made = maps.create(body=body, namespace="default")
    version = made.metadata.resourceVersion
    for content_type, change in (
        ("application/json-patch+json", [{"op": "add", "path": "/data/b", "value": "2"}]),
        ("application/merge-patch+json", {"data": {"a": None}}),
        ("application/strategic-merge-patch+json", {"data": {"c": "3"}}),
    ):
        maps.patch(body=change, name="d", namespace="default", content_type=content_type)
    data = maps.get(name="d", namespace="default").data.to_dict()
    assert data == {"b": "2", "c": "3"}, data
    maps.delete(name="d", namespace="default")
    seen = []
    for event in maps.watch(
        namespace="default", name="d", resource_version=version, timeout=LIMIT
    ):
        seen.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert seen == ["MODIFIED"] * 3 + ["DELETED"], seen

    applied = {**body, "metadata": {"name": "e"}}
    maps.server_side_apply(body=applied, namespace="default", field_manager="one")
    applied["data"] = {"a": "2"}
    said = refused(
        exceptions.ConflictError,
        maps.server_side_apply,
        body=applied,
        namespace="default",
        field_manager="two",
    )
    assert 'conflict with "one": .data.a' in said, said
    forced = maps.server_side_apply(
        body=applied, namespace="default", field_manager="two", force_conflicts=True
    )
    assert forced.data.a == "2", forced


def streams_the_initial_list():
    maps = client.resources.get(api_version="v1", kind="ConfigMap")
    seen = []
    for event in maps.watch(
        namespace="default",
        timeout=LIMIT,
        allow_watch_bookmarks=True,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "BOOKMARK":
            annotations = event["raw_object"]["metadata"]["annotations"]
            assert annotations == {"k8s.io/initial-events-end": "true"}, event
            break
    assert ("ADDED", "e") in seen, seen

    def from_the_start():
        for event in maps.watch(namespace="default", resource_version="1", timeout=LIMIT):
            raise AssertionError(event)

    try:
        from_the_start()
        raise AssertionError("a watch from revision 1 went well")
    except exceptions.ApiException as error:
        assert error.status == 410, error


def custom():
    definitions = client.resources.get(
        api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition"
    )
    definitions.server_side_apply(body=CRD, field_manager="python")
    for event in definitions.watch(name=CRD["metadata"]["name"], timeout=LIMIT):
        conditions = event["object"].status.conditions or []
        if any(one.type == "Established" and one.status == "True" for one in conditions):
            break
    bells = client.resources.get(api_version="python.coracle.dev/v1", kind="Bell")
    body = {"apiVersion": "python.coracle.dev/v1", "kind": "Bell", "metadata": {"name": "b"}}
    bad = {**body, "spec": {"tone": "loud"}}
    said = refused(exceptions.UnprocessibleEntityError, bells.create, body=bad, namespace="default")
    assert 'spec.tone: Unsupported value: "loud"' in said, said
    made = bells.create(body={**body, "spec": {"tone": "low"}}, namespace="default")
    assert made.spec.rings == 3, made
    patched = bells.patch(
        body={"spec": {"rings": 5}},
        name="b",
        namespace="default",
        content_type="application/merge-patch+json",
    )
    assert (patched.spec.rings, patched.metadata.generation) == (5, 2), patched
    status = bells.status.patch(
        body={"status": {"rung": 1}},
        name="b",
        namespace="default",
        content_type="application/merge-patch+json",
    )
    assert status.status.rung == 1, status
    # A custom kind has no strategic patch.
    refused(
        exceptions.DynamicApiError, bells.patch, body={}, name="b", namespace="default"
    )
    listed = bells.get(namespace="default")
    assert listed.kind == "BellList" and [b.metadata.name for b in listed.items] == ["b"]


for step in (finds_kinds, built_in, streams_the_initial_list, custom):
    step()
    print(step.__name__, "ok", flush=True)
