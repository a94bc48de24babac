//! What a query may say, and which of it goes with which verb.

/// What a query may say: name, type, what it does.
pub(in crate::schema) const PARAMETERS: &[(&str, &str, &str)] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "A watch may be told how far it has come by events of the type BOOKMARK.",
    ),
    (
        "container",
        "string",
        "The container whose log is read. May be left out where a pod has one.",
    ),
    (
        "continue",
        "string",
        "Where a list in parts goes on: the token of the part before.",
    ),
    (
        "dryRun",
        "string",
        "With the value All everything is checked and nothing is kept.",
    ),
    (
        "fieldManager",
        "string",
        "The name under which the fields of this write are held.",
    ),
    (
        "fieldSelector",
        "string",
        "Restricts a list or a watch by the values of fields.",
    ),
    (
        "fieldValidation",
        "string",
        "What becomes of unknown and repeated fields: Ignore, Warn or Strict.",
    ),
    (
        "follow",
        "boolean",
        "The answer goes on with what the container writes.",
    ),
    (
        "force",
        "boolean",
        "An apply takes over fields that other managers hold.",
    ),
    (
        "gracePeriodSeconds",
        "integer",
        "Seconds until the object is to be gone; zero means at once.",
    ),
    (
        "labelSelector",
        "string",
        "Restricts a list or a watch by labels.",
    ),
    (
        "limit",
        "integer",
        "Objects in one part of a list, at most.",
    ),
    ("limitBytes", "integer", "Bytes of a log, at most."),
    (
        "orphanDependents",
        "boolean",
        "Deprecated: use propagationPolicy.",
    ),
    (
        "pretty",
        "string",
        "With the value true the answer is indented.",
    ),
    ("previous", "boolean", "The log of the run before this one."),
    (
        "propagationPolicy",
        "string",
        "What becomes of what the object owns: Orphan, Background or Foreground.",
    ),
    (
        "resourceVersion",
        "string",
        "How new the state has to be that is shown or gone on from.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How resourceVersion is meant by a list: Exact or NotOlderThan.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "A watch begins with what there is, and says where that ends.",
    ),
    ("sinceSeconds", "integer", "The log of that many seconds."),
    ("sinceTime", "string", "The log from this time on."),
    ("tailLines", "integer", "Lines from the end of a log."),
    (
        "timeoutSeconds",
        "integer",
        "How long a watch lasts, in seconds.",
    ),
    (
        "timestamps",
        "boolean",
        "Each line of a log begins with its time.",
    ),
    ("watch", "boolean", "Changes are sent as they happen."),
];

// Which of them go with what.

pub(super) const WRITE: &[&str] = &["pretty", "dryRun", "fieldManager", "fieldValidation"];
pub(super) const LIST: &[&str] = &[
    "pretty",
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
pub(super) const DELETE: &[&str] = &[
    "pretty",
    "dryRun",
    "gracePeriodSeconds",
    "orphanDependents",
    "propagationPolicy",
];
pub(super) const DELETE_ALL: &[&str] = &[
    "pretty",
    "continue",
    "dryRun",
    "fieldSelector",
    "gracePeriodSeconds",
    "labelSelector",
    "limit",
    "orphanDependents",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
];
pub(super) const LOG: &[&str] = &[
    "container",
    "follow",
    "limitBytes",
    "pretty",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "tailLines",
    "timestamps",
];
