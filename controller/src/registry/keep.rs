//! What is in memory only, and that no start can make anew any more.

use super::{
    Registry,
    commit::{Decision, Target},
};
use crate::{cache::ChangeKind, object::Object};
use coracle_api::{Key, KindRef, StatusError};
use std::sync::Arc;

impl Registry {
    /// Puts an object on disk as it is, if the disk does not have it. What is there already is not written again.
    ///
    /// # Errors
    /// 404 when there is no such object.
    pub async fn keep(&self, kind: KindRef, key: &Key) -> Result<Arc<Object>, StatusError> {
        self.committer
            .write(kind, key, Target::Disk, |current, others| {
                let current = current.ok_or_else(|| StatusError::not_found(kind, &key.name))?;
                if !others.is_in_memory(kind, key) {
                    return Ok(Decision::Keep(current));
                }
                Ok(Decision::Put(ChangeKind::Modified, current.value()))
            })
            .await
    }
}
