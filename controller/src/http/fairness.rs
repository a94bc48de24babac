//! Who gets a seat: no client takes them all from the others.
//!
//! A request takes seats while it is answered and its answer is sent, a stream while it is open, a connection
//! while it lives. A client never holds more than is left free after it: one that floods gets half of a pool,
//! two a third each, and whoever comes next is served. There is no queue: clients come back after a 429.

use crate::{
    auth::{MASTERS, UserInfo},
    pki::NODES,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

/// Seats of requests being answered; as upstream's limit. Those of nodes and administrators are as many again.
const REQUEST_SEATS: usize = 400;
/// Seats of watches and other streams: each holds a task and buffers of some 50 KiB.
const STREAM_SEATS: usize = 4096;
/// Objects that one seat of a list is good for.
const OBJECTS_PER_SEAT: usize = 500;
/// What the largest list takes; as upstream.
const LIST_SEATS_MAX: usize = 10;
/// Bytes that one seat of an answer is good for that is held whole until it was sent.
const BYTES_PER_SEAT: usize = 1 << 20;
/// Bytes that one seat of a list is good for that is made while it is sent: its objects stay in memory until then.
const STREAMED_BYTES_PER_SEAT: usize = 8 << 20;
/// What the largest such answer takes.
const WHOLE_SEATS_MAX: usize = 100;

/// Who is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// A user by name.
    User(String),
    /// An address: somebody without a name, or a connection.
    Address(IpAddr),
}

/// Why there was no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client has its share.
    Share,
    /// All are taken.
    Full,
}

impl Refusal {
    /// What was not to be had, as it is counted.
    pub(crate) const fn of(self, sort: Sort) -> &'static str {
        match (sort, self) {
            (Sort::Request(_), Self::Share) => "requests of the client",
            (Sort::Request(_), Self::Full) => "requests",
            (Sort::Stream, Self::Share) => "streams of the client",
            (Sort::Stream, Self::Full) => "streams",
        }
    }
}

/// What a request takes seats of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A request that is answered and done, and how many seats it takes.
    Request(usize),
    /// One that goes on.
    Stream,
}

/// All seats of the endpoint.
#[derive(Debug)]
pub(crate) struct Fairness {
    requests: [Seats; 2],
    streams: [Seats; 2],
}

impl Default for Fairness {
    fn default() -> Self {
        let two = |total| [Seats::new(total), Seats::new(total)];
        Self {
            requests: two(REQUEST_SEATS),
            streams: two(STREAM_SEATS),
        }
    }
}

impl Fairness {
    /// Seats for a request of a user, held while the result lives.
    pub(crate) fn seat(
        &self,
        user: &UserInfo,
        address: IpAddr,
        sort: Sort,
    ) -> Result<Seat, Refusal> {
        let client = client(user, address);
        let pool = usize::from(is_system(user));
        match sort {
            Sort::Request(seats) => self.requests[pool].take(client, seats),
            Sort::Stream => self.streams[pool].take(client, 1),
        }
    }
}

/// Who is counted.
pub(super) fn client(user: &UserInfo, address: IpAddr) -> Client {
    if user.is_anonymous() {
        Client::Address(address)
    } else {
        Client::User(user.name.clone())
    }
}

/// Nodes and administrators, whom nobody else's flood may keep out.
pub(super) fn is_system(user: &UserInfo) -> bool {
    let groups = &user.groups;
    groups
        .iter()
        .any(|group| group == MASTERS || group == NODES)
}

/// How many seats a request takes: a list is as much work as there are objects, and as much memory as it is bytes, fewer
/// of those that are made while they are sent.
pub(crate) fn width(verb: &str, objects: usize, bytes: usize, is_streamed: bool) -> usize {
    match verb {
        "list" => {
            let work = (1 + objects / OBJECTS_PER_SEAT).min(LIST_SEATS_MAX);
            let memory = if is_streamed {
                (bytes / STREAMED_BYTES_PER_SEAT).min(WHOLE_SEATS_MAX)
            } else {
                whole_width(bytes)
            };
            work.max(memory)
        }
        _ => 1,
    }
}

/// How many an answer takes that is held whole.
pub(crate) fn whole_width(bytes: usize) -> usize {
    (bytes / BYTES_PER_SEAT).min(WHOLE_SEATS_MAX)
}

/// A pool of seats. A clone is another handle to it.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Mutex<Pool>>);

impl Seats {
    pub(crate) fn new(total: usize) -> Self {
        Self(Arc::new(Mutex::new(Pool {
            free: total,
            held: HashMap::new(),
        })))
    }

    /// Seats of this pool for a client, held while the result lives.
    pub(crate) fn take(&self, client: Client, seats: usize) -> Result<Seat, Refusal> {
        self.0.lock().take(&client, seats)?;
        Ok(Seat {
            of: self.clone(),
            client,
            seats,
        })
    }
}

/// Seats that somebody has.
#[derive(Debug)]
pub(crate) struct Seat {
    of: Seats,
    client: Client,
    seats: usize,
}

