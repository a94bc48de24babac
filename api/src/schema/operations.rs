//! What can be asked of a kind: one operation for each method of each path, in the form of no version.
//!
//! The documents of OpenAPI v2 and v3 are two prints of this. Names of operations are upstream's: clients
//! are generated from them.

mod parameters;

pub(super) use self::parameters::PARAMETERS;

use self::parameters::{DELETE, DELETE_ALL, LIST, LOG, WRITE};
use crate::{Kind, KindRef, kind::Subresource};

/// One method of one path.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) path: String,
    /// `get`, `put`, `post`, `delete` or `patch`.
    pub(super) method: &'static str,
    /// What upstream calls the verb here: `list`, `post`, `deletecollection`, `connect`, ...
    pub(super) action: &'static str,
    /// `readCoreV1NamespacedPodStatus`.
    pub(super) id: String,
    /// `core_v1`.
    pub(super) tag: String,
    pub(super) description: String,
    /// Names of [`PARAMETERS`].
    pub(super) query: Vec<&'static str>,
    pub(super) body: Sent,
    /// Name of the answer's schema; none for plain text.
    pub(super) answer: Option<String>,
    /// Codes beside 200.
    pub(super) codes: &'static [(&'static str, &'static str)],
    /// Group, version and kind of what is acted on.
    pub(super) of: (String, String, String),
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sent {
    Nothing,
    /// An object of this schema.
    Object(String),
    /// A patch in one of these forms.
    Patch(&'static [&'static str]),
    /// `DeleteOptions`, which may be left out.
    Options,
}

/// Only built-in types say how their lists merge under a strategic patch, which is the last.
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
];
const NONE: &[(&str, &str)] = &[];
const CREATED: &[(&str, &str)] = &[("201", "Created")];
const ACCEPTED: &[(&str, &str)] = &[("202", "Accepted")];
const BOTH: &[(&str, &str)] = &[("201", "Created"), ("202", "Accepted")];
/// Names of schemas that operations refer to.
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The name of the schema of a subresource that has its own.
pub(super) fn schema_of(subresource: &Subresource) -> Option<&'static str> {
    Some(match subresource.kind.2 {
        "Scale" => "io.k8s.api.autoscaling.v1.Scale",
        "Binding" => "io.k8s.api.core.v1.Binding",
        "Eviction" => "io.k8s.api.policy.v1.Eviction",
        "TokenRequest" => "io.k8s.api.authentication.v1.TokenRequest",
        _ => return None,
    })
}

/// Everything that can be asked of a kind whose schema and whose list's schema have these names.
pub(super) fn operations(kind: KindRef, schema: &str, list: &str) -> Vec<Operation> {
    let mut all = Operations::new(kind, schema, list);
    for verb in kind.verbs {
        all.verb(verb);
    }
    for subresource in kind.subresources {
        all.subresource(subresource);
    }
    all.found
}

struct Operations<'a> {
    kind: KindRef,
    schema: &'a str,
    list: &'a str,
    root: String,
    collection: String,
    tag: String,
    found: Vec<Operation>,
}

impl<'a> Operations<'a> {
    fn new(kind: KindRef, schema: &'a str, list: &'a str) -> Self {
        let root = root(kind);
        let collection = if kind.namespaced {
            format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
        } else {
            format!("{root}/{}", kind.plural)
        };
        let tag = format!("{}_{}", identifier(group(kind), false), kind.version);
        Self {
            kind,
            schema,
            list,
            root,
            collection,
            tag,
            found: Vec::new(),
        }
    }

    /// `get` and `NamespacedPod` to `getCoreV1NamespacedPod`.
    fn id(&self, verb: &str, rest: &str) -> String {
        let group = identifier(group(self.kind), true);
        format!("{verb}{group}{}{rest}", identifier(self.kind.version, true))
    }

