//! `$(NAME)` in values, arguments and paths, to the letter as upstream.
//!
//! Source: k8s.io/kubernetes `third_party/forked/golang/expansion`.

/// Replaces each `$(NAME)` that `lookup` knows; the others stay. `$$` is a plain dollar.
pub(super) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some((name, more)) = after.strip_prefix('(').and_then(|x| x.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = more;
        } else {
            out.push('$');
            rest = after;
            // Whatever follows stands for itself, a second dollar aside.
            if let Some(next) = after.chars().next() {
                out.push(next);
                rest = &after[next.len_utf8()..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let lookup = |name: &str| match name {
            "A" => Some("1"),
            "B" => Some("$(A)"),
            "EMPTY" => Some(""),
            _ => None,
        };
        assert_eq!(expand(text, lookup), expect, "{text}");
    }

    #[test]
    fn as_upstream() {
        check("", "");
        check("$(A)", "1");
        check("x$(A)y$(A)", "x1y1");
        check("$(B)", "$(A)");
        check("$(EMPTY)", "");
        check("$(NO)", "$(NO)");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$1");
        check("$$$$(A)", "$$(A)");
        check("$A", "$A");
        check("$", "$");
        check("$(A", "$(A");
        check("$(", "$(");
        check("a$", "a$");
        check("$()", "$()");
        check("ü$(A)ü$ü", "ü1ü$ü");
    }
}
