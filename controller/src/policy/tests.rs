//! The first roles on a real store: whole, valid, and kept so.

use super::*;
use crate::{
    auth::{Attributes, UserInfo},
    store::Embedded,
};
use coracle_api::{defaults, validate};
use coracle_daemon::{Clock, Tasks};
use std::{path::Path, sync::Arc};

#[test]
fn every_one_is_valid_and_bound_to_a_role_that_is_there() {
    let all = objects().unwrap();
    for (of, objects) in all.clone() {
        for mut object in objects {
            defaults::apply(of, &mut object);
            let causes = validate::create(of, &object);
            assert!(
                causes.is_empty(),
                "{}: {causes:?}",
                object["metadata"]["name"]
            );
        }
    }
    let [cluster_roles, cluster_bindings, roles, bindings] = all.map(|(_of, objects)| objects);
    for (roles, bindings) in [(cluster_roles, cluster_bindings), (roles, bindings)] {
        for binding in bindings {
            let role = &binding["roleRef"]["name"];
            let is_there = roles.iter().any(|one| {
                one["metadata"]["name"] == *role
                    && one["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
            assert!(is_there, "{role}");
        }
    }
}

/// The names of them, one a line, by upstream's prefix for controllers.
fn names(objects: &[Value]) -> String {
    let name = |object: &Value| {
        let meta = &object["metadata"];
        let namespace = meta["namespace"].as_str().map(|name| format!("{name}/"));
        let name = meta["name"].as_str().unwrap();
        format!("{}{name}\n", namespace.unwrap_or_default())
    };
    let mut names: Vec<String> = objects.iter().map(name).collect();
    names.sort_unstable();
    names.concat()
}

#[test]
fn none_of_upstreams_is_missing() {
    let [cluster_roles, cluster_bindings, roles, bindings] =
        objects().unwrap().map(|(_of, objects)| names(&objects));
    let controllers = "attachdetach-controller certificate-controller clusterrole-aggregation-controller \
        cronjob-controller daemon-set-controller deployment-controller disruption-controller \
        endpoint-controller endpointslice-controller endpointslicemirroring-controller \
        ephemeral-volume-controller expand-controller generic-garbage-collector \
        horizontal-pod-autoscaler job-controller legacy-service-account-token-cleaner \
        namespace-controller node-controller persistent-volume-binder pod-garbage-collector \
        pv-protection-controller pvc-protection-controller replicaset-controller \
        replication-controller resource-claim-controller resourcequota-controller \
        root-ca-cert-publisher route-controller selinux-warning-controller \
        service-account-controller service-cidrs-controller service-controller \
        statefulset-controller ttl-after-finished-controller ttl-controller \
        validatingadmissionpolicy-status-controller volumeattributesclass-protection-controller";
    let roles_of_components = "admin cluster-admin edit system:aggregate-to-admin \
        system:aggregate-to-edit system:aggregate-to-view system:aggregated-metrics-reader \
        system:auth-delegator system:basic-user \
        system:certificates.k8s.io:certificatesigningrequests:nodeclient \
        system:certificates.k8s.io:certificatesigningrequests:selfnodeclient \
        system:certificates.k8s.io:kube-apiserver-client-approver \
        system:certificates.k8s.io:kube-apiserver-client-kubelet-approver \
        system:certificates.k8s.io:kubelet-serving-approver \
        system:certificates.k8s.io:legacy-unknown-approver system:discovery system:heapster \
        system:kube-aggregator system:kube-controller-manager system:kube-dns \
        system:kube-scheduler system:kubelet-api-admin system:monitoring system:node \
        system:node-bootstrapper system:node-problem-detector system:node-proxier \
        system:persistent-volume-provisioner system:public-info-viewer \
        system:service-account-issuer-discovery system:volume-scheduler view";
    let bound_components = "cluster-admin system:basic-user system:discovery \
        system:kube-controller-manager system:kube-dns system:kube-scheduler system:monitoring \
        system:node system:node-proxier system:public-info-viewer \
        system:service-account-issuer-discovery system:volume-scheduler";
    let lines = |words: &str| {
        let controllers = controllers.split_whitespace();
        let controllers = controllers.map(|name| format!("system:controller:{name}\n"));
        let words = words.split_whitespace().map(|name| format!("{name}\n"));
        let mut lines: Vec<String> = words.chain(controllers).collect();
        lines.sort_unstable();
        lines.concat()
    };
    assert_eq!(cluster_roles, lines(roles_of_components));
    assert_eq!(cluster_bindings, lines(bound_components));
    let own = "kube-public/system:controller:bootstrap-signer
kube-system/system::leader-locking-kube-controller-manager
kube-system/system::leader-locking-kube-scheduler
kube-system/system:controller:bootstrap-signer
kube-system/system:controller:cloud-provider
kube-system/system:controller:token-cleaner
";
    let reader = "extension-apiserver-authentication-reader";
    let sorted = |first: &str| {
        let mut lines: Vec<String> = own.lines().map(|line| format!("{line}\n")).collect();
        lines.push(format!("kube-system/{first}\n"));
        lines.sort_unstable();
        lines.concat()
    };
    assert_eq!(roles, sorted(reader));
    assert_eq!(bindings, sorted(&format!("system::{reader}")));
}

const ACCOUNTS: &str = "system:serviceaccount:kube-system:";

/// Who (an account of `kube-system` when it starts with `@`), verb, `group resource/subresource`,
/// `namespace/name`; and whether they may.
#[rustfmt::skip]
const RIGHTS: &[(&str, &str, &str, &str, bool)] = &[
    ("@job-controller", "list", "batch jobs/", "/", true),
    ("@job-controller", "update", "batch jobs/status", "a/b", true),
    ("@job-controller", "delete", "batch jobs/", "a/b", false),
    ("@job-controller", "create", "events.k8s.io events/", "a/", true),
    ("system:serviceaccount:default:job-controller", "list", "batch jobs/", "/", false),
    ("@disruption-controller", "get", "x.io crons/scale", "a/b", true),
    ("@disruption-controller", "get", "x.io crons/", "a/b", false),
    ("@bootstrap-signer", "list", " secrets/", "kube-system/", true),
    ("@bootstrap-signer", "list", " secrets/", "default/", false),
    ("@bootstrap-signer", "update", " configmaps/", "kube-public/cluster-info", true),
    ("@bootstrap-signer", "update", " configmaps/", "kube-public/other", false),
    ("system:kube-controller-manager", "watch", "x.io anything/", "/", true),
    ("system:kube-controller-manager", "update", "x.io anything/", "a/b", false),
    ("system:kube-scheduler", "list", " configmaps/", "kube-system/extension-apiserver-authentication", true),
    ("system:kube-scheduler", "get", " configmaps/", "kube-system/other", false),
    ("system:kube-scheduler", "patch", " persistentvolumes/", "/a", true),
    ("system:kube-scheduler", "create", "coordination.k8s.io leases/", "kube-system/", true),
    ("system:kube-proxy", "watch", "discovery.k8s.io endpointslices/", "/", true),
    ("system:kube-proxy", "delete", " nodes/", "/a", false),
];

#[tokio::test]
async fn they_give_what_upstreams_give() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let registry = started(dir.path(), &tasks).await;
    for (who, verb, what, place, may) in RIGHTS {
        let (group, resource) = what.split_once(' ').unwrap();
        let (resource, subresource) = resource.split_once('/').unwrap();
        let (namespace, name) = place.split_once('/').unwrap();
        let asked = Attributes {
            verb,
            group,
            resource,
            subresource,
            namespace,
            name,
            ..Attributes::default()
        };
        let user = UserInfo::new(who.replace('@', ACCOUNTS), []);
        let allowed = registry.authorizer().allows(&user, &asked);
        assert_eq!(allowed, *may, "{who} {verb} {what} {place}");
    }
}

/// A cluster whose first roles are written.
async fn started(dir: &Path, tasks: &Tasks) -> Registry {
    let store = Arc::new(Embedded::open(dir).unwrap());
    let registry = Registry::open(store, Clock::system(), tasks).unwrap();
    registry.bootstrap().await.unwrap();
    reconcile(&registry).await.unwrap();
    registry
}

async fn edit(registry: &Registry, of: KindRef, key: &Key, pointer: &str, to: Value) {
    let change = |value: &mut Value| {
        *value.pointer_mut(pointer).unwrap() = to.clone();
        Ok(())
    };
    let context = Context::system("test");
    let written = registry.modify(&context, of, key, Subresource::None, change);
    written.await.unwrap();
}

async fn delete(registry: &Registry, of: KindRef, key: &Key) {
    let (context, options) = (Context::system("test"), DeleteOptions::default());
    registry.delete(&context, of, key, options).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_comes_back_and_what_was_added_stays() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let registry = started(dir.path(), &tasks).await;
    let before = registry.cache().revision();
    reconcile(&registry).await.unwrap();
    assert_eq!(
        registry.cache().revision(),
        before,
        "a second time changes nothing"
    );

    let own = json!({"verbs": ["get"], "apiGroups": ["x.y"], "resources": ["z"]});
    let (roles, bindings) = (kind::CLUSTER_ROLE, kind::CLUSTER_ROLE_BINDING);
    let user = Key::cluster("system:basic-user");
    edit(&registry, roles, &user, "/rules", json!([own])).await;
    edit(&registry, bindings, &user, "/subjects", json!([])).await;
    let left = Key::cluster("system:discovery");
    let alone = json!({AUTOUPDATE: "false"});
    edit(&registry, roles, &left, "/metadata/annotations", alone).await;
    edit(&registry, roles, &left, "/rules", json!([])).await;
    let gone = Key::cluster("cluster-admin");
    delete(&registry, roles, &gone).await;
    let controller = Key::cluster("system:controller:job-controller");
    edit(&registry, bindings, &controller, "/subjects", json!([])).await;
    let signer = Key::new("kube-public", "system:controller:bootstrap-signer");
    edit(&registry, kind::ROLE, &signer, "/rules", json!([])).await;
    delete(&registry, kind::ROLE_BINDING, &signer).await;
    reconcile(&registry).await.unwrap();

    let get = |of: KindRef, key: &Key, field: &str| {
        let value = registry.cache().get(of, key).unwrap().value();
        value[field].as_array().cloned().unwrap_or_default()
    };
    let rules = get(roles, &user, "rules");
    assert_eq!((rules.len(), &rules[0]), (3, &own));
    let subjects = get(bindings, &user, "subjects");
    assert_eq!(subjects[0]["name"], "system:authenticated");
    assert_eq!(get(roles, &left, "rules"), [] as [Value; 0]);
    assert_eq!(get(roles, &gone, "rules").len(), 2);
    let account =
        json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "job-controller"});
    assert_eq!(get(bindings, &controller, "subjects"), [account]);
    assert_eq!(get(kind::ROLE, &signer, "rules").len(), 3);
    assert_eq!(get(kind::ROLE_BINDING, &signer, "subjects").len(), 1);
}
