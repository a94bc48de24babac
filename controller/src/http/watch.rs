//! WATCH: the cache's change log as JSON lines.
//!
//! A watch is a position in the log, not a queue: it costs nothing while nothing changes, and a
//! client that is too slow finds its position gone and gets 410. Never loses or repeats a change, and never
//! sends one that its user may not see any more.

use super::{
    Body, Call, State, error,
    list::{snapshot, wait_for},
    negotiate::{self, Encoding, Format, Meta},
    outbox::{Form, Id, Room, Sender},
    pieces::{CHUNK_BYTES, Pieces},
    query::ListOptions,
    render::{Include, Render},
    respond,
    right::Right,
    route::RequestInfo,
    select::Selection,
};
use crate::{
    cache::{Cache, Change, ChangeKind},
    kinds::{self, Custom},
    metrics::{Held, Metrics},
    object::Object,
};
use bytes::Bytes;
use coracle_api::{KindRef, Revision, go::to_json, protobuf, status::StatusError};
use coracle_daemon::Clock;
use http::{Response, StatusCode, header};
use rand::Rng as _;
use serde_json::Value;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// A bookmark is owed at least each minute.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(50);
/// Without `timeoutSeconds` a watch ends between this and twice this; as upstream.
const TIMEOUT_MIN: Duration = Duration::from_secs(30 * 60);
/// Nobody watches for longer than this without asking again.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A watch that has seen changes rests for this long for each watch that is open: under a storm of writes the work for
/// all of them grows with the time, not with the writes. With few watches it is too short to be kept.
const REST_EACH: Duration = Duration::from_micros(35);
/// A watch that comes late from its rest, because the processors had other work, rests longer by so many times as much: watches
/// must not keep the writes waiting that they tell of.
const REST_OF_DELAY: u32 = 2;
/// The longest rest, and the shortest that a timer keeps.
const REST_MAX: Duration = Duration::from_millis(250);
const REST_MIN: Duration = Duration::from_millis(2);
/// A watch that finds no room for a large event looks for it again after this: looking costs as much as it is behind.
const ROOM_PERIOD: Duration = Duration::from_secs(1);
/// What an event of JSON is beside its object.
const EVENT_BYTES: usize = 32;

