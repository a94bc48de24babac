//! Where in an object something is, as a list on the stack: a text only when there is an error.

use std::fmt;

/// A place below a root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Root(&'a str),
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The whole object.
    pub(super) const ROOT: Path<'static> = Path {
        parent: None,
        segment: Segment::Root(""),
    };

    /// Starts at a named place.
    pub(super) fn at(text: &'a str) -> Self {
        Self {
            parent: None,
            segment: Segment::Root(text),
        }
    }

    /// `.name`
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            segment: Segment::Field(name),
        }
    }

    /// `[key]`
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self {
            parent: Some(self),
            segment: Segment::Key(key),
        }
    }

    /// `[0]`
    pub(super) fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            segment: Segment::Index(index),
        }
    }

    /// As an error's field: upstream prints the root of an object as `<nil>`.
    pub(super) fn to_field(self) -> String {
        let text = self.to_string();
        if text.is_empty() {
            "<nil>".to_owned()
        } else {
            text
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut segments = Vec::new();
        let mut place = Some(self);
        while let Some(path) = place {
            segments.push(path.segment);
            place = path.parent;
        }
        let mut empty = true;
        for segment in segments.iter().rev() {
            match segment {
                Segment::Root(text) => f.write_str(text)?,
                Segment::Field(name) if empty => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Key(key) => write!(f, "[{key}]")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
            empty &= matches!(segment, Segment::Root(""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_upstream() {
        let spec = Path::ROOT.field("spec");
        let items = spec.field("items");
        assert_eq!(items.index(3).field("a").to_string(), "spec.items[3].a");
        assert_eq!(items.key("x y").to_field(), "spec.items[x y]");
        assert_eq!(Path::ROOT.to_field(), "<nil>");
        assert_eq!(
            Path::at("spec.versions[0]").field("name").to_field(),
            "spec.versions[0].name"
        );
    }
}