impl Seat {
    /// More of the same, until it is so many in all.
    pub(crate) fn widen(&mut self, seats: usize) -> Result<(), Refusal> {
        if let Some(more) = seats.checked_sub(self.seats).filter(|more| *more > 0) {
            self.of.0.lock().take(&self.client, more)?;
            self.seats = seats;
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.of.0.lock().give(&self.client, self.seats);
    }
}

/// The decision. A client without a seat is not in it: it is as small as what is taken.
#[derive(Debug)]
struct Pool {
    free: usize,
    held: HashMap<Client, usize>,
}

impl Pool {
    fn take(&mut self, client: &Client, seats: usize) -> Result<(), Refusal> {
        if seats > self.free {
            return Err(Refusal::Full);
        }
        let held = self.held.get(client).copied().unwrap_or(0);
        // The first is everybody's, as long as there is one.
        if held > 0 && held + seats > self.free {
            return Err(Refusal::Share);
        }
        self.free -= seats;
        *self.held.entry(client.clone()).or_default() += seats;
        Ok(())
    }

    fn give(&mut self, client: &Client, seats: usize) {
        if let Entry::Occupied(mut held) = self.held.entry(client.clone()) {
            let left = held.get().saturating_sub(seats);
            self.free += held.get() - left;
            match left {
                0 => {
                    held.remove();
                }
                left => *held.get_mut() = left,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Client {
        Client::User(name.to_owned())
    }

    /// Clients that ask for one seat after the other until they are refused; what each got, and how many are free.
    #[track_caller]
    fn check(total: usize, clients: &[&str], got: &[usize], free: usize) {
        let mut pool = Pool {
            free: total,
            held: HashMap::new(),
        };
        let mut refused = true;
        while refused {
            refused = false;
            for name in clients {
                refused |= pool.take(&user(name), 1).is_ok();
            }
        }
        let held = clients
            .iter()
            .map(|name| pool.held.get(&user(name)).copied());
        let held: Vec<usize> = held.map(Option::unwrap_or_default).collect();
        assert_eq!((held.as_slice(), pool.free), (got, free), "{clients:?}");
    }

    #[test]
    fn a_flood_leaves_as_much_as_it_takes() {
        check(400, &["a"], &[200], 200);
        check(400, &["a", "b"], &[134, 133], 133);
        check(400, &["a", "b", "c"], &[100, 100, 100], 100);
        check(1, &["a", "b"], &[1, 0], 0);
        check(3, &["a", "b"], &[1, 1], 1);
    }

    #[test]
    fn who_is_refused_and_why() {
        let seats = Seats::new(8);
        let held: Vec<Seat> = (0..4).map(|_| seats.take(user("a"), 1).unwrap()).collect();
        assert_eq!(seats.take(user("a"), 1).err(), Some(Refusal::Share));
        // Others are served, also with something large.
        let large = seats.take(user("b"), 3).unwrap();
        assert_eq!(seats.take(user("b"), 1).err(), Some(Refusal::Share));
        assert_eq!(seats.take(user("c"), 2).err(), Some(Refusal::Full));
        drop(large);
        drop(held);
        let mut narrow = seats.take(user("a"), 2).unwrap();
        assert_eq!(narrow.widen(7).err(), Some(Refusal::Share));
        narrow.widen(4).unwrap();
        narrow.widen(1).unwrap();
        assert_eq!((narrow.seats, seats.0.lock().free), (4, 4));
        drop(narrow);
        let pool = seats.0.lock();
        assert_eq!((pool.free, pool.held.len()), (8, 0));
    }

    #[test]
    fn system_has_seats_of_its_own() {
        let fairness = Fairness::default();
        let address = IpAddr::from([127, 0, 0, 1]);
        let user = |name: &str, group: &str| UserInfo::new(name, [group.to_owned()]);
        let mut held = Vec::new();
        for n in 0.. {
            let flood = user(&format!("u{n}"), "people");
            match fairness.seat(&flood, address, Sort::Request(LIST_SEATS_MAX)) {
                Ok(seat) => held.push(seat),
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Full);
                    break;
                }
            }
        }
        assert_eq!(held.len(), REQUEST_SEATS / LIST_SEATS_MAX);
        for (name, group) in [("system:node:a", NODES), ("admin", MASTERS)] {
            let seat = fairness.seat(&user(name, group), address, Sort::Request(1));
            assert!(seat.is_ok(), "{name}");
        }
        // Streams are counted apart, and strangers by where they are.
        let stranger = UserInfo::anonymous();
        assert!(fairness.seat(&stranger, address, Sort::Stream).is_ok());
    }

    #[test]
    fn lists_take_what_they_cost() {
        for (verb, objects, bytes, whole, streamed) in [
            ("list", 0, 0, 1, 1),
            ("list", 499, 1 << 20, 1, 1),
            ("list", 500, 0, 2, 2),
            ("list", 1_000_000, 0, 10, 10),
            ("list", 50, 20 << 20, 20, 2),
            ("list", 1_000_000, 1 << 40, 100, 100),
            ("get", 1_000_000, 1 << 40, 1, 1),
        ] {
            let width = |is_streamed| width(verb, objects, bytes, is_streamed);
            let seats = (width(false), width(true));
            assert_eq!(seats, (whole, streamed), "{verb} of {objects}");
        }
    }
}
