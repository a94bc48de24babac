//! What a component is to us: a command or an HTTP server.
//!
//! Only the words for it; how it is found out is `compile::inspect` (from wasm) and `Module`
//! (from compiled code).

/// How a container of this code is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Runs once and ends: `wasi:cli/run`, or a preview 1 core module.
    Command,
    /// Serves requests until it is stopped: a `wasi:http` handler.
    Http,
}

/// Decides the shape from the names of a component's exports.
///
/// A component that exports both is a server: the handler is the more specific promise.
pub(crate) fn of_exports<'a>(exports: impl IntoIterator<Item = &'a str>) -> Option<Shape> {
    let mut shape = None;
    for name in exports {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        let preview2 = version.starts_with("0.2.");
        let preview3 = version.starts_with("0.3.");
        match interface {
            "wasi:http/incoming-handler" if preview2 => return Some(Shape::Http),
            "wasi:http/handler" if preview3 => return Some(Shape::Http),
            "wasi:cli/run" if preview2 || preview3 => shape = Some(Shape::Command),
            _ => {}
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_follows_the_exports() {
        let cases: [(&[&str], Option<Shape>); 6] = [
            (&["wasi:cli/run@0.2.0"], Some(Shape::Command)),
            (&["wasi:cli/run@0.3.0"], Some(Shape::Command)),
            (&["wasi:http/incoming-handler@0.2.3"], Some(Shape::Http)),
            (
                &["wasi:cli/run@0.2.0", "wasi:http/handler@0.3.0"],
                Some(Shape::Http),
            ),
            (&["wasi:cli/run@0.1.0"], None),
            (&["my:own/thing"], None),
        ];
        for (exports, expect) in cases {
            assert_eq!(of_exports(exports.iter().copied()), expect, "{exports:?}");
        }
    }
}
