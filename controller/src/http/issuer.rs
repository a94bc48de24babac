//! Who signs tokens of service accounts, for those who verify them without asking: the issuer's document
//! and its public key (OpenID Connect discovery).

use super::{Body, State, error, respond};
use crate::auth::accounts::ISSUER;
use coracle_api::StatusError;
use http::{Response, header};
use serde_json::json;

const KEYS: &str = "/openid/v1/jwks";

/// Answers a path; none when it is not of the issuer.
pub(super) fn answer(state: &State, path: &str) -> Option<Result<Response<Body>, StatusError>> {
    let document = match path {
        "/.well-known/openid-configuration" => json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}{KEYS}"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }),
        KEYS => match state.authenticator.accounts() {
            Some(accounts) => {
                let mut response = respond::ok(&json!({"keys": [accounts.public_key()]}));
                respond::set(
                    &mut response,
                    header::CONTENT_TYPE,
                    "application/jwk-set+json",
                );
                return Some(Ok(response));
            }
            None => return Some(Err(error::no_such_resource())),
        },
        _ => return None,
    };
    Some(Ok(respond::ok(&document)))
}
