//! The decoded forms that were made last: whoever looks at a new object finds them, and old objects are not held in
//! two forms.
//!
//! One place for the process: objects know nothing of each other, and it is bounded by a number.

use parking_lot::Mutex;
use std::{any::Any, collections::VecDeque, sync::Arc};

/// The typed form of some object.
pub(super) type Decoded = dyn Any + Send + Sync;

/// Forms that are kept: some 8 kB each for pods. All pods of a small cluster.
pub(super) const OBJECTS_MAX: usize = 1024;

static RECENT: Mutex<VecDeque<Arc<Decoded>>> = Mutex::new(VecDeque::new());

/// Keeps a form until as many others were made.
pub(super) fn keep(form: Arc<Decoded>) {
    let mut recent = RECENT.lock();
    recent.push_back(form);
    let oldest = if recent.len() > OBJECTS_MAX {
        recent.pop_front()
    } else {
        None
    };
    drop(recent);
    // A large form takes its time to go.
    drop(oldest);
}
