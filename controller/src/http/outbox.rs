//! Room for large events on their way to clients.
//!
//! A client that does not read keeps in memory what it was sent last. What many watches share is counted once, and no
//! client takes more room than it leaves (`fairness.rs`). A watch for which there is none waits, and costs nothing: it is
//! a position in the log.

use super::fairness::{Client, Seat, Seats, client, is_system};
use crate::auth::UserInfo;
use coracle_api::Revision;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak},
};

/// Bytes that one seat is good for.
const BYTES_PER_SEAT: usize = 64 * 1024;
/// 64 MiB; those of nodes and administrators are as many again.
const SEATS: usize = 1024;

/// All room of the endpoint.
#[derive(Debug)]
pub(crate) struct Outbox {
    seats: [Seats; 2],
    shared: Shared,
}

/// What several watches send, while one of them has it.
type Shared = Arc<Mutex<HashMap<Id, Weak<Room>>>>;

/// An object in an encoding of which there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) revision: Revision,
    pub(crate) form: Form,
}

/// The encodings that watches share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As it is stored.
    Json,
    /// Metadata alone.
    Metadata,
    Protobuf,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            seats: [Seats::new(SEATS), Seats::new(SEATS)],
            shared: Shared::default(),
        }
    }
}

impl Outbox {
    /// What a user sends through.
    pub(crate) fn sender(&self, user: &UserInfo, address: IpAddr) -> Sender {
        Sender {
            client: client(user, address),
            seats: self.seats[usize::from(is_system(user))].clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

/// One client's part of it.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    seats: Seats,
    shared: Shared,
}

impl Sender {
    /// Room for so many bytes, held while the result lives; what has a name takes it once. None when there is no room now.
    pub(crate) fn room(&self, id: Option<Id>, bytes: usize) -> Option<Arc<Room>> {
        let mut shared = self.shared.lock();
        if let Some(room) = id.and_then(|id| shared.get(&id)?.upgrade()) {
            return Some(room);
        }
        let seats = bytes.div_ceil(BYTES_PER_SEAT);
        let seat = self.seats.take(self.client.clone(), seats).ok()?;
        let room = Arc::new(Room {
            id,
            of: Arc::clone(&self.shared),
            _seat: seat,
        });
        if let Some(id) = id {
            shared.insert(id, Arc::downgrade(&room));
        }
        Some(room)
    }
}

/// Room that is taken.
#[derive(Debug)]
pub(crate) struct Room {
    id: Option<Id>,
    of: Shared,
    _seat: Seat,
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        let mut shared = self.of.lock();
        // Somebody may have taken room for the same again.
        if shared.get(&id).is_some_and(|room| room.strong_count() == 0) {
            shared.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn sender(outbox: &Outbox, name: &str) -> Sender {
        outbox.sender(&UserInfo::new(name, []), IpAddr::from([127, 0, 0, 1]))
    }

    fn id(revision: u64, form: Form) -> Option<Id> {
        Some(Id {
            revision: Revision(revision),
            form,
        })
    }

    #[test]
    fn what_is_shared_takes_room_once() {
        let outbox = Outbox::default();
        let (one, other) = (sender(&outbox, "one"), sender(&outbox, "other"));
        let same: Vec<_> = (0..1000)
            .map(|_| one.room(id(1, Form::Json), MIB).unwrap())
            .collect();
        let others = other.room(id(1, Form::Json), MIB).unwrap();
        assert!(Arc::ptr_eq(&same[0], &others));
        let encoded = one.room(id(1, Form::Protobuf), MIB).unwrap();
        assert!(!Arc::ptr_eq(&same[0], &encoded));

        drop((same, encoded));
        assert_eq!(outbox.shared.lock().len(), 1);
        drop(others);
        assert!(outbox.shared.lock().is_empty());
    }

    #[test]
    fn no_client_takes_more_than_it_leaves() {
        let outbox = Outbox::default();
        let (flood, other) = (sender(&outbox, "flood"), sender(&outbox, "other"));
        let mut held: Vec<_> = (0..=u64::MAX)
            .map_while(|revision| flood.room(id(revision, Form::Json), MIB))
            .collect();
        assert_eq!(held.len(), 32);
        assert!(flood.room(None, MIB).is_none());
        assert!(other.room(None, MIB).is_some());
        held.pop();
        assert!(flood.room(None, MIB).is_some());
    }
}
