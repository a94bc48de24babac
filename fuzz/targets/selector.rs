//! A selector of labels and one of fields.

#![no_main]

use coracle_api::selector::{FieldSelector, LabelSelector};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (labels, fields) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(selector) = LabelSelector::parse(labels) {
        let some = BTreeMap::from([("a", "b"), ("app", "web"), ("n", "5")]);
        let some = some
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let _either = selector.matches(&some);
        assert!(!selector.is_empty() || selector.matches(&BTreeMap::new()));
    }
    if let Ok(selector) = FieldSelector::parse(fields) {
        let known = ["metadata.name", "metadata.namespace", "spec.nodeName"];
        let _either = selector.check(&known);
        let _either = selector.matches(str::to_owned);
        let _perhaps = (selector.name(), selector.required("spec.nodeName"));
    }
});
