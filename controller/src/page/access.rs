//! Who may see the page: the holder of the one-time token, then of the session it was changed for.

use crate::auth::tokens::hex;
use http::{HeaderMap, header};
use parking_lot::Mutex;
use rand::RngCore;
use std::sync::Arc;

/// Sessions at once: each needs a one-time token, and there is one a start.
const SESSIONS_MAX: usize = 8;

/// The token and the sessions. A clone shares them.
#[derive(Debug, Clone)]
pub struct Access(Arc<Mutex<State>>);

struct State {
    token: Option<String>,
    sessions: Vec<String>,
    rng: Box<dyn RngCore + Send>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Makes a token and no session.
    #[must_use]
    pub fn new(mut rng: impl RngCore + Send + 'static) -> Self {
        let token = secret(&mut rng);
        Self(Arc::new(Mutex::new(State {
            token: Some(token),
            sessions: Vec::new(),
            rng: Box::new(rng),
        })))
    }

    /// The token, until it was used.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        self.0.lock().token.clone()
    }

    /// None: stay out. `Some(Some(cookie))`: the token was right and this session begins.
    pub(crate) fn enter(
        &self,
        token: Option<&str>,
        headers: &HeaderMap,
        port: u16,
    ) -> Option<Option<String>> {
        let name = format!("coracle-page-{port}");
        let mut state = self.0.lock();
        if cookies(headers).any(|(key, value)| {
            key == name && state.sessions.iter().any(|session| same(session, value))
        }) {
            return Some(None);
        }
        let expected = state.token.as_deref()?;
        if !same(expected, token?) || state.sessions.len() >= SESSIONS_MAX {
            return None;
        }
        state.token = None;
        let session = secret(&mut state.rng);
        let cookie = format!("{name}={session}; HttpOnly; SameSite=Strict; Path=/");
        state.sessions.push(session);
        Some(Some(cookie))
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// Compares in a time that depends on the lengths only.
fn same(expected: &str, given: &str) -> bool {
    expected.len() == given.len()
        && expected
            .bytes()
            .zip(given.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

fn secret(rng: &mut impl RngCore) -> String {
    let mut bytes = [0; 20];
    rng.fill_bytes(&mut bytes);
    hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn the_token_works_once_and_its_session_goes_on() {
        let access = Access::new(rand::rngs::StdRng::seed_from_u64(3));
        let token = access.token().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(access.enter(None, &headers, 1), None);
        assert_eq!(access.enter(Some("wrong"), &headers, 1), None);
        let cookie = access.enter(Some(&token), &headers, 1).unwrap().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"));
        assert_eq!(access.enter(Some(&token), &headers, 1), None);
        headers.insert(
            header::COOKIE,
            cookie.split(';').next().unwrap().parse().unwrap(),
        );
        assert_eq!(access.enter(None, &headers, 1), Some(None));
        assert_eq!(access.enter(None, &headers, 2), None);
    }
}
