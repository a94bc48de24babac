//! How deep values nest.

use serde_json::Value;

/// Levels of lists and objects in each other at most: a reader of JSON refuses one more. Upstream's goes to 10,000
/// levels: nobody needs them, and whoever walks over a value does it on a small stack.
pub const DEPTH_MAX: usize = 127;

/// Whether a value has more than so many levels. Looks no deeper than them.
#[must_use]
pub fn is_deeper(value: &Value, levels: usize) -> bool {
    let inside = |value: &Value| is_deeper(value, levels.saturating_sub(1));
    match value {
        Value::Array(list) => levels == 0 || list.iter().any(inside),
        Value::Object(map) => levels == 0 || map.values().any(inside),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn levels_are_counted() {
        for (value, depth) in [
            (json!(1), 0),
            (json!([]), 1),
            (json!({"a": "{[{["}), 1),
            (json!({"a": [1, {}], "b": 2}), 3),
        ] {
            assert!(!is_deeper(&value, depth), "{value}");
            assert!(depth == 0 || is_deeper(&value, depth - 1), "{value}");
        }
    }

    #[test]
    fn what_is_not_deeper_can_be_read_and_what_is_cannot() {
        for (depth, can) in [(DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let value = (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
            let read = serde_json::from_str::<Value>(&value.to_string());
            assert_eq!(read.is_ok(), can, "{depth}");
            assert_eq!(is_deeper(&value, DEPTH_MAX), !can, "{depth}");
        }
    }
}
