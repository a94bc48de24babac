//! Upstream's documented semantics, case by case, on built-in kinds and on a custom one.

use super::*;
use crate::{kind, schema};
use std::sync::OnceLock;

/// An object's life, step by step.
struct Life {
    ty: Type<'static>,
    object: Option<Value>,
    step: u32,
}

impl Life {
    fn writer<'a>(&self, manager: &'a str, time: &'a str) -> Writer<'a> {
        let (manager, subresource) = manager.split_once('/').unwrap_or((manager, ""));
        let leaves: &[_] = match subresource {
            "status" => &[("spec", ""), ("metadata", "labels")],
            "whole" => &[],
            _ => &[("status", "")],
        };
        Writer {
            manager,
            api_version: "apps/v1",
            subresource,
            leaves,
            time,
        }
    }

    fn time(&mut self) -> String {
        self.step += 1;
        format!("2026-01-01T00:00:{:02}Z", self.step)
    }

    fn try_apply(&mut self, manager: &str, config: &Value, force: bool) -> Result<(), Error> {
        let time = self.time();
        let mut config = config.clone();
        config["apiVersion"] = json!("apps/v1");
        config["metadata"]["name"] = json!("a");
        let live = self.object.clone().unwrap_or_else(|| json!({}));
        let new = apply(self.ty, &live, &config, self.writer(manager, &time), force)?;
        self.object = Some(new);
        Ok(())
    }

    #[track_caller]
    fn apply(mut self, manager: &str, config: Value) -> Self {
        self.try_apply(manager, &config, false).unwrap();
        self
    }

    #[track_caller]
    fn force(mut self, manager: &str, config: Value) -> Self {
        self.try_apply(manager, &config, true).unwrap();
        self
    }

    /// Applying is refused, in these words, and changes nothing.
    #[track_caller]
    fn refused(mut self, manager: &str, config: Value, words: &str) -> Self {
        let error = self.try_apply(manager, &config, false).unwrap_err();
        assert_eq!(error.to_string(), words);
        self
    }

    /// Writes the whole object.
    fn put(mut self, manager: &str, mut object: Value) -> Self {
        let time = self.time();
        object["apiVersion"] = json!("apps/v1");
        object["metadata"]["name"] = json!("a");
        let writer = (!manager.is_empty()).then(|| self.writer(manager, &time));
        track(self.ty, self.object.as_ref(), &mut object, writer);
        self.object = Some(object);
        self
    }

    /// Writes one value.
    fn set(self, manager: &str, pointer: &str, value: Value) -> Self {
        let mut object = self.object.clone().unwrap_or_default();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match (object.pointer_mut(parent).unwrap(), name.parse::<usize>()) {
            (Value::Array(list), Ok(at)) if at < list.len() => list[at] = value,
            (Value::Array(list), _) => list.push(value),
            (parent, _) => parent[name] = value,
        }
        self.put(manager, object)
    }

    /// The definition says something else now.
    fn becomes(mut self, ty: Type<'static>) -> Self {
        self.ty = ty;
        self
    }

    /// Takes one value away.
    fn unset(self, manager: &str, pointer: &str) -> Self {
        let mut object = self.object.clone().unwrap_or_default();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Array(list) => drop(list.remove(name.parse().unwrap())),
            parent => drop(parent.as_object_mut().unwrap().remove(name)),
        }
        self.put(manager, object)
    }

    #[track_caller]
    fn is(self, mut expected: Value) -> Self {
        expected["apiVersion"] = json!("apps/v1");
        expected["metadata"]["name"] = json!("a");
        let mut found = self.object.clone().unwrap();
        take_managed_fields(&mut found);
        assert_eq!(found, expected);
        self
    }

    /// What a manager manages, exactly; `-` before the name: as an update.
    #[track_caller]
    fn owns(self, manager: &str, expected: &[&str]) -> Self {
        let (operation, name) = match manager.strip_prefix('-') {
            Some(name) => ("Update", name),
            None => ("Apply", manager),
        };
        let (name, part) = name.split_once('/').unwrap_or((name, ""));
        let entries = self.object.as_ref().unwrap()["metadata"]["managedFields"].clone();
        let found = entries.as_array().into_iter().flatten().find(|entry| {
            entry["manager"] == name
                && entry["operation"] == operation
                && entry["subresource"].as_str().unwrap_or_default() == part
        });
        let paths = match found {
            Some(entry) => FieldSet::decode(&entry["fieldsV1"]).unwrap().paths(),
            None => Vec::new(),
        };
        assert_eq!(paths, expected);
        self
    }

    fn managers(&self) -> Vec<String> {
        let entries = self.object.as_ref().unwrap()["metadata"]["managedFields"].clone();
        let name = |entry: &Value| entry["manager"].as_str().unwrap_or_default().to_owned();
        entries.as_array().into_iter().flatten().map(name).collect()
    }
}