/// Answers a WATCH.
pub(crate) async fn watch(
    state: &State,
    kind: KindRef,
    info: &RequestInfo,
    call: &Call,
    format: Format,
) -> Result<Response<Body>, StatusError> {
    let (namespace, query) = (&info.namespace, &call.query);
    let choice = negotiate::choice(call.accept(), !kind.is_custom());
    let is_protobuf = match choice.map(|choice| choice.encoding) {
        Some(Encoding::Json) => false,
        Some(Encoding::Protobuf) => true,
        // YAML has no frames.
        Some(Encoding::Yaml) | None => return Err(error::not_acceptable_stream()),
    };
    let mut options = ListOptions::parse(query, true)?;
    if !info.name.is_empty() {
        // The old form of one object.
        let separator = if options.field_selector.is_empty() {
            ""
        } else {
            ","
        };
        options.field_selector += &format!("{separator}metadata.name={}", info.name);
    }
    let cache = state.registry.cache().clone();
    let mut watch = Watch {
        selection: Selection::new(cache.kinds(), kind, namespace, &options)?,
        custom: cache.kinds().custom_of(kind),
        stored: cache.kinds().custom_of(kind.storage()),
        defined: cache.kinds().generation(),
        kind,
        format,
        protobuf: is_protobuf,
        include: Include::parse(query.get("includeObject")),
        clock: state.registry.clock().clone(),
        newest: cache.newest(),
        position: cache.revision(),
        initial: Vec::new().into_iter(),
        initial_end: false,
        bookmarks: options.bookmarks,
        next_bookmark: Instant::now() + BOOKMARK_PERIOD,
        deadline: Instant::now() + lifetime(options.timeout_secs),
        rested: Instant::now(),
        delay: Duration::ZERO,
        first: true,
        failed: None,
        ended: false,
        stop: state.tasks.stop().clone(),
        metrics: state.metrics.clone(),
        right: Right::new(state, info, call),
        sender: state.outbox.sender(&call.own, call.peer.address.ip()),
        ready: Vec::new().into_iter(),
        _open: state.metrics.watcher(),
        cache,
    };
    if let Err(not_yet) = watch.until_fresh(&options).await {
        watch.failed = Some(not_yet);
    } else {
        watch.begin(&options);
    }
    let pieces = futures_util::stream::unfold(watch, |mut watch| async move {
        watch
            .next()
            .await
            .map(|piece| (Ok::<_, io::Error>(piece), watch))
    });
    let mut response = respond::json_bytes(StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::stream(pieces);
    if is_protobuf {
        let media = format!("{};stream=watch", protobuf::MEDIA_TYPE);
        respond::set(&mut response, header::CONTENT_TYPE, &media);
    }
    Ok(response)
}

fn lifetime(timeout_secs: Option<u64>) -> Duration {
    match timeout_secs {
        Some(seconds) => Duration::from_secs(seconds).min(TIMEOUT_MAX),
        // Spread, so that clients that came together do not come back together.
        None => TIMEOUT_MIN.mul_f64(rand::rng().random_range(1.0..2.0)),
    }
}

/// How long a watch rests when it has seen all there was; it came this late from its last rest.
fn rest(open_watches: u32, delay: Duration) -> Duration {
    let rest = REST_EACH.saturating_mul(open_watches);
    let rest = rest.saturating_add(delay.saturating_mul(REST_OF_DELAY));
    let rest = rest.min(REST_MAX);
    if rest < REST_MIN {
        Duration::ZERO
    } else {
        rest
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one loop"
)]
struct Watch {
    cache: Cache,
    kind: KindRef,
    custom: Option<Arc<Custom>>,
    /// What makes the version custom that is stored.
    stored: Option<Arc<Custom>>,
    /// Generation of the custom kinds at which that was so.
    defined: u64,
    selection: Selection,
    format: Format,
    /// Frames of protobuf instead of lines of JSON.
    protobuf: bool,
    include: Include,
    clock: Clock,
    newest: Receiver<Revision>,
    /// Every change up to here has been sent, or was not selected.
    position: Revision,
    /// What existed at the start and is still to be sent.
    initial: std::vec::IntoIter<Arc<Object>>,
    /// A bookmark that ends the initial events is owed.
    initial_end: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// Nothing is sent before.
    rested: Instant,
    /// How late it came from its last rest.
    delay: Duration,
    /// No table has been sent yet.
    first: bool,
    failed: Option<StatusError>,
    ended: bool,
    stop: CancellationToken,
    metrics: Metrics,
    right: Right,
    /// Where large events find room.
    sender: Sender,
    /// What is made and still to be sent.
    ready: std::vec::IntoIter<Bytes>,
    _open: Held,
}

/// How far it came.
enum Came {
    /// To the end of what there is.
    Through,
    /// As far as is sent at once.
    Part,
    /// To something large, for which there is no room now.
    NoRoom,
}

impl Watch {
    /// Who wants the state at a version or later, with a bookmark that ends it, gets none that is older.
    async fn until_fresh(&self, options: &ListOptions) -> Result<(), StatusError> {
        match options.resource_version {
            Some(wanted) if options.send_initial_events == Some(true) && options.bookmarks => {
                wait_for(&self.cache, Revision(wanted)).await
            }
            _ => Ok(()),
        }
    }

    /// Decides where to start: with the state, or after a revision.
    fn begin(&mut self, options: &ListOptions) {
        let state_first = match options.send_initial_events {
            Some(wanted) => wanted,
            None => options.resource_version.unwrap_or(0) == 0,
        };
        self.initial_end = options.send_initial_events == Some(true) && options.bookmarks;
        if !state_first {
            // `sendInitialEvents=false` without a version starts at the newest.
            if let Some(version) = options.resource_version.filter(|version| *version > 0) {
                self.position = Revision(version);
            }
            return;
        }
        match snapshot(
            &self.cache,
            self.kind,
            self.selection.namespace.as_deref(),
            None,
        ) {
            Ok((objects, revision)) => {
                let selection = &self.selection;
                let selected: Vec<_> = objects
                    .into_iter()
                    .filter(|object| selection.matches(object))
                    .collect();
                self.initial = selected.into_iter();
                self.position = revision;
            }
            Err(_too_old) => {
                self.failed = Some(error::too_old(self.position, self.cache.revision()));
            }
        }
    }

    /// The next piece; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.ready.next() {
            return Some(piece);
        }
        let mut out = Pieces::default();
        while out.is_empty() && !self.ended {
            self.ask_again();
            if let Some(failure) = self.failed.take() {
                self.ended = true;
                let failure = failure.to_json().to_string();
                self.line(&mut out, "ERROR", failure.into());
                break;
            }
            let now = Instant::now();
            if now >= self.rested {
                self.go_on(&mut out, now);
                if self.ended {
                    break;
                }
            }
            // A busy cluster must put off neither the end nor the bookmarks.
            self.ended |= now >= self.deadline;
            if self.is_bookmark_due(now) {
                self.bookmark(&mut out, false);
            }
            if !self.ended && out.is_empty() && self.failed.is_none() {
                self.wait(now).await;
            }
        }
        self.ready = out.finish();
        self.ready.next()
    }

    /// Makes what there is now, and says when to look again.
    fn go_on(&mut self, out: &mut Pieces, now: Instant) {
        let before = self.position;
        let came = if self.is_starting() {
            self.send_initial(out)
        } else {
            self.look_again();
            if self.ended || self.failed.is_some() {
                return;
            }
            self.send_changes(out)
        };
        self.rested = match came {
            Came::Through if self.position > before => {
                now + rest(self.metrics.open_watches(), self.delay)
            }
            Came::Through | Came::Part => return,
            Came::NoRoom => now + ROOM_PERIOD,
        };
    }

    /// Whether something of what was there at the start is still to be sent.
    fn is_starting(&self) -> bool {
        self.initial.len() > 0 || self.initial_end
    }

    fn is_bookmark_due(&self, now: Instant) -> bool {
        let is_due = self.ended || now >= self.next_bookmark;
        self.bookmarks && is_due && !self.is_starting()
    }

    /// Until there may be something to do.
    async fn wait(&mut self, now: Instant) {
        // Level, not edge: a change between the last look and this wait is seen at once.
        let position = self.position;
        let is_resting = now < self.rested;
        tokio::select! {
            seen = self.newest.wait_for(|newest| *newest > position), if !is_resting => {
                self.ended |= seen.is_err();
            }
            () = sleep_until(self.rested), if is_resting => self.delay = self.rested.elapsed(),
            // What is due then is done at the top of the loop.
            () = sleep_until(self.next_bookmark), if self.bookmarks && !self.is_starting() => {}
            () = sleep_until(self.right.due()) => {}
            () = sleep_until(self.deadline) => {}
            () = self.stop.cancelled() => self.ended = true,
        }
    }

    /// Ends with an error when the right to watch is gone.
    fn ask_again(&mut self) {
        if Instant::now() >= self.right.due()
            && let Err(refused) = self.right.ask()
        {
            self.failed = Some(refused);
        }
    }

    fn send_initial(&mut self, out: &mut Pieces) -> Came {
        while let Some(object) = self.initial.as_slice().first().map(Arc::clone) {
            if out.is_full() {
                return Came::Part;
            }
            let form = self.form(&object);
            let Some(room) = self.room(&object, form) else {
                return Came::NoRoom;
            };
            let _sent = self.initial.next();
            out.take_room(room);
            self.event(out, "ADDED", &object);
            if self.failed.is_some() {
                return Came::Part;
            }
        }
        if std::mem::take(&mut self.initial_end) {
            self.bookmark(out, true);
        }
        Came::Part
    }

    /// A custom kind that is defined anew is shown as it is now, and not at all when its names or versions changed: the
    /// watch ends then, as upstream's does. When its objects are others now, without a change that would tell, its client
    /// has to list again.
    fn look_again(&mut self) {
        let Some(custom) = &self.custom else {
            return;
        };
        let kinds = self.cache.kinds();
        let generation = kinds.generation();
        if generation == self.defined {
            return;
        }
        self.defined = generation;
        let Some(now) = kinds.custom(self.kind) else {
            self.ended = true;
            return;
        };
        let stored = kinds.custom_of(self.kind.storage());
        let is_same = match (&stored, &self.stored) {
            (Some(now), Some(before)) => now.reads_as(before),
            (now, before) => now.is_none() && before.is_none(),
        };
        if !is_same || !now.reads_as(custom) {
            self.failed = Some(error::too_old(self.position, self.cache.revision()));
        }
        (self.custom, self.stored) = (Some(now), stored);
    }

    fn send_changes(&mut self, out: &mut Pieces) -> Came {
        let changes = match self.cache.since(self.position) {
            Ok(changes) => changes,
            Err(_too_old) => {
                self.metrics.watch_too_old();
                self.failed = Some(error::too_old(self.position, self.cache.revision()));
                return Came::Part;
            }
        };
        if let Err(refused) = self.right.ask_after(&changes) {
            self.failed = Some(refused);
            return Came::Part;
        }
        let own = |change: &&Arc<Change>| change.object.kind == self.kind;
        let size = |change: &Arc<Change>| change.object.raw.len() + EVENT_BYTES;
        let size: usize = changes.iter().filter(own).map(size).sum();
        out.reserve(size.min(CHUNK_BYTES));
        for change in changes {
            if !self.change(out, &change) {
                return Came::NoRoom;
            }
            if self.failed.is_some() {
                return Came::Part;
            }
            self.position = self.position.max(change.revision);
            if out.is_full() {
                return Came::Part;
            }
        }
        Came::Through
    }

    /// False when there is no room for it.
    fn change(&mut self, out: &mut Pieces, change: &Change) -> bool {
        // Which version of a custom kind is stored may have changed since.
        let (of, own) = (change.object.kind.storage(), self.kind.storage());
        if (of.group, of.plural) != (own.group, own.plural) {
            return true;
        }
        let renewed = self.cache.renewed(change);
        let change = renewed.as_ref().unwrap_or(change);
        let was = change
            .previous
            .as_ref()
            .is_some_and(|previous| self.selection.matches(previous));
        let is = change.kind_of != ChangeKind::Deleted && self.selection.matches(&change.object);
        let kind_of = match (was, is) {
            (false, false) => return true,
            (false, true) => ChangeKind::Added,
            (true, true) => ChangeKind::Modified,
            (true, false) => ChangeKind::Deleted,
        };
        let form = self
            .form(&change.object)
            // What is no longer selected is shown as it was before.
            .filter(|_| kind_of != ChangeKind::Deleted || kind_of == change.kind_of);
        let last = last_selected(change, kind_of);
        let Some(room) = self.room(last, form) else {
            return false;
        };
        out.take_room(room);
        self.shared(out, kind_of, change);
        true
    }

    /// In which encoding an object is the same for all watches.
    fn form(&self, object: &Object) -> Option<Form> {
        match self.format {
            _ if !kinds::is_of(object, self.kind) => None,
            Format::Json if self.protobuf => Some(Form::Protobuf),
            Format::Json => Some(Form::Json),
            Format::Metadata(Meta::V1, _) if !self.protobuf => Some(Form::Metadata),
            _ => None,
        }
    }

    /// Room for an event, which a small one needs not; none when there is none.
    #[expect(
        clippy::option_option,
        reason = "whether there is room, and whether any is needed"
    )]
    fn room(&self, object: &Object, form: Option<Form>) -> Option<Option<Arc<Room>>> {
        if object.raw.len() <= CHUNK_BYTES {
            return Some(None);
        }
        let id = form.map(|form| Id {
            revision: object.revision,
            form,
        });
        self.sender.room(id, object.raw.len()).map(Some)
    }

    /// The event of a change; one that is to this watch what it is to the store is encoded once for all watches.
    fn shared(&mut self, out: &mut Pieces, kind_of: ChangeKind, change: &Change) {
        let shown = &change.shown;
        let held = match self.form(&change.object) {
            _ if kind_of != change.kind_of => None,
            Some(Form::Protobuf) => Some(&shown.protobuf),
            Some(Form::Metadata) => Some(&shown.metadata),
            Some(Form::Json) | None => None,
        };
        let Some(held) = held else {
            self.show(out, kind_of, change);
            return;
        };
        let event = held.get_or_init(|| {
            let mut event = Pieces::default();
            self.show(&mut event, kind_of, change);
            event.joined()
        });
        if event.is_empty() {
            self.failed = Some(unencodable(self.kind));
        }
        out.bytes(event.clone());
    }

    fn show(&mut self, out: &mut Pieces, kind_of: ChangeKind, change: &Change) {
        match kind_of {
            ChangeKind::Added => self.event(out, "ADDED", &change.object),
            ChangeKind::Modified => self.event(out, "MODIFIED", &change.object),
            ChangeKind::Deleted => self.gone(out, change),
        }
    }

    fn event(&mut self, out: &mut Pieces, kind: &str, object: &Object) {
        let shown = self.render().watched(object, self.first);
        self.first = false;
        self.line(out, kind, shown);
    }

    /// An object that was deleted, or is no longer selected, at the revision of the change.
    fn gone(&mut self, out: &mut Pieces, change: &Change) {
        let last = last_selected(change, ChangeKind::Deleted);
        let shown = self.render().watched(last, self.first);
        self.first = false;
        let shown = if last.revision == change.revision {
            shown
        } else {
            at_revision(&shown, change.revision)
        };
        self.line(out, "DELETED", shown);
    }

    fn bookmark(&mut self, out: &mut Pieces, initial_events_end: bool) {
        let shown = self.render().bookmark(
            self.position.min(self.cache.revision()).0,
            initial_events_end,
            self.first,
        );
        self.first = false;
        self.next_bookmark = Instant::now() + BOOKMARK_PERIOD;
        self.line(out, "BOOKMARK", shown);
    }

    /// One event: a line of JSON, or a frame of protobuf. What has no frame ends the watch: an event is never left out.
    fn line(&mut self, out: &mut Pieces, kind: &str, object: Bytes) {
        if self.protobuf {
            match frame(kind, &object) {
                Some(frame) => out.bytes(frame.into()),
                None => self.failed = Some(unencodable(self.kind)),
            }
            return;
        }
        out.text(b"{\"type\":\"");
        out.text(kind.as_bytes());
        out.text(b"\",\"object\":");
        out.bytes(object);
        out.text(b"}\n");
    }

    fn render(&self) -> Render {
        Render {
            kind: self.kind,
            custom: self.custom.clone(),
            format: self.format,
            include: self.include,
            now: self.clock.now(),
        }
    }
}

