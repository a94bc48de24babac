//! How a box becomes a node: with a join token, or back home with its device key.
//!
//! Decisions are made in [`decide`]; whoever is refused leaves no state. A name always belongs to the key
//! that took it first, until its Node is deleted.

use super::{Shared, node_object, node_object::DEVICE_KEY};
use crate::{
    events::{EventType, Occurrence, Reference},
    join::Refusal as TokenRefusal,
    object::Object,
    pki,
    registry::{Context, Subresource},
};
use coracle_api::{Key, StatusError, kind, validate};
use coracle_link::{enroll, pb, pb::RefusalReason as Reason, token};
use serde_json::json;

/// Why a box is not let in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.message)
    }
}

impl Refused {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The reason's name on the wire.
    pub(crate) fn name(&self) -> &'static str {
        self.reason.as_str_name()
    }

    pub(crate) fn wire(&self) -> pb::Refusal {
        pb::Refusal {
            reason: self.reason.into(),
            message: self.message.clone(),
        }
    }
}

impl From<StatusError> for Refused {
    fn from(error: StatusError) -> Self {
        Self::new(Reason::Busy, error.message)
    }
}

/// What the token says of whoever brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    None,
    Good,
    Bad(TokenRefusal),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Make the Node.
    Join,
    /// The Node is there and takes this key: it has none, or is its own.
    Rejoin,
    /// No token, but the key of the Node.
    ComeHome,
}

/// Decides by the Node of that name and the token.
fn decide(name: &str, node: Option<&Object>, key: &str, token: Token) -> Result<Decision, Refused> {
    let holder = node.map(device_key);
    match (token, holder) {
        (Token::Bad(why), _) => Err(Refused::new(Reason::BadToken, why.to_string())),
        (Token::Good, None) => Ok(Decision::Join),
        (Token::Good, Some(holder)) if holder.is_empty() || holder == key => Ok(Decision::Rejoin),
        (Token::None, Some(holder)) if holder == key => Ok(Decision::ComeHome),
        (Token::None, None) => Err(Refused::new(
            Reason::UnknownNode,
            format!(
                "there is no node {name:?}: join with a token, as `coracle token create` prints it"
            ),
        )),
        (Token::Good | Token::None, Some(_)) => Err(Refused::new(
            Reason::NameTaken,
            format!(
                "the node name {name:?} is held by another device's key; choose another name, or delete that node first"
            ),
        )),
    }
}

/// The fingerprint a Node belongs to, or nothing.
pub(crate) fn device_key(node: &Object) -> String {
    let annotations = node.meta.annotations.as_ref();
    let key = annotations.and_then(|annotations| annotations.get(DEVICE_KEY));
    key.cloned().unwrap_or_default()
}

/// Checks a request, uses the token up and signs the certificate.
pub(crate) async fn enroll(
    shared: &Shared,
    connection: &quinn::Connection,
    request: pb::Enroll,
) -> Result<pb::Certificate, Refused> {
    let malformed = |why: &str| Refused::new(Reason::Malformed, why);
    let name = request.node_name.as_str();
    if !validate::is_dns_subdomain(name) {
        return Err(malformed("the node name is not a DNS name in lower case"));
    }
    let key = prove(connection, &request)?;
    let credential = zeroize::Zeroizing::new(request.token.clone());
    let parts = token::split_credential(&credential).ok();
    let token = match (credential.is_empty(), parts) {
        (true, _) => Token::None,
        (false, None) => Token::Bad(TokenRefusal::Invalid),
        (false, Some((id, secret))) => match shared.tokens.check(id, secret.as_bytes()) {
            Ok(()) => Token::Good,
            Err(why) => Token::Bad(why),
        },
    };
    let node = shared.registry.cache().get(kind::NODE, &Key::cluster(name));
    let decision = decide(name, node.as_deref(), &key, token)?;
    // Before the token is used up: what fails here costs the box nothing.
    let (certificate, _until) = shared
        .pki
        .sign_node(name, &request.csr)
        .map_err(|error| malformed(&error.to_string()))?;
    let ca = shared.pki.ca_der();
    let ca = ca.map_err(|error| Refused::new(Reason::Busy, error.to_string()))?;
    if let (Decision::Join | Decision::Rejoin, Some((id, secret))) = (decision, parts) {
        let used = shared.tokens.redeem(id, secret.as_bytes()).await;
        used.map_err(|why| Refused::new(Reason::BadToken, why.to_string()))?;
    }
    match decision {
        Decision::Join => create(shared, name, &key).await?,
        Decision::Rejoin => adopt(shared, name, &key).await?,
        Decision::ComeHome => {}
    }
    tracing::info!(node = name, ?decision, peer = %connection.remote_address(), "a node has enrolled");
    Ok(pb::Certificate {
        certificate: certificate.to_vec(),
        ca: ca.to_vec(),
    })
}

