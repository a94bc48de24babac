//! Who may what, as kubectl sees it: roles, tokens of service accounts, acting as others, certificates.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_tests::{Controller, wait};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(30);

/// The administrator's kubeconfig, with another user in it.
fn kubeconfig(controller: &Controller, dir: &Path, user: &Value) -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string(controller.kubeconfig())?;
    let mut config: Value = serde_yaml_ng::from_str(&text)?;
    config["users"][0]["user"] = user.clone();
    let path = dir.join(format!("other{}", text.len() + user.to_string().len()));
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// Somebody who is known by a kubeconfig of their own and by a token.
struct Person<'a> {
    controller: &'a Controller,
    flags: Vec<String>,
}

impl Person<'_> {
    fn run(&self, arguments: &[&str], input: &str) -> anyhow::Result<(bool, String)> {
        let flags = self.flags.iter().map(String::as_str);
        let all: Vec<&str> = flags.chain(arguments.iter().copied()).collect();
        let output = self.controller.kubectl(&all, input)?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(text)?))
    }

    #[track_caller]
    fn may(&self, arguments: &[&str], said: &str) -> anyhow::Result<String> {
        let (well, text) = self.run(arguments, "")?;
        ensure!(well && text.contains(said), "{arguments:?} said: {text}");
        Ok(text)
    }

    #[track_caller]
    fn may_not(&self, arguments: &[&str], input: &str, said: &str) -> anyhow::Result<()> {
        let (well, text) = self.run(arguments, input)?;
        ensure!(!well && text.contains(said), "{arguments:?} said: {text}");
        Ok(())
    }
}

/// A service account with a role that reads pods, and its token.
fn robot<'a>(controller: &'a Controller, dir: &Path) -> anyhow::Result<Person<'a>> {
    for (arguments, said) in [
        (
            &["create", "sa", "robot"][..],
            "serviceaccount/robot created\n",
        ),
        (
            &[
                "create",
                "role",
                "reader",
                "--verb=get,list",
                "--resource=pods",
            ],
            "role.rbac.authorization.k8s.io/reader created\n",
        ),
        (
            &[
                "create",
                "rolebinding",
                "robot",
                "--role=reader",
                "--serviceaccount=default:robot",
            ],
            "rolebinding.rbac.authorization.k8s.io/robot created\n",
        ),
    ] {
        assert_eq!(controller.ok(arguments, "")?, said);
    }
    let token = controller.ok(&["create", "token", "robot", "--duration=15m"], "")?;
    let nobody = kubeconfig(controller, dir, &serde_json::json!({}))?;
    let flags = vec![
        format!("--kubeconfig={}", nobody.display()),
        format!("--token={}", token.trim()),
    ];
    Ok(Person { controller, flags })
}

#[test]
fn a_service_account_may_what_its_role_says() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let robot = robot(&controller, dir.path())?;
    robot.may(&["get", "pods"], "No resources found in default namespace.")?;
    robot.may_not(
        &["get", "secrets"],
        "",
        "Error from server (Forbidden): secrets is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\"",
    )?;
    robot.may_not(&["get", "pods", "-A"], "", "at the cluster scope")?;
    robot.may(&["auth", "can-i", "list", "pods"], "yes")?;
    robot.may_not(&["auth", "can-i", "delete", "pods"], "", "no")?;
    let listed = robot.may(&["auth", "can-i", "--list"], "Resources")?;
    let pods = listed.lines().find(|line| line.starts_with("pods "));
    ensure!(
        pods.is_some_and(|line| line.ends_with("[get list]")),
        "{listed}"
    );
    ensure!(
        listed.contains("selfsubjectreviews.authentication.k8s.io"),
        "{listed}"
    );
    let who = robot.may(&["auth", "whoami"], "system:serviceaccount:default:robot")?;
    ensure!(
        who.contains(
            "[system:serviceaccounts system:serviceaccounts:default system:authenticated]"
        ),
        "{who}"
    );
    ensure!(
        who.contains("authentication.kubernetes.io/credential-id"),
        "{who}"
    );
    // The server's own roles are put together by then.
    let rules = [
        "get",
        "clusterrole",
        "admin",
        "-o",
        "jsonpath={.rules[*].resources}",
    ];
    wait::until("the rules of admin", LIMIT, || {
        let text = controller.ok(&rules, "")?;
        let whole = ["rolebindings", "deployments", "pods/log", "metrics"]
            .iter()
            .all(|part| text.contains(part) || (*part == "metrics" && text.contains("\"nodes\"")));
        Ok(if whole { Ok(()) } else { Err(text) })
    })?;
    controller.ok(
        &[
            "create",
            "rolebinding",
            "edit",
            "--clusterrole=edit",
            "--serviceaccount=default:robot",
        ],
        "",
    )?;
    robot.may(
        &["create", "configmap", "c", "--from-literal=a=1"],
        "configmap/c created",
    )?;
    robot.may(&["delete", "configmap", "c"], "deleted")?;
    robot.may_not(&["get", "roles"], "", "forbidden")?;
    controller.ok(&["delete", "sa", "robot"], "")?;
    robot.may_not(&["get", "pods"], "", "You must be logged in to the server")?;
    Ok(())
}

