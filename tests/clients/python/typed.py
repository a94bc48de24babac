"""The official Python client's typed API: lists, watches, every patch, apply with owners, an informer."""

import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.informer import SharedInformer

LIMIT = 20
JSON, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
namespace = "typed"


def refused(code, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ApiException as error:
        assert error.status == code, error
        return str(error)
    raise AssertionError(f"{call.__name__} was not refused")


def config_map(name, **data):
    metadata = client.V1ObjectMeta(name=name, labels={"app": "t"})
    return client.V1ConfigMap(metadata=metadata, data=data)


def lists():
    created = core.create_namespace({"metadata": {"name": namespace}})
    assert created.status.phase == "Active", created
    for name in "abcde":
        core.create_namespaced_config_map(namespace, config_map(name, k="1"))
    refused(409, core.create_namespaced_config_map, namespace, config_map("a"))
    refused(422, core.create_namespaced_config_map, namespace, config_map("not_a_name"))
    refused(404, core.read_namespaced_config_map, "gone", namespace)

    names, token = [], None
    while token != "":
        page = core.list_namespaced_config_map(
            namespace, limit=2, label_selector="app=t", _continue=token
        )
        assert len(page.items) <= 2
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == list("abcde"), names
    only = core.list_config_map_for_all_namespaces(field_selector="metadata.name=c")
    assert [item.metadata.namespace for item in only.items] == [namespace]
    assert client.VersionApi().get_code().major == "1"


def lists_every_kind():
    """What the client has a class for is listed as that class, or is not served."""
    served = 0
    for name in (name for name in dir(client) if name.endswith("V1Api")):
        api = getattr(client, name)(core.api_client)
        for method in dir(api):
            everywhere = method.endswith("_for_all_namespaces") or "namespaced" not in method
            if method.startswith("list_") and everywhere and not method.endswith("_http_info"):
                try:
                    assert getattr(api, method)().kind.endswith("List")
                    served += 1
                except ApiException as error:
                    assert error.status == 404, (name, method, error)
    assert served > 40, served


def watches():
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("f"))
    core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
    core.delete_namespaced_config_map("b", namespace)
    seen, watcher = [], watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector="app=t",
        resource_version=version,
        timeout_seconds=LIMIT,
    ):
        assert isinstance(event["object"], client.V1ConfigMap), event
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            watcher.stop()
    assert seen == [("ADDED", "f"), ("MODIFIED", "a"), ("DELETED", "b")], seen

    # The controller was started again since revision 1.
    def from_the_start():
        for event in watch.Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version="1"
        ):
            raise AssertionError(event)

    assert "too old resource version: 1" in refused(410, from_the_start)


def patches():
    container = {"name": "web", "image": "hello:v1", "env": [{"name": "A", "value": "1"}]}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [container]},
            },
        },
    }
    made = apps.create_namespaced_deployment(namespace, body)
    assert made.spec.strategy.type == "RollingUpdate", made

    def patch(content_type, body, **options):
        return apps.patch_namespaced_deployment(
            "web", namespace, body, _content_type=content_type, **options
        )

    annotations = {"op": "add", "path": "/metadata/annotations", "value": {"by": "json"}}
    assert patch(JSON, [annotations]).metadata.annotations["by"] == "json"
    wrong = {"op": "test", "path": "/metadata/annotations/by", "value": "merge"}
    refused(422, patch, JSON, [wrong])
    merged = patch(MERGE, {"metadata": {"annotations": {"by": None, "also": "merge"}}})
    assert merged.metadata.annotations.get("by") is None, merged.metadata
    more = {"name": "web", "env": [{"name": "B", "value": "2"}]}
    merged = patch(STRATEGIC, {"spec": {"template": {"spec": {"containers": [more]}}}})
    [web] = merged.spec.template.spec.containers
    assert sorted(env.name for env in web.env) == ["A", "B"], web
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 0}})
    assert scale.status.selector == "app=web", scale
    refused(422, patch, MERGE, {"spec": {"typo": 1}}, field_validation="Strict")


def applies():
    def apply(manager, data, **options):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c2"}, "data": data}
        return core.patch_namespaced_config_map(
            "c2", namespace, body, _content_type=APPLY, field_manager=manager, **options
        )

    apply("one", {"a": "1", "b": "1"})
    said = refused(409, apply, "two", {"a": "2"})
    assert 'conflict with \\"one\\": .data.a' in said, said
    assert apply("two", {"a": "2"}, force=True).data == {"a": "2", "b": "1"}
    left = apply("one", {"c": "1"})
    assert left.data == {"a": "2", "c": "1"}, left
    managers = [(entry.manager, entry.operation) for entry in left.metadata.managed_fields]
    assert managers == [("one", "Apply"), ("two", "Apply")], managers
    apply("one", {"c": "9"}, dry_run="All")
    assert core.read_namespaced_config_map("c2", namespace).data["c"] == "1"


def informs():
    """The client's informer lists, then watches from there, on a thread of its own."""
    seen = {"ADDED": set(), "MODIFIED": set(), "DELETED": set()}
    changed = threading.Condition()
    informer = SharedInformer(core.list_namespaced_secret, namespace=namespace)

    def note(event_type):
        def add(item):
            with changed:
                seen[event_type].add(item.metadata.name)
                changed.notify_all()

        return add

    def wait_for(event_type, name):
        with changed:
            assert changed.wait_for(lambda: name in seen[event_type], LIMIT), seen

    core.create_namespaced_secret(namespace, {"metadata": {"name": "before"}})
    for event_type in seen:
        informer.add_event_handler(event_type, note(event_type))
    informer.start()
    wait_for("ADDED", "before")
    core.create_namespaced_secret(namespace, {"metadata": {"name": "after"}})
    wait_for("ADDED", "after")
    core.patch_namespaced_secret("after", namespace, {"stringData": {"k": "v"}})
    wait_for("MODIFIED", "after")
    core.delete_namespaced_secret("before", namespace)
    wait_for("DELETED", "before")
    assert [item.metadata.name for item in informer.cache.list()] == ["after"]
    informer.stop()


for step in (lists, lists_every_kind, watches, patches, applies, informs):
    step()
    print(step.__name__, "ok", flush=True)
