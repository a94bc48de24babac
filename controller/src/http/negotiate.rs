//! What a client accepts: plain JSON, a table, or metadata alone; as JSON, YAML or protobuf.
//!
//! Pure. JSON is preferred wherever a client names it as an equal: objects are kept as JSON, and
//! sending them costs nothing then. CBOR is not spoken.

use super::{error, query::Query};
use coracle_api::{KindRef, protobuf, schema::go_package, status::StatusError};
use serde_json::Value;

/// The media type of YAML.
pub(crate) const YAML: &str = "application/yaml";
/// Ranges of an `Accept` header that are looked at; kubectl sends three.
const RANGES_MAX: usize = 64;

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The objects themselves.
    Json,
    /// `Table` of this version.
    Table(Meta),
    /// `PartialObjectMetadata` of this version, or its list.
    Metadata(Meta, Of),
}

/// A version of `meta.k8s.io`; the older one has the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    V1,
    V1Beta1,
}

impl Meta {
    /// As objects say it.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What metadata are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    One,
    List,
}

impl Format {
    /// Whether an answer is of this shape.
    pub(crate) fn is_of(self, answer: &Value) -> bool {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_meta = text("apiVersion").starts_with("meta.k8s.io/");
        let is = |kind: &str| is_meta && text("kind") == kind;
        let is_metadata = is("PartialObjectMetadata") || is("PartialObjectMetadataList");
        match self {
            Self::Json => !is("Table") && !is_metadata,
            Self::Table(_) => is("Table"),
            Self::Metadata(..) => is_metadata,
        }
    }

    /// Refuses the form of a list for one object, and the other way round; of a table, to carry what there is not.
    ///
    /// Source: k8s.io/apiserver `pkg/endpoints/handlers/response.go`.
    pub(crate) fn check(
        self,
        kind: KindRef,
        is_list: bool,
        query: &Query,
    ) -> Result<(), StatusError> {
        let package = go_package(kind.group);
        let name = if is_list {
            kind.list_name()
        } else {
            kind.kind.to_owned()
        };
        let not_acceptable = |asked: &str, is: &str| {
            let message = format!(
                "you requested {asked}, but the requested object is {is} (*{package}.{name})"
            );
            Err(error::status(406, "NotAcceptable", message))
        };
        match self {
            Self::Metadata(_, Of::One) if is_list => {
                not_acceptable("PartialObjectMetadata", "a list")
            }
            Self::Metadata(_, Of::List) if !is_list => {
                not_acceptable("PartialObjectMetadataList", "not a list")
            }
            Self::Table(_) => match query.get("includeObject") {
                None | Some("None" | "Metadata" | "Object") => Ok(()),
                Some(other) => Err(error::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
                ))),
            },
            _ => Ok(()),
        }
    }
}

/// An encoding that an answer is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
    Yaml,
}

/// One range of an `Accept` header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range<'a> {
    /// `application/json`, lower or upper case as sent.
    pub(crate) media: &'a str,
    /// `as`, `v`, `g`, ...
    pub(crate) parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Range<'a> {
    /// A parameter, or empty.
    pub(crate) fn parameter(&self, name: &str) -> &'a str {
        self.parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    /// Whether JSON is in the range.
    pub(crate) fn takes_json(&self) -> bool {
        self.is_open() || self.names("application/json")
    }

    /// The first of our encodings that is in the range.
    pub(crate) fn encoding(&self) -> Option<Encoding> {
        if self.takes_json() {
            Some(Encoding::Json)
        } else if self.names(YAML) {
            Some(Encoding::Yaml)
        } else if self.names(protobuf::MEDIA_TYPE) {
            Some(Encoding::Protobuf)
        } else {
            None
        }
    }

    /// Names no encoding.
    fn is_open(&self) -> bool {
        ["application/*", "*/*", "*"]
            .iter()
            .any(|media| self.names(media))
    }

    fn names(&self, media: &str) -> bool {
        self.media.eq_ignore_ascii_case(media)
    }

    fn format(&self) -> Option<Format> {
        let wanted = self.parameter("as");
        if wanted.is_empty() {
            return Some(Format::Json);
        }
        let meta = match (self.parameter("g"), self.parameter("v")) {
            ("meta.k8s.io", "v1") => Meta::V1,
            ("meta.k8s.io", "v1beta1") => Meta::V1Beta1,
            _ => return None,
        };
        match wanted {
            "Table" => Some(Format::Table(meta)),
            "PartialObjectMetadata" => Some(Format::Metadata(meta, Of::One)),
            "PartialObjectMetadataList" => Some(Format::Metadata(meta, Of::List)),
            _ => None,
        }
    }

    fn choice(&self) -> Option<Choice> {
        let (format, encoding) = (self.format()?, self.encoding()?);
        let is_known = match format {
            // What upstream has no protobuf of.
            Format::Table(_) | Format::Metadata(Meta::V1Beta1, _) => encoding != Encoding::Protobuf,
            Format::Json | Format::Metadata(Meta::V1, _) => true,
        };
        is_known.then_some(Choice { format, encoding })
    }
}

