//! The signers of this CA, by upstream's names: what each signs, and why it does not.
//!
//! Pure. Source: k8s.io/kubernetes `pkg/controller/certificates/signer`, `pkg/apis/certificates/helpers.go`.

use super::{NODE_USER_PREFIX, NODES};

/// Certificates for clients of the API.
pub const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// Certificates by which nodes are clients of the API.
pub const KUBELET_CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Certificates by which nodes serve.
pub const KUBELET_SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";

const CLIENT_AUTH: &str = "client auth";
const SERVER_AUTH: &str = "server auth";
const DIGITAL_SIGNATURE: &str = "digital signature";
const KEY_ENCIPHERMENT: &str = "key encipherment";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// [`SIGNER`].
    Client,
    /// [`KUBELET_CLIENT_SIGNER`].
    KubeletClient,
    /// [`KUBELET_SERVING_SIGNER`].
    KubeletServing,
}

/// What a request says of who it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The first common name: the user it would be.
    pub common_name: String,
    /// The groups of that user.
    pub organizations: Vec<String>,
    /// By what else it would be known.
    pub names: Names,
}

/// Alternative names, each kind in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of hosts.
    pub dns: Vec<String>,
    /// Addresses of hosts, as bytes.
    pub addresses: Vec<Vec<u8>>,
    /// Addresses of people.
    pub emails: Vec<String>,
    /// Addresses of anything.
    pub uris: Vec<String>,
}

impl Signer {
    /// By its name; none for a signer that is not here.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        match name {
            SIGNER => Some(Self::Client),
            KUBELET_CLIENT_SIGNER => Some(Self::KubeletClient),
            KUBELET_SERVING_SIGNER => Some(Self::KubeletServing),
            _ => None,
        }
    }

    /// Whether it signs a certificate for this subject and these usages.
    ///
    /// # Errors
    /// With the first reason why not, in upstream's words.
    pub fn check(self, subject: &Subject, usages: &[String]) -> Result<(), String> {
        match self {
            Self::Client => check_client(usages),
            Self::KubeletClient => check_kubelet_client(subject, usages),
            Self::KubeletServing => check_kubelet_serving(subject, usages),
        }
    }
}

fn check_client(usages: &[String]) -> Result<(), String> {
    for usage in usages {
        if ![CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT].contains(&usage.as_str()) {
            return Err(format!("invalid usage for client certificate: {usage}"));
        }
    }
    if usages.iter().any(|usage| usage == CLIENT_AUTH) {
        return Ok(());
    }
    Err(format!(
        "missing required usage for client certificate: {CLIENT_AUTH}"
    ))
}

fn check_kubelet_client(subject: &Subject, usages: &[String]) -> Result<(), String> {
    check_organization(subject)?;
    let names = &subject.names;
    refuse(names.dns.is_empty(), "DNS")?;
    refuse(names.emails.is_empty(), "Email")?;
    refuse(names.addresses.is_empty(), "IP")?;
    refuse(names.uris.is_empty(), "URI")?;
    check_common_name(subject)?;
    check_usages(usages, &[CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT])
}

fn check_kubelet_serving(subject: &Subject, usages: &[String]) -> Result<(), String> {
    check_organization(subject)?;
    let names = &subject.names;
    if names.dns.is_empty() && names.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    refuse(names.emails.is_empty(), "Email")?;
    refuse(names.uris.is_empty(), "URI")?;
    check_usages(usages, &[DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, SERVER_AUTH])?;
    check_common_name(subject)
}

fn check_organization(subject: &Subject) -> Result<(), String> {
    if subject.organizations == [NODES] {
        return Ok(());
    }
    Err(format!("subject organization is not {NODES}"))
}

fn check_common_name(subject: &Subject) -> Result<(), String> {
    if subject.common_name.starts_with(NODE_USER_PREFIX) {
        return Ok(());
    }
    Err(format!(
        "subject common name does not begin with {NODE_USER_PREFIX}"
    ))
}

fn refuse(is_none: bool, kind: &str) -> Result<(), String> {
    if is_none {
        return Ok(());
    }
    Err(format!("{kind} subjectAltNames are not allowed"))
}

