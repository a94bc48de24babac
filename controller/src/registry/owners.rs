//! Owners that stand twice on an object: one of each is kept, and the client hears of it.
//!
//! Source: k8s.io/apiserver `pkg/endpoints/handlers/rest.go`.

use super::Context;
use serde_json::Value;
use std::collections::HashSet;

/// Keeps the first of owners that are equal in all they say. `of_patch`: they are what a patch made.
pub(super) fn dedup(context: &Context, value: &mut Value, of_patch: bool) {
    let owners = value.pointer_mut("/metadata/ownerReferences");
    let Some(owners) = owners.and_then(Value::as_array_mut) else {
        return;
    };
    let mut seen = HashSet::with_capacity(owners.len());
    let is_first: Vec<bool> = owners.iter().map(|owner| seen.insert(owner)).collect();
    if seen.len() == owners.len() {
        return;
    }
    let mut twice = Vec::new();
    let mut at = is_first.into_iter();
    owners.retain(|owner| {
        let is_kept = at.next().unwrap_or(true);
        if !is_kept {
            twice.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        }
        is_kept
    });
    let when = match of_patch {
        true => " after mutating admission happens",
        false => "",
    };
    context.warn(|| {
        vec![format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        )]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_owners_are_one() {
        let owner = |uid: &str, name: &str| json!({"uid": uid, "name": name, "kind": "Pod"});
        let (a, b, other) = (owner("1", "a"), owner("2", "b"), owner("1", "other"));
        let list = json!([a, b, a, other, b, a]);
        let mut object = json!({"metadata": {"ownerReferences": list}});
        let mut context = Context::system("test");
        context.field_manager = Some("kubectl".to_owned());
        for of_patch in [false, true] {
            let mut object = object.clone();
            dedup(&context, &mut object, of_patch);
            let kept = &object["metadata"]["ownerReferences"];
            assert_eq!(*kept, json!([a, b, other]));
        }
        let warnings = context.warnings.lock().clone();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("duplicate entries; API server dedups"));
        assert!(warnings[0].ends_with("duplicate UID(s) observed: 1, 2, 1"));
        assert!(warnings[1].contains("entries after mutating admission happens; API"));

        object["metadata"] = json!({"name": "a"});
        let before = object.clone();
        dedup(&context, &mut object, false);
        assert_eq!(object, before);
    }
}