fn life(ty: Type<'static>) -> Life {
    Life {
        ty,
        object: None,
        step: 0,
    }
}

fn map() -> Life {
    life(schema::type_of(kind::CONFIG_MAP))
}

fn deployment() -> Life {
    life(schema::type_of(kind::DEPLOYMENT))
}

fn pod() -> Life {
    life(schema::type_of(kind::POD))
}

fn service() -> Life {
    life(schema::type_of(kind::SERVICE))
}

fn scaler() -> Life {
    life(schema::type_of(kind::HORIZONTAL_POD_AUTOSCALER))
}

/// A custom kind with one field of each way to merge.
fn custom() -> Life {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let text = json!({"type": "string"});
        let rule = json!({"type": "object", "properties": {"host": text, "port": {"type": "integer", "default": 80}, "to": text}});
        json!({"type": "object", "properties": {
            "apiVersion": text, "kind": text, "metadata": {"type": "object"},
            "status": {"type": "object", "properties": {"phase": text}},
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
                "rules": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host", "port"], "items": rule},
                "list": {"type": "array", "items": text},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": text, "b": text}},
                "parts": {"type": "object", "properties": {"a": text, "b": text}},
                "labels": {"type": "object", "additionalProperties": text},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "port": {"x-kubernetes-int-or-string": true}
            }}}})
    });
    life(Type::new(None, schema))
}

