//! The right that a watch was opened by, asked for again while it is open.
//!
//! Upstream asks once: whoever lost a right goes on seeing what changes for up to an hour. Here the watch ends
//! with the change of a role, a binding, an account or its Secret that takes the right away, before anything that happened
//! after it is sent; and within [`PERIOD`] where nothing of the cluster changed, as with a token that ran out.

use super::{Asked, Call, Peer, State, route::RequestInfo};
use crate::{
    auth::{UserInfo, account_of, accounts::ACCOUNT_NAME, is_credential},
    cache::Change,
    object::Object,
};
use coracle_api::{kind, status::StatusError};
use http::HeaderMap;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a right is taken for granted; shorter in tests, which wait for it.
const PERIOD: Duration = if cfg!(test) {
    Duration::from_secs(1)
} else {
    Duration::from_secs(60)
};

/// A right and by when it has to be asked for again.
#[derive(Debug)]
pub(crate) struct Right {
    state: State,
    peer: Arc<Peer>,
    /// Of the request's headers, those that say who asks.
    credentials: HeaderMap,
    /// Whose they are.
    own: UserInfo,
    info: RequestInfo,
    fields: String,
    due: Instant,
}

impl Right {
    /// The right that a request was let through by.
    pub(crate) fn new(state: &State, info: &RequestInfo, call: &Call) -> Self {
        let headers = call.parts.headers.iter();
        let credentials = headers
            .filter(|(name, _)| is_credential(name))
            .map(|(name, value)| (name.clone(), value.clone()));
        Self {
            state: state.clone(),
            peer: Arc::clone(&call.peer),
            credentials: credentials.collect(),
            own: call.own.clone(),
            info: info.clone(),
            fields: call.fields().to_owned(),
            due: Instant::now() + PERIOD,
        }
    }

    /// When it has to be asked for again.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// 401 when the credentials are worth nothing any more, 403 when they do not do.
    pub(crate) fn ask(&mut self) -> Result<(), StatusError> {
        self.due = Instant::now() + PERIOD;
        self.own = self.state.who(&self.peer, &self.credentials)?;
        self.is_granted()
    }

    /// Whether it is still there after these changes. Only what may have taken it away is looked at: a signature
    /// is dear to check, and there are many watches.
    ///
    /// # Errors
    /// As [`Right::ask`].
    pub(crate) fn ask_after(&mut self, changes: &[Arc<Change>]) -> Result<(), StatusError> {
        let mut of = changes.iter().map(|change| &change.object);
        let account = account_of(&self.own.name);
        let is_own = account.is_some_and(|(namespace, name)| {
            of.clone()
                .any(|object| object.key.namespace == namespace && is_of_account(object, name))
        });
        if is_own {
            return self.ask();
        }
        if of.any(|object| object.kind.group == kind::RBAC) {
            return self.is_granted();
        }
        Ok(())
    }

    fn is_granted(&self) -> Result<(), StatusError> {
        let asked = Asked {
            info: Some(&self.info),
            method: "get",
            path: "",
            fields: &self.fields,
        };
        let granted = self.state.may(&self.own, &self.credentials, &asked);
        granted.map(|_acts_as| ())
    }
}

/// Whether an object of its namespace is an account, or a Secret that may hold its token.
fn is_of_account(object: &Object, name: &str) -> bool {
    if object.kind == kind::SECRET {
        let annotations = object.meta.annotations.as_ref();
        return annotations
            .is_some_and(|all| all.get(ACCOUNT_NAME).is_some_and(|account| account == name));
    }
    object.kind == kind::SERVICE_ACCOUNT && object.key.name == name
}