/// What a change shows of its object: of one that is no longer selected, its last state that was.
fn last_selected(change: &Change, kind_of: ChangeKind) -> &Object {
    match (&change.previous, change.kind_of) {
        (Some(previous), ChangeKind::Added | ChangeKind::Modified)
            if kind_of == ChangeKind::Deleted =>
        {
            previous
        }
        _ => &change.object,
    }
}

/// An event in protobuf; an object of a served kind always has one: a round trip of each kind is tested.
fn frame(event: &str, object: &[u8]) -> Option<Vec<u8>> {
    let value = serde_json::from_slice(object).ok()?;
    protobuf::watch_event(event, &value).ok()
}

fn unencodable(kind: KindRef) -> StatusError {
    StatusError::internal(format!("unable to encode watch object {}", kind.kind))
}

/// A shown object, or a table of one, with another `resourceVersion`.
fn at_revision(shown: &[u8], revision: Revision) -> Bytes {
    let mut value: Value = serde_json::from_slice(shown).unwrap_or_default();
    let version = Value::from(revision.to_string());
    if let Some(held) = value.pointer_mut("/rows/0/object/metadata/resourceVersion") {
        *held = version.clone();
    }
    if let Some(own) = value.pointer_mut("/metadata/resourceVersion") {
        *own = version;
    }
    to_json(&value).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_watches_rest_and_few_do_not() {
        let millis = |(watches, late)| rest(watches, Duration::from_millis(late)).as_millis();
        assert_eq!(
            [(1, 0), (99, 0), (1_000, 0), (1_000_000, 0)].map(millis),
            [0, 3, 35, 250]
        );
        // Who comes late has made others late.
        assert_eq!(
            [(100, 1), (1_000, 30), (1_000, 1_000)].map(millis),
            [5, 95, 250]
        );
    }
}