    fn scope(&self) -> &'static str {
        if self.kind.namespaced {
            "Namespaced"
        } else {
            ""
        }
    }

    fn base(&self, path: String, (method, action): (&'static str, &'static str)) -> Operation {
        let Kind {
            group,
            version,
            kind,
            ..
        } = self.kind;
        Operation {
            path,
            method,
            action,
            id: String::new(),
            tag: self.tag.clone(),
            description: String::new(),
            query: vec!["pretty"],
            body: Sent::Nothing,
            answer: Some(self.schema.to_owned()),
            codes: &[],
            of: (
                (*group).to_owned(),
                (*version).to_owned(),
                (*kind).to_owned(),
            ),
        }
    }

    fn verb(&mut self, verb: &str) {
        let (scope, name) = (self.scope(), self.kind.kind);
        let collection = self.collection.clone();
        let one = format!("{collection}/{{name}}");
        let sent = Sent::Object(self.schema.to_owned());
        let operation = match verb {
            "list" => {
                let list = Operation {
                    description: format!("list or watch objects of kind {name}"),
                    query: LIST.to_vec(),
                    answer: Some(self.list.to_owned()),
                    id: self.id("list", &format!("{scope}{name}")),
                    ..self.base(collection, ("get", "list"))
                };
                if self.kind.namespaced {
                    self.found.push(Operation {
                        path: format!("{}/{}", self.root, self.kind.plural),
                        id: self.id("list", &format!("{name}ForAllNamespaces")),
                        ..list.clone()
                    });
                }
                list
            }
            "create" => Operation {
                description: format!("create {}", article(name)),
                query: WRITE.to_vec(),
                body: sent,
                codes: BOTH,
                id: self.id("create", &format!("{scope}{name}")),
                ..self.base(collection, ("post", "post"))
            },
            "deletecollection" => Operation {
                description: format!("delete collection of {name}"),
                query: DELETE_ALL.to_vec(),
                body: Sent::Options,
                answer: Some(STATUS.to_owned()),
                id: self.id("delete", &format!("Collection{scope}{name}")),
                ..self.base(collection, ("delete", "deletecollection"))
            },
            "delete" => Operation {
                description: format!("delete {}", article(name)),
                query: DELETE.to_vec(),
                body: Sent::Options,
                answer: Some(if self.kind.returns_deleted() {
                    self.schema.to_owned()
                } else {
                    STATUS.to_owned()
                }),
                codes: ACCEPTED,
                id: self.id("delete", &format!("{scope}{name}")),
                ..self.base(one, ("delete", "delete"))
            },
            // A watch is a list's.
            "get" | "update" | "patch" => self.on_one(verb, one, ("", self.schema)),
            _ => return,
        };
        self.found.push(operation);
    }

    /// Reads or changes one object, or a subresource of it that has the schema.
    fn on_one(&self, verb: &str, path: String, (sub, schema): (&str, &str)) -> Operation {
        let (method, action, word, told) = match verb {
            "get" => ("get", "get", "read", "read"),
            "update" => ("put", "put", "replace", "replace"),
            _ => ("patch", "patch", "patch", "partially update"),
        };
        let name = self.kind.kind;
        let of = match sub {
            "" => String::new(),
            sub => format!("{sub} of "),
        };
        let (query, body, codes) = match verb {
            "get" => (vec!["pretty"], Sent::Nothing, NONE),
            "update" => (WRITE.to_vec(), Sent::Object(schema.to_owned()), CREATED),
            _ => {
                let forms = if self.kind.is_custom() {
                    &PATCHES[..PATCHES.len() - 1]
                } else {
                    PATCHES
                };
                ([WRITE, &["force"]].concat(), Sent::Patch(forms), CREATED)
            }
        };
        let rest = format!("{}{name}{}", self.scope(), identifier(sub, true));
        Operation {
            description: format!("{told} {of}the specified {name}"),
            query,
            body,
            codes,
            answer: Some(schema.to_owned()),
            id: self.id(word, &rest),
            ..self.base(path, (method, action))
        }
    }

    fn subresource(&mut self, subresource: &Subresource) {
        let path = format!("{}/{{name}}/{}", self.collection, subresource.name);
        if subresource.name == "proxy" {
            self.connect(&path, subresource, "");
            self.connect(&format!("{path}/{{path}}"), subresource, "WithPath");
            return;
        }
        let own = schema_of(subresource);
        let schema = own.unwrap_or(self.schema);
        let (scope, name) = (self.scope(), self.kind.kind);
        for verb in subresource.verbs {
            let mut operation = match *verb {
                "create" => Operation {
                    description: format!("create {} of {}", subresource.name, article(name)),
                    query: WRITE.to_vec(),
                    body: Sent::Object(schema.to_owned()),
                    answer: Some(schema.to_owned()),
                    codes: BOTH,
                    id: self.id(
                        "create",
                        &format!("{scope}{name}{}", identifier(subresource.name, true)),
                    ),
                    ..self.base(path.clone(), ("post", "post"))
                },
                verb => self.on_one(verb, path.clone(), (subresource.name, schema)),
            };
            if subresource.name == "log" {
                operation.query = LOG.to_vec();
                operation.answer = None;
            }
            self.found.push(about(operation, subresource));
        }
    }

    /// Whatever is sent is handed on.
    fn connect(&mut self, path: &str, subresource: &Subresource, suffix: &str) {
        let (scope, name) = (self.scope(), self.kind.kind);
        for verb in subresource.verbs {
            let (method, word) = match *verb {
                "create" => ("post", "Post"),
                "delete" => ("delete", "Delete"),
                "get" => ("get", "Get"),
                "patch" => ("patch", "Patch"),
                _ => ("put", "Put"),
            };
            let sub = identifier(subresource.name, true);
            let operation = Operation {
                description: format!(
                    "connect {} requests to {} of {name}",
                    word.to_uppercase(),
                    subresource.name
                ),
                query: Vec::new(),
                answer: None,
                id: self.id("connect", &format!("{word}{scope}{name}{sub}{suffix}")),
                ..self.base(path.to_owned(), (method, "connect"))
            };
            self.found.push(about(operation, subresource));
        }
    }
}

