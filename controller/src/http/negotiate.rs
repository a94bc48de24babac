//! What a client accepts: plain JSON, a table, or metadata alone.
//!
//! Pure. JSON is preferred to protobuf wherever a client takes both: objects are kept as JSON, and
//! sending them costs nothing then. CBOR is not spoken.

use super::{error, query::Query};
use coracle_api::{KindRef, protobuf, schema::go_package, status::StatusError};

/// The media type of YAML.
pub(crate) const YAML: &str = "application/yaml";

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
        ["application/json", "application/*", "*/*", "*"]
            .iter()
            .any(|media| self.media.eq_ignore_ascii_case(media))
    }
}

/// The ranges of an `Accept` header, best first; none given means anything.
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
        .collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// The best shape this server can answer in; none means 406. Custom objects have no protobuf.
pub(crate) fn format(accept: &str, has_protobuf: bool) -> Option<Format> {
    ranges(accept)
        .iter()
        .filter(|range| range.takes_json())
        .find_map(|range| {
            let wanted = range.parameter("as");
            if wanted.is_empty() {
                return Some(Format::Json);
            }
            let meta = match (range.parameter("g"), range.parameter("v")) {
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
        })
        .or_else(|| {
            let found = translations(accept);
            let mut spoken = found
                .iter()
                .filter(|other| has_protobuf || **other == Translation::Yaml);
            spoken.next().map(|_other| Format::Json)
        })
}

/// An encoding that an answer in JSON is translated to on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Translation {
    Protobuf,
    Yaml,
}

/// The encodings of whole objects that both sides speak, best first, for a client that takes no JSON.
pub(crate) fn translations(accept: &str) -> Vec<Translation> {
    let ranges = ranges(accept);
    if ranges.iter().any(Range::takes_json) {
        return Vec::new();
    }
    let whole = ranges
        .iter()
        .filter(|range| range.parameter("as").is_empty());
    let spoken = whole.filter_map(|range| match range.media.to_ascii_lowercase().as_str() {
        protobuf::MEDIA_TYPE => Some(Translation::Protobuf),
        YAML => Some(Translation::Yaml),
        _ => None,
    });
    spoken.collect()
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
            ("application/yaml;as=Table;g=meta.k8s.io;v=v1", None),
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
        assert_eq!(
            translations(both),
            [Translation::Protobuf, Translation::Yaml]
        );
        assert_eq!(translations("application/yaml,application/json"), []);
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
}