/// All of them and no other; only keys that can do so have to encipher.
fn check_usages(usages: &[String], wanted: &[&str]) -> Result<(), String> {
    let has = |wanted: &&str| usages.iter().any(|usage| usage == wanted);
    let mut needed = wanted.iter().filter(|usage| **usage != KEY_ENCIPHERMENT);
    let is_known = |usage: &String| wanted.contains(&usage.as_str());
    if needed.all(has) && usages.iter().all(is_known) {
        return Ok(());
    }
    Err(format!("usages did not match [{}]", wanted.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Subject {
        Subject {
            common_name: "system:node:pi".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            names: Names::default(),
        }
    }

    fn served() -> Subject {
        let mut subject = node();
        subject.names.dns.push("pi".to_owned());
        subject.names.addresses.push(vec![10, 0, 0, 1]);
        subject
    }

    #[track_caller]
    fn check(signer: &str, subject: &Subject, usages: &[&str], expected: Option<&str>) {
        let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
        let checked = Signer::find(signer).unwrap().check(subject, &usages);
        assert_eq!(checked.err().as_deref(), expected, "{usages:?}");
    }

    #[test]
    fn clients() {
        let all = [CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT];
        let anybody = Subject::default();
        check(SIGNER, &anybody, &all, None);
        check(
            SIGNER,
            &anybody,
            &[CLIENT_AUTH, SERVER_AUTH],
            Some("invalid usage for client certificate: server auth"),
        );
        check(
            SIGNER,
            &anybody,
            &[DIGITAL_SIGNATURE],
            Some("missing required usage for client certificate: client auth"),
        );
        assert_eq!(Signer::find("kubernetes.io/legacy-unknown"), None);
        assert_eq!(Signer::find("example.com/own"), None);
    }

    #[test]
    fn clients_that_are_nodes() {
        let all = [CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT];
        let signer = KUBELET_CLIENT_SIGNER;
        check(signer, &node(), &all, None);
        check(signer, &node(), &all[..2], None);
        let mismatch = "usages did not match [client auth digital signature key encipherment]";
        check(signer, &node(), &all[..1], Some(mismatch));
        check(signer, &node(), &all[1..], Some(mismatch));
        let more = [CLIENT_AUTH, DIGITAL_SIGNATURE, SERVER_AUTH];
        check(signer, &node(), &more, Some(mismatch));
        type Change = fn(&mut Subject);
        let cases: [(Change, &str); 8] = [
            (
                |subject| subject.organizations.clear(),
                "subject organization is not system:nodes",
            ),
            (
                |subject| subject.organizations.push("system:masters".to_owned()),
                "subject organization is not system:nodes",
            ),
            (
                |subject| "pi".clone_into(&mut subject.common_name),
                "subject common name does not begin with system:node:",
            ),
            (
                |subject| subject.common_name.clear(),
                "subject common name does not begin with system:node:",
            ),
            (
                |subject| subject.names.dns.push("pi".to_owned()),
                "DNS subjectAltNames are not allowed",
            ),
            (
                |subject| subject.names.emails.push("a@b".to_owned()),
                "Email subjectAltNames are not allowed",
            ),
            (
                |subject| subject.names.addresses.push(vec![10, 0, 0, 1]),
                "IP subjectAltNames are not allowed",
            ),
            (
                |subject| subject.names.uris.push("a:b".to_owned()),
                "URI subjectAltNames are not allowed",
            ),
        ];
        for (change, expected) in cases {
            let mut subject = node();
            change(&mut subject);
            check(signer, &subject, &all, Some(expected));
        }
    }

    #[test]
    fn nodes_that_serve() {
        let all = [SERVER_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT];
        let signer = KUBELET_SERVING_SIGNER;
        check(signer, &served(), &all, None);
        check(signer, &served(), &all[..2], None);
        let mismatch = "usages did not match [digital signature key encipherment server auth]";
        let client = [CLIENT_AUTH, DIGITAL_SIGNATURE];
        check(signer, &served(), &client, Some(mismatch));
        let nameless = "DNS or IP subjectAltName is required";
        check(signer, &node(), &all, Some(nameless));
        let mut subject = served();
        subject.names.dns.clear();
        check(signer, &subject, &all, None);
        subject.names.uris.push("a:b".to_owned());
        let expected = "URI subjectAltNames are not allowed";
        check(signer, &subject, &all, Some(expected));
        subject.names.emails.push("a@b".to_owned());
        let expected = "Email subjectAltNames are not allowed";
        check(signer, &subject, &all, Some(expected));
        let mut subject = served();
        "pi".clone_into(&mut subject.common_name);
        let expected = "subject common name does not begin with system:node:";
        check(signer, &subject, &all, Some(expected));
        subject.organizations.clear();
        let expected = "subject organization is not system:nodes";
        check(signer, &subject, &all, Some(expected));
    }
}