/// The ranges of an `Accept` header, best first, as named before as open; none given means anything.
///
/// Source: github.com/munnerz/goautoneg.
pub(crate) fn ranges(accept: &str) -> Vec<Range<'_>> {
    let accept = if accept.trim().is_empty() {
        "*/*"
    } else {
        accept
    };
    let mut ranges: Vec<Range<'_>> = accept
        .split(',')
        .filter_map(|part| {
            let mut words = part.split(';').map(str::trim);
            let media = words.next().filter(|media| !media.is_empty())?;
            let parameters: Vec<_> = words
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
                .collect();
            let quality = parameters
                .iter()
                .find(|(name, _)| *name == "q")
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(1.0);
            Some(Range {
                media,
                parameters,
                quality,
            })
        })
        .filter(|range| range.quality > 0.0)
        .take(RANGES_MAX)
        .collect();
    ranges.sort_by(|a, b| {
        let better = b.quality.total_cmp(&a.quality);
        better.then(a.is_open().cmp(&b.is_open()))
    });
    ranges
}

/// A shape in an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
}

/// What a client takes of what this server has, best first. Where JSON is named as an equal, nothing else is chosen.
pub(crate) fn choices(accept: &str) -> Vec<Choice> {
    let ranges = ranges(accept);
    let is_chosen = |range: &&Range<'_>| {
        let is_as_good = |other: &Range<'_>| {
            other.names("application/json")
                && other.quality.total_cmp(&range.quality).is_eq()
                && other.format() == range.format()
        };
        range.encoding() == Some(Encoding::Json) || !ranges.iter().any(is_as_good)
    };
    ranges
        .iter()
        .filter(is_chosen)
        .filter_map(Range::choice)
        .collect()
}

/// The best that this server can answer with; none means 406. Whole custom objects have no protobuf.
pub(crate) fn choice(accept: &str, has_protobuf: bool) -> Option<Choice> {
    choices(accept).into_iter().find(|choice| {
        has_protobuf || choice.encoding != Encoding::Protobuf || choice.format != Format::Json
    })
}

/// The shape of [`choice`].
pub(crate) fn format(accept: &str, has_protobuf: bool) -> Option<Format> {
    choice(accept, has_protobuf).map(|choice| choice.format)
}

/// Whether the client takes one of our encodings of what has no table.
pub(crate) fn takes_untabled(accept: &str) -> bool {
    choices(accept)
        .iter()
        .any(|choice| !matches!(choice.format, Format::Table(_)))
}

/// Whether the client takes whole objects in one of our encodings.
pub(crate) fn takes_whole(accept: &str) -> bool {
    choices(accept)
        .iter()
        .any(|choice| choice.format == Format::Json)
}

/// Whether plain JSON will do.
pub(crate) fn takes_json(accept: &str) -> bool {
    ranges(accept)
        .iter()
        .any(|range| range.takes_json() && range.parameter("as").is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let cases = [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/json", Some(Format::Json)),
            ("application/vnd.kubernetes.protobuf", Some(Format::Json)),
            (
                "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1",
                None,
            ),
            ("application/cbor", None),
            ("application/yaml", Some(Format::Json)),
            (
                "application/yaml;as=Table;g=meta.k8s.io;v=v1",
                Some(Format::Table(Meta::V1)),
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some(Format::Json),
            ),
            (table, Some(Format::Table(Meta::V1))),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some(Format::Metadata(Meta::V1, Of::List)),
            ),
            (
                "application/json;as=Nonsense;g=meta.k8s.io;v=v1,application/json",
                Some(Format::Json),
            ),
            ("application/json;as=Table;g=other;v=v1", None),
            ("application/json;q=0", None),
            ("text/html;q=0.9,*/*;q=0.1", Some(Format::Json)),
            ("application/json;stream=watch", Some(Format::Json)),
            (";;,,=", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(format(accept, true), expected, "{accept}");
        }
        let both = "application/vnd.kubernetes.protobuf,application/yaml;q=0.5";
        for (accept, expected) in [
            ("application/vnd.kubernetes.protobuf", None),
            (both, Some(Format::Json)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some(Format::Json),
            ),
            (table, Some(Format::Table(Meta::V1))),
        ] {
            assert_eq!(format(accept, false), expected, "{accept}");
        }
    }

    #[test]
    fn encodings() {
        use Encoding::{Json, Protobuf, Yaml};
        let metadata =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let either =
            format!("{metadata},application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        let cases: [(&str, &[Encoding]); 10] = [
            ("", &[Json]),
            (
                "application/vnd.kubernetes.protobuf,application/yaml;q=0.5",
                &[Protobuf, Yaml],
            ),
            ("application/yaml,application/json", &[Json]),
            (
                "application/json;q=0.5,application/yaml;q=0.9",
                &[Yaml, Json],
            ),
            (
                "application/json;q=0.1, application/vnd.kubernetes.protobuf;q=0.9",
                &[Protobuf, Json],
            ),
            (
                "application/json;q=0.9,application/yaml;q=0.5",
                &[Json, Yaml],
            ),
            ("*/*,application/yaml", &[Yaml, Json]),
            ("application/yaml;as=Table;g=meta.k8s.io;v=v1", &[Yaml]),
            (metadata, &[Protobuf]),
            (&either, &[Json]),
        ];
        for (accept, expected) in cases {
            let found: Vec<Encoding> = choices(accept).iter().map(|c| c.encoding).collect();
            assert_eq!(found, expected, "{accept}");
        }
    }
}