/// Whether a Secret has a token, and which.
fn kept_token(controller: &Controller, secret: &str) -> anyhow::Result<String> {
    let path = ["get", "secret", secret, "-o", "jsonpath={.data.token}"];
    let (encoded, _took) = wait::until("a token", LIMIT, || {
        let text = controller.ok(&path, "")?;
        Ok(if text.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(text)
        })
    })?;
    Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
}

#[test]
fn a_token_in_a_secret_is_its_account_for_as_long_as_both_are_there() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let mut robot = robot(&controller, dir.path())?;
    let secret = |annotation: &str| {
        format!(
            "apiVersion: v1
kind: Secret
metadata: {{name: kept, annotations: {{{annotation}}}}}
type: kubernetes.io/service-account-token
"
        )
    };
    let named = secret("kubernetes.io/service-account.name: robot");
    let refused = controller.refused(&["create", "-f", "-"], &secret(""))?;
    ensure!(
        refused
            .contains("metadata.annotations[kubernetes.io/service-account.name]: Required value"),
        "{refused}"
    );
    controller.ok(&["create", "-f", "-"], &named)?;
    let token = kept_token(&controller, "kept")?;
    robot.flags[1] = format!("--token={token}");
    robot.may(&["get", "pods"], "No resources found in default namespace.")?;
    robot.may_not(&["get", "secrets"], "", "cannot list resource \"secrets\"")?;
    robot.may(&["auth", "whoami"], "system:serviceaccount:default:robot")?;
    let shown = controller.ok(&["get", "secret", "kept", "-o", "yaml"], "")?;
    let uid = controller.ok(
        &["get", "sa", "robot", "-o", "jsonpath={.metadata.uid}"],
        "",
    )?;
    ensure!(
        shown.contains(&format!("kubernetes.io/service-account.uid: {uid}"))
            && shown.contains("ca.crt: ")
            && shown.contains(&format!("namespace: {}", STANDARD.encode("default"))),
        "{shown}"
    );

    controller.ok(&["delete", "secret", "kept"], "")?;
    robot.may_not(&["get", "pods"], "", "You must be logged in to the server")?;
    controller.ok(&["create", "-f", "-"], &named)?;
    robot.flags[1] = format!("--token={}", kept_token(&controller, "kept")?);
    robot.may(&["get", "pods"], "No resources found in default namespace.")?;
    controller.ok(&["delete", "sa", "robot"], "")?;
    robot.may_not(&["get", "pods"], "", "You must be logged in to the server")?;
    let gone = ["wait", "--for=delete", "secret/kept", "--timeout=30s"];
    controller.ok(&gone, "")?;
    Ok(())
}

