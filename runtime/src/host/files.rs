//! Open files, counted over all instances of a container.
//!
//! The kernel's table of files is the agent's, shared by all pods: one guest must not fill it. Only
//! `open-at` and the end of a descriptor are ours; all else of `wasi:filesystem` is wasmtime-wasi's.

use crate::instance::State;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceType},
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemView as _},
    p2::bindings::filesystem::types::{
        DescriptorFlags, ErrorCode, Host as _, HostDescriptor, OpenFlags, PathFlags,
    },
};

/// Open files of one container. A process on Linux may have 1024 by default; a guest that needs
/// more is more likely broken.
const OPEN_FILES_MAX: u32 = 1024;
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";

/// The files of one instance; given back to the container on drop.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    container: Arc<AtomicU32>,
    own: HashSet<u32>,
}

impl OpenFiles {
    pub(crate) fn new(container: Arc<AtomicU32>) -> Self {
        Self {
            container,
            own: HashSet::new(),
        }
    }

    /// Takes a place for one more file, if the container has one.
    fn take(&self) -> bool {
        self.container
            .try_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < OPEN_FILES_MAX).then_some(open + 1)
            })
            .is_ok()
    }

    fn give_back(&self, files: u32) {
        self.container.fetch_sub(files, Ordering::AcqRel);
    }

    /// The descriptor is gone; one that was never counted (a mounted directory) is nobody's.
    fn closed(&mut self, descriptor: u32) {
        if self.own.remove(&descriptor) {
            self.give_back(1);
        }
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        // Never more than `OPEN_FILES_MAX`.
        self.give_back(u32::try_from(self.own.len()).unwrap_or(0));
    }
}

type Open = (
    Resource<Descriptor>,
    PathFlags,
    String,
    OpenFlags,
    DescriptorFlags,
);

/// Shadows the stock functions; the linker must allow it.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(INTERFACE)?;
    types.func_wrap_async("[method]descriptor.open-at", |store, arguments: Open| {
        Box::new(async move { Ok((open_at(store, arguments).await?,)) })
    })?;
    types.resource_async(
        "descriptor",
        ResourceType::host::<Descriptor>(),
        |mut store, descriptor| {
            Box::new(async move {
                let state = store.data_mut();
                state.files().closed(descriptor);
                HostDescriptor::drop(&mut state.filesystem(), Resource::new_own(descriptor))
            })
        },
    )
}

async fn open_at(
    mut store: StoreContextMut<'_, State>,
    (directory, path_flags, path, open_flags, flags): Open,
) -> wasmtime::Result<Result<Resource<Descriptor>, ErrorCode>> {
    let state = store.data_mut();
    if !state.files().take() {
        return Ok(Err(ErrorCode::Quota));
    }
    let mut view = state.filesystem();
    let opened = view
        .open_at(directory, path_flags, path, open_flags, flags)
        .await;
    match opened {
        Ok(file) => {
            state.files().own.insert(file.rep());
            Ok(Ok(file))
        }
        Err(error) => {
            let code = view.convert_error_code(error);
            state.files().give_back(1);
            code.map(Err)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_one_count() {
        let count = Arc::new(AtomicU32::new(OPEN_FILES_MAX - 2));
        let mut one = OpenFiles::new(Arc::clone(&count));
        let other = OpenFiles::new(Arc::clone(&count));
        assert!(one.take() && other.take() && !one.take());
        one.own.insert(7);
        one.closed(8);
        assert!(!other.take(), "a directory that was mounted is not counted");
        one.closed(7);
        assert!(one.take());
        one.own.insert(9);
        drop(one);
        assert!(other.take());
    }
}
