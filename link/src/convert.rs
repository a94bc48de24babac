//! Wire types to inner types and back. Towards the inside every field is checked; towards the wire nothing can fail.
//!
//! A missing required field, a number out of range or an unknown enum value is an error that names the field.

mod node;
mod pod;
mod status;

use crate::pb;

/// Why a message can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field that must be set is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number does not fit.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// An enum value this version does not know.
    #[error("{0} has a value that is not known")]
    Unknown(&'static str),
    /// A path that leaves its folder.
    #[error("{0} is not a relative path without \"..\"")]
    Path(&'static str),
}

/// A required text.
fn text(value: String, field: &'static str) -> Result<String, DecodeError> {
    if value.is_empty() {
        return Err(DecodeError::Missing(field));
    }
    Ok(value)
}

/// A port from 1.
fn port(value: u32, field: &'static str) -> Result<u16, DecodeError> {
    match u16::try_from(value) {
        Ok(0) | Err(_) => Err(DecodeError::Range(field)),
        Ok(port) => Ok(port),
    }
}

fn pairs(list: Vec<pb::KeyValue>) -> Vec<(String, String)> {
    list.into_iter()
        .map(|pair| (pair.key, pair.value))
        .collect()
}

fn key_values(list: &[(String, String)]) -> Vec<pb::KeyValue> {
    list.iter()
        .map(|(key, value)| pb::KeyValue {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// All of a list, or the first error.
fn all<W, T: TryFrom<W, Error = DecodeError>>(list: Vec<W>) -> Result<Vec<T>, DecodeError> {
    list.into_iter().map(T::try_from).collect()
}

#[cfg(test)]
mod tests;