#[test]
fn nobody_grants_more_than_they_have() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let robot = robot(&controller, dir.path())?;
    controller.ok(
        &[
            "create",
            "role",
            "roles",
            "--verb=create,get,update,patch",
            "--resource=roles,rolebindings",
        ],
        "",
    )?;
    controller.ok(
        &[
            "create",
            "rolebinding",
            "roles",
            "--role=roles",
            "--serviceaccount=default:robot",
        ],
        "",
    )?;
    robot.may(
        &["create", "role", "same", "--verb=get", "--resource=pods"],
        "created",
    )?;
    robot.may_not(
        &["create", "role", "more", "--verb=get,delete", "--resource=pods,secrets"],
        "",
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"system:serviceaccount:default:robot\" (groups=[\"system:serviceaccounts\" \"system:serviceaccounts:default\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}",
    )?;
    robot.may_not(
        &[
            "create",
            "rolebinding",
            "root",
            "--clusterrole=cluster-admin",
            "--user=eve",
        ],
        "",
        "is attempting to grant RBAC permissions not currently held",
    )?;
    robot.may_not(
        &[
            "patch",
            "role",
            "same",
            "--type=json",
            "-p",
            r#"[{"op":"replace","path":"/rules/0/verbs","value":["*"]}]"#,
        ],
        "",
        "not currently held",
    )?;
    let changed = controller.refused(
        &[
            "patch",
            "rolebinding",
            "robot",
            "-p",
            r#"{"roleRef":{"name":"roles"}}"#,
        ],
        "",
    )?;
    ensure!(changed.contains("cannot change roleRef"), "{changed}");
    Ok(())
}

#[test]
fn acting_as_others_and_reconciling_roles() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let said = controller.refused(&["get", "pods", "--as", "ann"], "")?;
    assert_eq!(
        said,
        "Error from server (Forbidden): pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"\n"
    );
    let roles = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lister}
rules:
- {apiGroups: [''], resources: [pods], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lister}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lister}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: listers}
";
    for _ in 0..2 {
        let said = controller.ok(&["auth", "reconcile", "-f", "-"], roles)?;
        ensure!(
            said.contains("clusterrole.rbac.authorization.k8s.io/lister reconciled"),
            "{said}"
        );
        ensure!(
            said.contains("clusterrolebinding.rbac.authorization.k8s.io/lister reconciled"),
            "{said}"
        );
    }
    controller.ok(
        &["get", "pods", "-A", "--as", "ann", "--as-group", "listers"],
        "",
    )?;
    controller.refused(
        &["get", "pods", "-A", "--as", "ann", "--as-group", "others"],
        "",
    )?;
    let who = controller.ok(
        &[
            "auth",
            "whoami",
            "--as",
            "system:serviceaccount:default:default",
        ],
        "",
    )?;
    ensure!(who.contains("system:serviceaccounts:default"), "{who}");
    let wide = controller.ok(&["get", "clusterrolebinding", "lister", "-o", "wide"], "")?;
    ensure!(
        wide.contains("ClusterRole/lister") && wide.contains("listers"),
        "{wide}"
    );
    let described = controller.ok(&["describe", "clusterrole", "lister"], "")?;
    ensure!(described.contains("[list]"), "{described}");
    Ok(())
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_node_gets_its_certificates_as_upstreams_kubelet_does() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let key = KeyPair::generate()?;
    let node = |names: &[&str]| -> anyhow::Result<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in [
            (DnType::OrganizationName, "system:nodes"),
            (DnType::CommonName, "system:node:pi"),
        ] {
            params.distinguished_name.push(kind, text);
        }
        Ok(STANDARD.encode(params.serialize_request(&key)?.pem()?))
    };
    let object = |name: &str, request: &str, signer: &str, usage: &str| {
        format!(
            "apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  request: {request}
  signerName: kubernetes.io/{signer}
  usages: [digital signature, {usage}]
"
        )
    };
    let client = object(
        "client",
        &node(&[])?,
        "kube-apiserver-client-kubelet",
        "client auth",
    );
    let serving = object(
        "serving",
        &node(&["pi", "10.0.0.7"])?,
        "kubelet-serving",
        "server auth",
    );
    let wrong = object(
        "wrong",
        &node(&["pi"])?,
        "kube-apiserver-client-kubelet",
        "client auth",
    );
    for object in [&client, &serving, &wrong] {
        controller.ok(&["create", "-f", "-"], object)?;
    }
    let reaches = |name: &str, wanted: &str| {
        wait::until(&format!("{wanted} of {name}"), LIMIT, || {
            let row = controller.ok(&["get", "csr", name, "--no-headers"], "")?;
            let is_so = row.trim_end().ends_with(wanted);
            Ok(if is_so { Ok(()) } else { Err(row) })
        })
    };
    // Who may do everything may have it approved.
    reaches("client", "Approved,Issued")?;
    let shown = controller.ok(&["get", "csr", "client", "-o", "yaml"], "")?;
    ensure!(
        shown.contains("reason: AutoApproved")
            && shown.contains(
                "message: Auto approving kubelet client certificate after SubjectAccessReview."
            ),
        "{shown}"
    );
    for name in ["serving", "wrong"] {
        reaches(name, "Pending")?;
        controller.ok(&["certificate", "approve", name], "")?;
    }
    reaches("serving", "Approved,Issued")?;
    reaches("wrong", "Approved,Failed")?;
    let path = [
        "get",
        "csr",
        "client",
        "-o",
        "jsonpath={.status.certificate}",
    ];
    let user = serde_json::json!({
        "client-certificate-data": controller.ok(&path, "")?,
        "client-key-data": STANDARD.encode(key.serialize_pem()),
    });
    let own = kubeconfig(&controller, dir.path(), &user)?;
    let pi = Person {
        controller: &controller,
        flags: vec![format!("--kubeconfig={}", own.display())],
    };
    let who = pi.may(&["auth", "whoami"], "system:node:pi")?;
    ensure!(who.contains("[system:nodes system:authenticated]"), "{who}");
    // It renews its own, and nobody else's.
    controller.ok(
        &[
            "create",
            "clusterrolebinding",
            "renewal",
            "--clusterrole=system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            "--group=system:nodes",
        ],
        "",
    )?;
    let (well, said) = pi.run(
        &["create", "-f", "-"],
        &client.replace("name: client", "name: again"),
    )?;
    ensure!(well, "{said}");
    reaches("again", "Approved,Issued")?;
    Ok(())
}