fn data(data: Value) -> Value {
    json!({"data": data})
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn containers(containers: Value) -> Value {
    json!({"spec": {"containers": containers}})
}

macro_rules! cases {
    ($($name:ident: $case:expr;)*) => { $(
        #[test]
        fn $name() {
            $case;
        }
    )* };
}

// Fields and maps.
cases! {
    creates: map().apply("one", data(json!({"a": "1"}))).is(data(json!({"a": "1"}))).owns("one", &[".data.a"]);
    the_same_again_changes_nothing: {
        let once = map().apply("one", data(json!({"a": "1"})));
        let before = once.object.clone();
        assert_eq!(once.apply("one", data(json!({"a": "1"}))).object, before);
    };
    changes_its_own_field: map().apply("one", data(json!({"a": "1"}))).apply("one", data(json!({"a": "2"})))
        .is(data(json!({"a": "2"}))).owns("one", &[".data.a"]);
    removes_what_it_no_longer_applies: map().apply("one", data(json!({"a": "1", "b": "1"}))).apply("one", data(json!({"b": "1"})))
        .is(data(json!({"b": "1"}))).owns("one", &[".data.b"]);
    two_managers_of_different_fields: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"b": "2"})))
        .is(data(json!({"a": "1", "b": "2"}))).owns("one", &[".data.a"]).owns("two", &[".data.b"]);
    the_same_value_is_shared: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"a": "1"})))
        .owns("one", &[".data.a"]).owns("two", &[".data.a"]);
    another_value_conflicts: map().apply("one", data(json!({"a": "1"})))
        .refused("two", data(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"one\": .data.a")
        .is(data(json!({"a": "1"})));
    several_conflicts_are_listed: map().apply("one", data(json!({"a": "1", "b": "1"})))
        .refused("two", data(json!({"a": "2", "b": "2"})), "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b");
    conflicts_by_manager: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"b": "1"})))
        .refused("three", data(json!({"a": "2", "b": "2"})), "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\nconflicts with \"two\":\n- .data.b");
    a_conflict_with_an_update_names_its_version: map().put("edit", data(json!({"a": "1"})))
        .refused("one", data(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"edit\" using apps/v1: .data.a");
    a_conflict_with_a_part_names_it: deployment().apply("one", spec(json!({"paused": true}))).set("hpa/scale", "/spec/replicas", json!(3))
        .refused("one", spec(json!({"paused": true, "replicas": 1})),
            "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas");
    force_takes_fields: map().apply("one", data(json!({"a": "1", "b": "1"}))).force("two", data(json!({"a": "2"})))
        .is(data(json!({"a": "2", "b": "1"}))).owns("one", &[".data.b"]).owns("two", &[".data.a"]);
    force_may_leave_nothing: map().apply("one", data(json!({"a": "1"}))).force("two", data(json!({"a": "2"}))).owns("one", &[]);
    shared_fields_stay_when_one_lets_go: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"a": "1", "b": "1"})))
        .apply("two", data(json!({"b": "1"}))).is(data(json!({"a": "1", "b": "1"}))).owns("two", &[".data.b"]);
    the_last_to_let_go_removes: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"a": "1"})))
        .apply("one", json!({})).apply("two", json!({})).is(json!({}));
    a_shared_field_needs_all_to_agree: map().apply("one", data(json!({"a": "1"}))).apply("two", data(json!({"a": "1"})))
        .refused("two", data(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    an_empty_map_is_owned_itself: pod().apply("one", spec(json!({"volumes": [{"name": "v", "emptyDir": {}}]})))
        .owns("one", &[".spec.volumes[name=\"v\"]", ".spec.volumes[name=\"v\"].emptyDir", ".spec.volumes[name=\"v\"].name"]);
    labels_are_fields: map().apply("one", json!({"metadata": {"labels": {"x": "1"}}}))
        .owns("one", &[".metadata.labels.x"]);
    names_are_nobodys: map().apply("one", json!({"metadata": {"namespace": "n"}})).owns("one", &[]);
}

// Updates.
cases! {
    an_update_owns_what_it_makes: map().put("edit", data(json!({"a": "1"}))).owns("-edit", &[".data", ".data.a"]);
    an_update_takes_without_asking: map().apply("one", data(json!({"a": "1"}))).set("edit", "/data/a", json!("2"))
        .owns("one", &[]).owns("-edit", &[".data.a"]);
    what_an_update_leaves_stays: map().apply("one", data(json!({"a": "1", "b": "1"}))).set("edit", "/data/a", json!("2"))
        .owns("one", &[".data.b"]);
    updates_add_up: map().put("edit", data(json!({"a": "1"}))).set("edit", "/data/b", json!("1")).owns("-edit", &[".data", ".data.a", ".data.b"]);
    an_update_removes: map().apply("one", data(json!({"a": "1", "b": "1"}))).unset("edit", "/data/a").owns("one", &[".data.b"]).owns("-edit", &[]);
    nothing_changed_is_no_update: map().apply("one", data(json!({"a": "1"}))).set("edit", "/data/a", json!("1")).owns("-edit", &[]);
    apply_does_not_remove_what_an_update_added: map().apply("one", data(json!({"a": "1"}))).set("edit", "/data/b", json!("1"))
        .apply("one", data(json!({"a": "1"}))).is(data(json!({"a": "1", "b": "1"})));
    apply_after_its_field_was_taken_conflicts: map().apply("one", data(json!({"a": "1"}))).set("edit", "/data/a", json!("2"))
        .refused("one", data(json!({"a": "1"})), "Apply failed with 1 conflict: conflict with \"edit\" using apps/v1: .data.a");
    adopting_the_new_value_shares: map().apply("one", data(json!({"a": "1"}))).set("edit", "/data/a", json!("2"))
        .apply("one", data(json!({"a": "2"}))).owns("one", &[".data.a"]).owns("-edit", &[".data.a"]);
    a_field_taken_by_an_update_is_not_removed: map().apply("one", data(json!({"a": "1", "b": "1"}))).set("edit", "/data/a", json!("2"))
        .apply("one", data(json!({"b": "1"}))).is(data(json!({"a": "2", "b": "1"})));
    an_apply_and_an_update_of_one_name_are_two: map().put("one", data(json!({"a": "1"})))
        .refused("one", data(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"one\" using apps/v1: .data.a");
    a_part_is_a_manager_of_its_own: deployment().apply("one", spec(json!({"replicas": 1}))).set("one/scale", "/spec/replicas", json!(2))
        .owns("-one/scale", &[".spec.replicas"]).owns("one", &[]);
    letting_go_hands_over_to_a_controller: deployment().apply("one", spec(json!({"replicas": 1, "paused": true}))).set("hpa", "/spec/replicas", json!(3))
        .apply("one", spec(json!({"paused": true}))).is(spec(json!({"replicas": 3, "paused": true})));
    without_a_writer_fields_only_lose_managers: map().apply("one", data(json!({"a": "1"}))).set("", "/data/a", json!("2")).owns("one", &[]);
    what_the_system_made_has_no_managers: assert!(map().put("", data(json!({"a": "1"}))).managers().is_empty());
    an_update_of_untracked_stays_untracked: assert!(map().put("", data(json!({"a": "1"}))).set("edit", "/data/a", json!("2")).managers().is_empty());
    the_first_apply_finds_what_was_there: map().put("", data(json!({"a": "1", "b": "1"}))).apply("one", data(json!({"a": "1"})))
        .owns("-before-first-apply", &[".data", ".data.a", ".data.b"]).owns("one", &[".data.a"]);
    what_was_there_conflicts: map().put("", data(json!({"a": "1"})))
        .refused("one", data(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"before-first-apply\" using apps/v1: .data.a");
    managers_can_be_forgotten: assert!(map().apply("one", data(json!({"a": "1"}))).set("edit", "/metadata/managedFields", json!([{}])).managers().is_empty());
    managers_cannot_be_lost_by_silence: map().apply("one", data(json!({"a": "1"}))).unset("edit", "/metadata/managedFields").owns("one", &[".data.a"]);
    nonsense_managers_are_ignored: map().apply("one", data(json!({"a": "1"}))).set("edit", "/metadata/managedFields", json!([{"operation": "Eat"}]))
        .owns("one", &[".data.a"]);
}

// Lists.
const AB: [&str; 4] = [
    ".spec.containers[name=\"a\"]",
    ".spec.containers[name=\"a\"].image",
    ".spec.containers[name=\"a\"].name",
    ".spec.containers[name=\"b\"]",
];
cases! {
    list_items_have_owners: pod().apply("one", containers(json!([{"name": "a", "image": "x"}]))).owns("one", &AB[..3]);
    lists_merge_by_key: pod().apply("one", containers(json!([{"name": "a", "image": "x"}]))).apply("two", containers(json!([{"name": "b"}])))
        .is(containers(json!([{"name": "a", "image": "x"}, {"name": "b"}]))).owns("one", &AB[..3]);
    fields_of_one_item_have_owners: pod().apply("one", containers(json!([{"name": "a", "image": "x"}])))
        .apply("two", containers(json!([{"name": "a", "tty": true}])))
        .is(containers(json!([{"name": "a", "image": "x", "tty": true}])))
        .owns("two", &[".spec.containers[name=\"a\"]", ".spec.containers[name=\"a\"].name", ".spec.containers[name=\"a\"].tty"]);
    an_item_goes_with_its_last_owner: pod().apply("one", containers(json!([{"name": "a"}, {"name": "b"}]))).apply("one", containers(json!([{"name": "b"}])))
        .is(containers(json!([{"name": "b"}])));
    an_item_stays_for_another_owner: pod().apply("one", containers(json!([{"name": "a", "image": "x"}]))).apply("two", containers(json!([{"name": "a", "tty": true}])))
        .apply("one", json!({})).is(containers(json!([{"name": "a", "tty": true}])));
    // An update that changes an item does not own the item itself.
    an_item_goes_with_what_an_update_put_into_it: pod().apply("one", containers(json!([{"name": "a", "image": "x"}, {"name": "b"}])))
        .set("edit", "/spec/containers/0/tty", json!(true)).apply("one", containers(json!([{"name": "b"}])))
        .is(containers(json!([{"name": "b"}]))).owns("-edit", &[]);
    new_items_take_the_order_applied: pod().apply("one", containers(json!([{"name": "b"}, {"name": "a"}])))
        .apply("one", containers(json!([{"name": "a"}, {"name": "c"}, {"name": "b"}]))).is(containers(json!([{"name": "a"}, {"name": "c"}, {"name": "b"}])));
    items_of_others_keep_their_place: pod().apply("one", containers(json!([{"name": "x"}, {"name": "a"}, {"name": "y"}, {"name": "b"}])))
        .apply("two", containers(json!([{"name": "a"}, {"name": "n"}, {"name": "b"}])))
        .is(containers(json!([{"name": "x"}, {"name": "a"}, {"name": "y"}, {"name": "n"}, {"name": "b"}])));
    two_keys_tell_items_apart: service().apply("one", spec(json!({"ports": [{"port": 53, "protocol": "TCP", "name": "t"}]})))
        .apply("two", spec(json!({"ports": [{"port": 53, "protocol": "UDP", "name": "u"}]})))
        .is(spec(json!({"ports": [{"port": 53, "protocol": "TCP", "name": "t"}, {"port": 53, "protocol": "UDP", "name": "u"}]})));
    a_missing_key_counts_as_its_default: service().apply("one", spec(json!({"ports": [{"port": 53, "protocol": "TCP"}]})))
        .apply("two", spec(json!({"ports": [{"port": 53, "name": "t"}]})))
        .is(spec(json!({"ports": [{"port": 53, "protocol": "TCP", "name": "t"}]})));
    an_item_without_keys_is_refused: pod().refused("one", containers(json!([{"image": "x"}])),
        ".spec.containers: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)");
    two_items_of_one_key_are_refused: pod().refused("one", containers(json!([{"name": "a"}, {"name": "a"}])),
        ".spec.containers: duplicate entries for key [name=\"a\"]");
    duplicates_of_others_are_one: pod().put("edit", containers(json!([{"name": "a", "env": [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]}])))
        .apply("one", containers(json!([{"name": "a", "image": "x"}])))
        .is(containers(json!([{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]}])));
    atomic_lists_are_one_field: pod().apply("one", containers(json!([{"name": "a", "args": ["x", "y"]}])))
        .refused("two", containers(json!([{"name": "a", "args": ["x"]}])), "Apply failed with 1 conflict: conflict with \"one\": .spec.containers[name=\"a\"].args");
    atomic_lists_are_replaced: pod().apply("one", containers(json!([{"name": "a", "args": ["x", "y"]}]))).apply("one", containers(json!([{"name": "a", "args": ["z"]}])))
        .is(containers(json!([{"name": "a", "args": ["z"]}])));
    sets_merge: pod().apply("one", json!({"metadata": {"finalizers": ["a/x"]}})).apply("two", json!({"metadata": {"finalizers": ["a/y"]}}))
        .is(json!({"metadata": {"finalizers": ["a/x", "a/y"]}})).owns("two", &[".metadata.finalizers[=\"a/y\"]"]);
    an_element_of_a_set_goes: pod().apply("one", json!({"metadata": {"finalizers": ["a/x", "a/y"]}})).apply("one", json!({"metadata": {"finalizers": ["a/y"]}}))
        .is(json!({"metadata": {"finalizers": ["a/y"]}}));
    an_emptied_list_goes: pod().apply("one", json!({"metadata": {"finalizers": ["a/x"]}})).apply("one", json!({})).is(json!({}));
    atomic_maps_are_one_field: pod().apply("one", spec(json!({"nodeSelector": {"a": "1"}}))).owns("one", &[".spec.nodeSelector"])
        .refused("two", spec(json!({"nodeSelector": {"b": "1"}})), "Apply failed with 1 conflict: conflict with \"one\": .spec.nodeSelector");
    atomic_maps_are_replaced: service().apply("one", spec(json!({"selector": {"a": "1"}}))).apply("one", spec(json!({"selector": {"b": "1"}})))
        .is(spec(json!({"selector": {"b": "1"}})));
}

// Custom kinds.
cases! {
    custom_fields: custom().apply("one", spec(json!({"size": 1}))).apply("two", spec(json!({"labels": {"a": "1"}})))
        .is(spec(json!({"size": 1, "labels": {"a": "1"}}))).owns("one", &[".spec.size"]).owns("two", &[".spec.labels.a"]);
    custom_conflicts: custom().apply("one", spec(json!({"size": 1})))
        .refused("two", spec(json!({"size": 2})), "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    custom_sets: custom().apply("one", spec(json!({"tags": ["a", "b"]}))).apply("two", spec(json!({"tags": ["c"]})))
        .apply("one", spec(json!({"tags": ["b"]}))).is(spec(json!({"tags": ["b", "c"]})));
    custom_maps_of_two_keys: custom().apply("one", spec(json!({"rules": [{"host": "a", "to": "x"}]})))
        .apply("two", spec(json!({"rules": [{"host": "a", "port": 80, "to": "x"}, {"host": "a", "port": 81}]})))
        .owns("one", &[".spec.rules[host=\"a\",port=80]", ".spec.rules[host=\"a\",port=80].host", ".spec.rules[host=\"a\",port=80].to"]);
    custom_lists_are_atomic: custom().apply("one", spec(json!({"list": ["a"]})))
        .refused("two", spec(json!({"list": ["b"]})), "Apply failed with 1 conflict: conflict with \"one\": .spec.list");
    custom_atomic_maps: custom().apply("one", spec(json!({"whole": {"a": "1"}})))
        .refused("two", spec(json!({"whole": {"b": "1"}})), "Apply failed with 1 conflict: conflict with \"one\": .spec.whole");
    custom_parts: custom().apply("one", spec(json!({"parts": {"a": "1"}}))).apply("two", spec(json!({"parts": {"b": "1"}})))
        .apply("one", json!({})).is(spec(json!({"parts": {"b": "1"}})));
    custom_free_fields_are_deduced: custom().apply("one", spec(json!({"free": {"x": {"y": 1}, "l": [1]}})))
        .apply("two", spec(json!({"free": {"x": {"z": 2}}}))).is(spec(json!({"free": {"x": {"y": 1, "z": 2}, "l": [1]}})));
    custom_ports: custom().apply("one", spec(json!({"port": 80}))).apply("one", spec(json!({"port": "http"}))).is(spec(json!({"port": "http"})));
    a_part_leaves_what_it_leaves: custom().apply("one/status", json!({"metadata": {"labels": {"a": "1"}, "annotations": {"b": "1"}}, "spec": {"size": 1}, "status": {"phase": "Y"}}))
        .is(json!({"metadata": {"annotations": {"b": "1"}}, "status": {"phase": "Y"}})).owns("one/status", &[".metadata.annotations", ".metadata.annotations.b", ".status.phase"]);
    what_was_there_is_a_parts_own: custom().put("", json!({"spec": {"size": 1}, "status": {"phase": "X"}})).apply("one/status", json!({"status": {"phase": "X"}}))
        .owns("-before-first-apply/status", &[".status", ".status.phase"]);
    a_status_that_is_no_part: custom().apply("one/whole", json!({"spec": {"size": 1}, "status": {"phase": "X"}}))
        .is(json!({"spec": {"size": 1}, "status": {"phase": "X"}})).owns("one/whole", &[".spec.size", ".status.phase"]);
    custom_status_is_a_part: custom().apply("one", json!({"spec": {"size": 1}, "status": {"phase": "X"}})).is(spec(json!({"size": 1})))
        .apply("one/status", json!({"spec": {"size": 2}, "status": {"phase": "Y"}}))
        .is(json!({"spec": {"size": 1}, "status": {"phase": "Y"}})).owns("one/status", &[".status.phase"]).owns("one", &[".spec.size"]);
    what_the_system_told_stays: pod().apply("make", spec(json!({"nodeName": "n"})))
        .put("", json!({"metadata": {"annotations": {"told": "1"}}, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}))
        .apply("gate/status", json!({"metadata": {"annotations": {"own": "1"}}, "status": {"conditions": [{"type": "Gate", "status": "True", "reason": "x"}]}}))
        .put("", json!({"metadata": {"annotations": {"told": "1", "own": "1"}}, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "Gate", "status": "True", "reason": "x", "message": "told"}]}}))
        .apply("gate/status", json!({}))
        .is(json!({"metadata": {"annotations": {"told": "1"}}, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}));
    labels_that_the_system_made_stay: deployment().apply("one", spec(json!({"paused": true, "template": {"metadata": {}}})))
        .put("", spec(json!({"paused": true, "template": {"metadata": {"labels": {"made": "1"}}}})))
        .apply("one", spec(json!({"paused": true}))).is(spec(json!({"paused": true, "template": {"metadata": {"labels": {"made": "1"}}}})));
    defaults_go_with_their_field: pod().apply("one", spec(json!({"nodeName": "n", "dnsConfig": {"searches": ["a"]}})))
        .put("", spec(json!({"nodeName": "n", "dnsConfig": {"searches": ["a"], "nameservers": ["told"]}})))
        .apply("one", spec(json!({"nodeName": "n"}))).is(spec(json!({"nodeName": "n"})));
    custom_unknown_fields_are_refused: custom().refused("one", spec(json!({"sizes": 1})), ".spec.sizes: field not declared in schema");
    custom_wrong_types_are_refused: custom().refused("one", spec(json!({"size": "x", "list": {}})),
        "errors:\n  .spec.list: expected list, got &{{}}\n  .spec.size: expected numeric (int or float), got string");
}