/// The fingerprint of the key in the request, once it has signed this very connection.
fn prove(connection: &quinn::Connection, request: &pb::Enroll) -> Result<String, Refused> {
    let malformed = |why: &str| Refused::new(Reason::Malformed, why);
    let unreadable = || malformed("the certificate request cannot be read");
    let key = pki::key_of_request(&request.csr).ok_or_else(unreadable)?;
    let point = pki::point_of_request(&request.csr).ok_or_else(unreadable)?;
    let challenge = enroll::challenge(connection, &request.node_name);
    challenge
        .and_then(|challenge| enroll::verify(&challenge, &request.binding, &point))
        .map_err(|error| malformed(&error.to_string()))?;
    Ok(key)
}

async fn create(shared: &Shared, name: &str, key: &str) -> Result<(), Refused> {
    let full = || Refused::new(Reason::Busy, "the range of pod addresses has no block left");
    let block = shared
        .blocks
        .block(shared.registry.cache(), name)
        .ok_or_else(full)?;
    let node = node_object::new(name, key, &block);
    let context = Context::system("link");
    let created = shared.registry.create(&context, kind::NODE, "", node).await;
    match created {
        Ok(node) => {
            shared.recorder.record(registered(&node));
            Ok(())
        }
        // Another box with the same name was faster.
        Err(error) if error.code == 409 => adopt(shared, name, key).await,
        Err(error) => {
            shared.blocks.give_back(name);
            Err(error.into())
        }
    }
}

/// In the words of upstream's node controller.
fn registered(node: &Object) -> Occurrence {
    let name = &node.key.name;
    Occurrence {
        about: Reference::to(node),
        event_type: EventType::Normal,
        reason: "RegisteredNode".to_owned(),
        message: format!("Node {name} event: Registered Node {name} in Controller"),
        component: "node-controller",
        host: String::new(),
    }
}

/// Gives the Node to the key, unless it is another's.
async fn adopt(shared: &Shared, name: &str, key: &str) -> Result<(), Refused> {
    let mut taken = false;
    let context = Context::system("link");
    let node = Key::cluster(name);
    let written = shared
        .registry
        .modify(&context, kind::NODE, &node, Subresource::None, |value| {
            let holder = value["metadata"]["annotations"][DEVICE_KEY].as_str();
            taken = holder.is_some_and(|holder| !holder.is_empty() && holder != key);
            if taken {
                return Err(StatusError::bad_request("taken"));
            }
            if !value["metadata"]["annotations"].is_object() {
                value["metadata"]["annotations"] = json!({});
            }
            value["metadata"]["annotations"][DEVICE_KEY] = json!(key);
            Ok(())
        })
        .await;
    if taken {
        return Err(Refused::new(
            Reason::NameTaken,
            format!("the node name {name:?} has just been taken by another device"),
        ));
    }
    written.map(|_object| ()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    fn node(key: &str) -> Object {
        let value = node_object::new("box", key, "10.244.0.0/24");
        Object::new(kind::NODE, Revision(1), value).unwrap()
    }

    #[track_caller]
    fn check(node: Option<&Object>, token: Token, expect: Result<Decision, Reason>) {
        let decided = decide("box", node, "mine", token);
        let decided = decided.map_err(|refused| refused.name());
        assert_eq!(decided, expect.map_err(|reason| reason.as_str_name()));
    }

    #[test]
    fn who_is_let_in() {
        let (mine, theirs, nobodys) = (node("mine"), node("theirs"), node(""));
        let bad = || Token::Bad(TokenRefusal::Expired);
        check(None, Token::Good, Ok(Decision::Join));
        check(Some(&mine), Token::Good, Ok(Decision::Rejoin));
        check(Some(&nobodys), Token::Good, Ok(Decision::Rejoin));
        check(Some(&theirs), Token::Good, Err(Reason::NameTaken));
        check(Some(&mine), Token::None, Ok(Decision::ComeHome));
        check(None, Token::None, Err(Reason::UnknownNode));
        check(Some(&theirs), Token::None, Err(Reason::NameTaken));
        check(Some(&nobodys), Token::None, Err(Reason::NameTaken));
        check(None, bad(), Err(Reason::BadToken));
        check(Some(&mine), bad(), Err(Reason::BadToken));
    }
}
