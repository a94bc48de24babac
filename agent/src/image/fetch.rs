//! stub
use super::{
    PullError,
    cache::{Cache, Entry},
};
use crate::link_client::Link;
use coracle_link::pod::Pod;
use std::path::PathBuf;
pub(super) async fn fetch(
    _link: &Link,
    _cache: &Cache,
    _pod: &Pod,
    _image: &str,
    _target: &str,
    _compat: &str,
) -> Result<(Entry, PathBuf), PullError> {
    Err(PullError::pull("x"))
}
