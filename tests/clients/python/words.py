"""Answers in YAML, read by PyYAML: a reader of YAML 1.1, to which `no` is false and `1:30` is ninety."""

import yaml
from kubernetes import client, config

WORDS = (
    "yes no on off y n Y NO true null ~ = << 1_000 1:30 1:30:00.5 2020-01-01 2020-01-01T00:00:00Z 0o7 012 08 "
    "0b1 0x1f .inf -.INF .nan 1e3 1.5e+3 -1 +1 .5 1. 1.2.3 10Gi --a=b - --- ... a: #a @a `a %a &a *a !a |a >a"
).split()
TEXTS = ["", " ", " a ", "a: b", "a #b", "\t", "\x7f", "\x85", "\u2028", "\ufeff", "\U0001f600", "ä", "'", '"']
LINES = ["a\nb", "a\nb\n", "a\n\n", "\na", "  a\nb", "a \nb", "a\n  b\n\nc: d\n", "\n", "- a\n- b", "a\r\nb"]


def main():
    config.load_kube_config()
    api = client.ApiClient()
    core = client.CoreV1Api(api)
    texts = WORDS + TEXTS + LINES
    data = {f"k{at}": text for at, text in enumerate(texts)}
    names = [w for w in WORDS if all(c.isalnum() or c in "-_." for c in w) and w.strip(".")]
    data.update({name: name for name in names})
    made = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="words"), data=data)
    core.create_namespaced_config_map("default", made)
    path = "/api/v1/namespaces/default/configmaps/words"
    accept = {"Accept": "application/yaml"}
    call = api.param_serialize("GET", path, header_params=accept, auth_settings=["BearerToken"])
    answer = api.call_api(*call)
    answer.read()
    read = yaml.safe_load(answer.data)
    assert read["data"] == data, {k: (v, read["data"].get(k)) for k, v in data.items() if read["data"].get(k) != v}
    assert isinstance(read["metadata"]["creationTimestamp"], str), read["metadata"]
    print("the words came back as texts")


if __name__ == "__main__":
    main()