/// A request of a new key for a user of two groups, and the key.
fn request(user: &str) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "dev");
    let again = DnType::CustomDnType(vec![2, 5, 4, 10]);
    params.distinguished_name.push(again, "ops");
    Ok((params.serialize_request(&key)?.pem()?, key.serialize_pem()))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_certificate_is_asked_for_and_approved() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let (asked, key) = request("ann")?;
    let object = |name: &str| {
        format!(
            "apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  request: {}
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 3600
  usages: [client auth]
",
            STANDARD.encode(&asked)
        )
    };
    for name in ["ann", "bob"] {
        controller.ok(&["apply", "-f", "-"], &object(name))?;
    }
    let shown = controller.ok(&["get", "csr", "ann"], "")?;
    ensure!(
        shown.contains("Pending") && shown.contains("kubernetes-admin") && shown.contains("60m"),
        "{shown}"
    );
    let said = controller.ok(&["certificate", "approve", "ann"], "")?;
    assert_eq!(
        said,
        "certificatesigningrequest.certificates.k8s.io/ann approved\n"
    );
    controller.ok(&["certificate", "deny", "bob"], "")?;
    let path = ["get", "csr", "ann", "-o", "jsonpath={.status.certificate}"];
    let (certificate, _took) = wait::until("a certificate", LIMIT, || {
        let text = controller.ok(&path, "")?;
        Ok(if text.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(text)
        })
    })?;
    let shown = controller.ok(&["get", "csr"], "")?;
    ensure!(
        shown.contains("Approved,Issued") && shown.contains("Denied"),
        "{shown}"
    );
    let user = serde_json::json!({
        "client-certificate-data": certificate,
        "client-key-data": STANDARD.encode(key),
    });
    let own = kubeconfig(&controller, dir.path(), &user)?;
    let ann = Person {
        controller: &controller,
        flags: vec![format!("--kubeconfig={}", own.display())],
    };
    let who = ann.may(&["auth", "whoami"], "ann")?;
    ensure!(who.contains("[dev ops system:authenticated]"), "{who}");
    ann.may_not(
        &["get", "pods"],
        "",
        "User \"ann\" cannot list resource \"pods\"",
    )?;
    controller.ok(
        &[
            "create",
            "clusterrolebinding",
            "ops",
            "--clusterrole=view",
            "--group=ops",
        ],
        "",
    )?;
    ann.may(&["get", "pods", "-A"], "No resources found")?;
    ann.may_not(&["certificate", "approve", "bob"], "", "forbidden")?;
    let again = controller.refused(&["certificate", "approve", "bob"], "");
    again.context("a denied request was approved")?;
    Ok(())
}