// Maps that are applied empty, and filled in by defaults or by others.
cases! {
    what_defaults_fill_in_stays: custom().apply("one", spec(json!({"parts": {}})))
        .set("", "/spec/parts", json!({"a": "1", "b": "2"}))
        .apply("one", spec(json!({"parts": {}}))).is(spec(json!({"parts": {"a": "1", "b": "2"}}))).owns("one", &[".spec.parts"])
        .apply("one", spec(json!({"parts": {}}))).is(spec(json!({"parts": {"a": "1", "b": "2"}})));
    what_others_fill_in_stays: custom().apply("one", spec(json!({"labels": {}}))).apply("two", spec(json!({"labels": {"a": "1"}})))
        .apply("one", spec(json!({"labels": {}}))).is(spec(json!({"labels": {"a": "1"}}))).owns("two", &[".spec.labels.a"]);
    of_a_map_that_is_emptied_only_its_own_goes: custom().apply("one", spec(json!({"parts": {"a": "1"}}))).set("", "/spec/parts/b", json!("2"))
        .apply("one", spec(json!({"parts": {}}))).is(spec(json!({"parts": {"b": "2"}})));
    // As upstream: nothing of it is left, and nothing is what a schema makes of it.
    a_map_that_is_emptied_is_nothing: custom().apply("one", spec(json!({"labels": {"a": "1"}, "size": 1})))
        .apply("one", spec(json!({"labels": {}, "size": 1}))).is(spec(json!({"labels": null, "size": 1}))).owns("one", &[".spec.labels", ".spec.size"]);
    a_map_that_is_applied_no_more_goes: custom().apply("one", spec(json!({"parts": {}, "size": 1}))).set("", "/spec/parts", json!({"a": "1"}))
        .apply("one", spec(json!({"size": 1}))).is(spec(json!({"size": 1})));
    behaviour_stays: scaler().apply("one", spec(json!({"behavior": {"scaleUp": {}}})))
        .set("", "/spec/behavior", json!({"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}))
        .apply("one", spec(json!({"behavior": {"scaleUp": {}}})))
        .is(spec(json!({"behavior": {"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}})));
    all_behaviour_stays: scaler().apply("one", spec(json!({"behavior": {}})))
        .set("", "/spec/behavior", json!({"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}))
        .apply("one", spec(json!({"behavior": {}})))
        .is(spec(json!({"behavior": {"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}})));
    resources_stay: pod().apply("one", containers(json!([{"name": "a", "resources": {}}])))
        .set("", "/spec/containers/0/resources", json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}))
        .apply("one", containers(json!([{"name": "a", "resources": {}}])))
        .is(containers(json!([{"name": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}])));
    an_item_of_defaults_only_stays: service().apply("one", spec(json!({"ports": [{}]})))
        .set("", "/spec/ports/0/name", json!("n")).apply("one", spec(json!({"ports": [{}]})))
        .is(spec(json!({"ports": [{"name": "n"}]})));
}

/// As many items as a body holds, in the other order: each is looked up, never searched for.
#[test]
fn long_lists_are_merged() {
    const LONG: usize = 20_000;
    let names: Vec<String> = (0..LONG).map(|n| format!("a.io/{n}")).collect();
    let rules: Vec<Value> = (0..LONG)
        .map(|n| json!({"host": format!("h{n}"), "port": 80}))
        .collect();
    let (names_back, rules_back) = (
        names.iter().rev().collect::<Vec<_>>(),
        rules.iter().rev().collect::<Vec<_>>(),
    );
    let cases = [
        (
            custom(),
            spec(json!({"tags": names, "rules": rules})),
            spec(json!({"tags": names_back, "rules": rules_back})),
        ),
        (
            map(),
            json!({"metadata": {"finalizers": names}}),
            json!({"metadata": {"finalizers": names_back}}),
        ),
    ];
    for (life, forth, back) in cases {
        let life = life.apply("one", forth).apply("two", back.clone());
        life.apply("two", back.clone()).is(back);
    }
}

// Odds and ends.
cases! {
    managers_in_a_configuration_are_refused: map().refused("one", json!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil");
    wrong_types_are_refused: deployment().refused("one", spec(json!({"paused": "yes"})), ".spec.paused: expected boolean, got &{\"yes\"}");
    kubectl_takes_over_its_annotation: {
        let last = json!({"apiVersion": "apps/v1", "metadata": {"name": "a"}, "data": {"a": "1"}}).to_string();
        let object = json!({"metadata": {"annotations": {LAST_APPLIED: last}}, "data": {"a": "1"}});
        let taken = map().put("kubectl-client-side-apply", object).apply("kubectl", data(json!({"a": "2"})));
        let object = taken.object.as_ref().unwrap();
        assert_eq!(object["data"]["a"], "2");
        assert!(object["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap().contains("\"2\""));
    };
    the_annotation_has_what_was_applied: {
        let object = json!({"metadata": {"annotations": {LAST_APPLIED: "{}"}}, "data": {"a": "1"}});
        let taken = map().put("kubectl-client-side-apply", object).force("kubectl", data(json!({"a": "2"})));
        let text = r#"{"apiVersion":"apps/v1","data":{"a":"2"},"metadata":{"name":"a"}}"#;
        assert_eq!(taken.object.unwrap()["metadata"]["annotations"][LAST_APPLIED], format!("{text}\n"));
    };
    others_do_not_take_over: {
        let last = json!({"apiVersion": "apps/v1", "metadata": {"name": "a"}, "data": {"a": "1"}}).to_string();
        let object = json!({"metadata": {"annotations": {LAST_APPLIED: last}}, "data": {"a": "1"}});
        map().put("kubectl-client-side-apply", object).refused("flux", data(json!({"a": "2"})),
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .data.a");
    };
    many_updates_are_put_together: {
        let mut object = map().put("u0", data(json!({"k0": "1"})));
        for index in 1..14 {
            object = object.set(&format!("u{index}"), &format!("/data/k{index}"), json!("1"));
        }
        let managers = object.managers();
        assert_eq!(managers.len(), 10, "{managers:?}");
        assert_eq!(managers[0], "ancient-changes");
        object.owns("-ancient-changes", &[".data", ".data.k0", ".data.k1", ".data.k2", ".data.k3", ".data.k4"]);
    };
    applies_come_first_then_the_oldest: {
        let object = map().put("z", data(json!({"a": "1"}))).set("y", "/data/b", json!("1")).apply("x", data(json!({"c": "1"})));
        assert_eq!(object.managers(), ["x", "z", "y"]);
    };
    the_causes_name_manager_and_field: {
        let mut object = map().apply("one", data(json!({"a": "1"})));
        let causes = object.try_apply("two", &data(json!({"a": "2"})), false).unwrap_err().causes();
        assert_eq!(causes.len(), 1);
        assert_eq!((causes[0].reason, &*causes[0].message, &*causes[0].field), ("FieldManagerConflict", "conflict with \"one\"", ".data.a"));
    };
    a_label_with_dots_is_one_field: map().apply("one", json!({"metadata": {"labels": {"a.b/c": "1"}}})).owns("one", &[".metadata.labels.a.b/c"]);
}

/// A list and a map that merge like this.
fn merging(list: &str, map: &str) -> Type<'static> {
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {
        "apiVersion": text, "metadata": {"type": "object"},
        "tags": {"type": "array", "x-kubernetes-list-type": list, "items": text},
        "parts": {"type": "object", "x-kubernetes-map-type": map, "properties": {"a": text, "b": text}},
    }});
    Type::new(None, Box::leak(Box::new(schema)))
}

// Definitions that change. As upstream: what had parts becomes one value, and not the other way round.
cases! {
    a_set_becomes_whole: life(merging("set", "granular")).apply("a", json!({"tags": ["x"]})).apply("b", json!({"tags": ["z"]}))
        .becomes(merging("atomic", "granular"))
        .refused("a", json!({"tags": ["x"]}), "Apply failed with 1 conflict: conflict with \"b\": .tags")
        .force("a", json!({"tags": ["x"]})).is(json!({"tags": ["x"]})).owns("a", &[".tags"]).owns("b", &[]);
    a_map_becomes_whole: life(merging("set", "granular")).apply("a", json!({"parts": {"a": "1"}})).apply("b", json!({"parts": {"b": "1"}}))
        .becomes(merging("set", "atomic"))
        .refused("a", json!({"parts": {"a": "1"}}), "Apply failed with 1 conflict: conflict with \"b\": .parts");
    an_update_takes_what_became_whole: life(merging("set", "granular")).apply("a", json!({"tags": ["x"]})).apply("b", json!({"tags": ["z"]}))
        .becomes(merging("atomic", "granular"))
        .set("edit", "/tags", json!(["y"])).owns("a", &[]).owns("b", &[]).owns("-edit", &[".tags"]);
    a_whole_list_gets_parts: life(merging("atomic", "atomic")).apply("a", json!({"tags": ["x", "y"]}))
        .becomes(merging("set", "granular"))
        .apply("a", json!({"tags": ["x"]})).is(json!({"tags": ["x", "y"]})).owns("a", &[".tags[=\"x\"]"]);
    a_whole_map_gets_parts: life(merging("atomic", "atomic")).apply("a", json!({"parts": {"a": "1", "b": "1"}}))
        .becomes(merging("set", "granular"))
        .apply("a", json!({"parts": {"a": "1"}})).is(json!({"parts": {"a": "1", "b": "1"}})).owns("a", &[".parts.a"]);
}

#[test]
fn fields_are_written_as_upstream_writes_them() {
    let object = pod()
        .apply(
            "one",
            containers(json!([{"name": "a", "ports": [{"containerPort": 80}]}])),
        )
        .object
        .unwrap();
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{"manager": "one", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:01Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:ports": {
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}])
    );
}

#[test]
fn items_keep_what_tells_them_apart() {
    let ty = schema::type_of(kind::POD);
    let env = |name: &str| json!({"name": name, "value": "1"});
    let with_env = |env: Value| json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "env": env}]}});
    let mut live = with_env(json!([env("A")]));
    // Whoever wrote this manages the item and its value, and not its name.
    live["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1":
        {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:value": {}}}}}}}}]);
    let writer = Writer {
        manager: "one",
        api_version: "v1",
        subresource: "",
        leaves: &[],
        time: "t",
    };
    let config = with_env(json!([env("B")]));
    let once = apply(ty, &live, &config, writer, true).unwrap();
    assert_eq!(apply(ty, &once, &config, writer, false), Ok(once));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// Objects with the names of a pod in any place, so that walks get far before they fail.
    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[ab]".prop_map(Value::from),
        ];
        let name = prop::sample::select(vec![
            "spec",
            "containers",
            "name",
            "ports",
            "containerPort",
            "protocol",
            "env",
            "metadata",
            "labels",
            "finalizers",
            "args",
            "nodeSelector",
            "volumes",
            "emptyDir",
            "ownerReferences",
            "uid",
            "status",
            "conditions",
            "type",
        ]);
        leaf.prop_recursive(6, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        objects().prop_map(|value| match value {
            Value::Object(mut map) => {
                map.insert("metadata".to_owned(), json!({"name": "a"}));
                Value::Object(map)
            }
            other => json!({"metadata": {"name": "a"}, "spec": {"containers": other}}),
        })
    }

    proptest! {
        #[test]
        fn whatever_is_applied_twice_is_applied_once(live in object(), config in object()) {
            let ty = schema::type_of(kind::POD);
            let writer = Writer { manager: "one", api_version: "v1", subresource: "", leaves: &[], time: "t" };
            // Who applied nothing at all manages nothing, and is new the next time.
            let once = apply(ty, &live, &config, writer, true);
            if let Some(once) = once.ok().filter(|once| once["metadata"].get("managedFields").is_some()) {
                let twice = apply(ty, &once, &config, writer, false);
                prop_assert_eq!(twice, Ok(once));
            }
        }

        #[test]
        fn updates_never_fail(live in object(), new in object(), fields in objects()) {
            let ty = schema::type_of(kind::POD);
            let writer = Writer { manager: "one", api_version: "v1", subresource: "", leaves: &[], time: "t" };
            let (mut live, mut new) = (live, new);
            live["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]);
            track(ty, Some(&live), &mut new, Some(writer));
            prop_assert!(Managed::decode(&new).is_ok());
        }
    }
}