fn about(mut operation: Operation, subresource: &Subresource) -> Operation {
    let (group, version, kind) = subresource.kind;
    if !kind.is_empty() {
        operation.of = (group.to_owned(), version.to_owned(), kind.to_owned());
    }
    operation
}

fn root(kind: KindRef) -> String {
    if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    }
}

fn group(kind: KindRef) -> &'static str {
    match kind.group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    }
}

/// Without what no name may have; the letter after each of that is a capital.
fn identifier(text: &str, mut capital: bool) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            capital = true;
        } else if capital {
            name.push(c.to_ascii_uppercase());
            capital = false;
        } else {
            name.push(c);
        }
    }
    name
}

/// `a Pod`, `an Event`.
fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['A', 'E', 'I', 'O', 'U']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind;

    #[test]
    fn operations_have_upstreams_names() {
        let ids = |kind| -> Vec<String> {
            let found = operations(kind, "S", "L").into_iter();
            found
                .map(|one| format!("{} {}", one.method, one.id))
                .collect()
        };
        let pods = ids(kind::POD);
        for id in [
            "get listCoreV1NamespacedPod",
            "get listCoreV1PodForAllNamespaces",
            "post createCoreV1NamespacedPod",
            "delete deleteCoreV1CollectionNamespacedPod",
            "get readCoreV1NamespacedPod",
            "put replaceCoreV1NamespacedPodStatus",
            "get readCoreV1NamespacedPodLog",
            "post createCoreV1NamespacedPodBinding",
            "post createCoreV1NamespacedPodEviction",
            "get connectCoreV1GetNamespacedPodProxyWithPath",
        ] {
            assert!(pods.iter().any(|found| found == id), "{id} in {pods:?}");
        }
        let more = [
            (
                kind::DEPLOYMENT,
                "patch patchAppsV1NamespacedDeploymentScale",
            ),
            (kind::CLUSTER_ROLE, "get listRbacAuthorizationV1ClusterRole"),
            (kind::NAMESPACE, "put replaceCoreV1NamespaceFinalize"),
            (
                kind::SERVICE_ACCOUNT,
                "post createCoreV1NamespacedServiceAccountToken",
            ),
        ];
        for (kind, id) in more {
            let found = ids(kind);
            assert!(found.iter().any(|found| found == id), "{id} in {found:?}");
        }
        assert!(
            !ids(kind::NAMESPACE)
                .iter()
                .any(|id| id.contains("Collection"))
        );
    }

    #[test]
    fn some_kinds_are_returned_when_they_are_deleted() {
        let answer = |kind: KindRef, action: &str| {
            let mut all = operations(kind, "S", "L").into_iter();
            all.find(|one| one.action == action).unwrap().answer
        };
        let returned = kind::KINDS.iter().filter(|kind| {
            kind.verbs.contains(&"delete") && answer(kind, "delete").unwrap() == "S"
        });
        let mut returned: Vec<&str> = returned.map(|kind| kind.plural).collect();
        returned.sort_unstable();
        assert_eq!(
            returned,
            [
                "csidrivers",
                "csinodes",
                "persistentvolumeclaims",
                "persistentvolumes",
                "pods",
                "podtemplates",
                "resourcequotas",
                "serviceaccounts",
                "services",
                "storageclasses",
                "volumeattachments",
                "volumeattributesclasses",
            ]
        );
        for kind in [kind::POD, kind::CONFIG_MAP] {
            assert_eq!(answer(kind, "deletecollection").unwrap(), STATUS);
        }
        assert_eq!(answer(kind::CONFIG_MAP, "delete").unwrap(), STATUS);
    }

    #[test]
    fn every_parameter_and_every_schema_is_known() {
        for kind in kind::KINDS {
            let mut ids = std::collections::BTreeSet::new();
            for one in operations(kind, "S", "L") {
                for name in &one.query {
                    assert!(PARAMETERS.iter().any(|(known, ..)| known == name), "{name}");
                }
                assert!(ids.insert(one.id.clone()), "{} twice", one.id);
            }
            for sub in kind
                .subresources
                .iter()
                .filter(|sub| !sub.kind.2.is_empty())
            {
                assert!(
                    schema_of(sub).is_some() || sub.name == "proxy",
                    "{}",
                    sub.name
                );
            }
        }
    }
}
