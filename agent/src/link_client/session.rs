//! What each message of the controller means for this agent. Without I/O: a message goes in, effects come out.
//!
//! A controller that breaks the protocol ends the connection and nothing else; whatever it sends, nothing panics.

use crate::sync_loop::{Update, Wanted};
use coracle_link::{
    pb,
    pb::to_agent::Message,
    pod::Pod,
    route::ServicePort,
    session::{self, PodSetReceiver},
};
use std::collections::HashSet;

/// Of what the controller tells people.
const SENTENCE_CHARS_MAX: usize = 500;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    /// The session has begun.
    Welcomed { pod_cidr: String, time_ms: i64 },
    /// For the sync loop; then `sequence` is acknowledged.
    Update { update: Update, sequence: u64 },
    /// Replaces all routes.
    Routes(Vec<ServicePort>),
    /// The statuses up to `version` have arrived, but for these pods.
    Arrived {
        version: u64,
        resend: HashSet<String>,
    },
    /// A renewed certificate (DER).
    Certificate(Vec<u8>),
    /// A part of a message was left out; for the log.
    Skipped(String),
}

/// The controller said no.
pub(super) struct Refusal {
    pub(super) reason: pb::RefusalReason,
    /// A sentence for people, fit for a line of a log.
    pub(super) message: String,
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason.as_str_name(), self.message)
    }
}

impl From<pb::Refusal> for Refusal {
    fn from(wire: pb::Refusal) -> Self {
        let plain = wire.message.chars().take(SENTENCE_CHARS_MAX);
        Self {
            reason: wire.reason(),
            message: plain
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
        }
    }
}

/// Why the session is over.
#[derive(Debug)]
pub(super) enum Over {
    Refused(Refusal),
    /// The controller did what it may not.
    Violation(String),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session<'a> {
    receiver: &'a mut PodSetReceiver,
    is_welcomed: bool,
}

impl<'a> Session<'a> {
    /// A new connection; the digests go into its hello.
    pub(super) fn start(receiver: &'a mut PodSetReceiver) -> (Self, Vec<pb::HavePod>) {
        let have = receiver.connect();
        let session = Self {
            receiver,
            is_welcomed: false,
        };
        (session, have)
    }

    /// Takes one message.
    pub(super) fn take(&mut self, message: pb::ToAgent) -> Result<Vec<Effect>, Over> {
        let violation = |text: &str| Err(Over::Violation(text.to_owned()));
        match message.message {
            Some(Message::Refusal(refusal)) => Err(Over::Refused(refusal.into())),
            Some(Message::Welcome(_)) if self.is_welcomed => {
                violation("the controller welcomed twice")
            }
            Some(Message::Welcome(welcome)) => {
                self.is_welcomed = true;
                Ok(vec![Effect::Welcomed {
                    pod_cidr: welcome.pod_cidr,
                    time_ms: welcome.time_ms,
                }])
            }
            // A kind that a newer controller knows.
            None => Ok(vec![Effect::Skipped(
                "a message of a kind this agent does not know".to_owned(),
            )]),
            Some(_) if !self.is_welcomed => {
                violation("the controller spoke before it answered the hello")
            }
            Some(Message::PodSet(set)) => self.pod_set(set),
            Some(Message::Routes(routes)) => Ok(take_routes(routes)),
            Some(Message::StatusAck(ack)) => Ok(vec![Effect::Arrived {
                version: ack.version,
                resend: ack.resend.into_iter().collect(),
            }]),
            Some(Message::Certificate(given)) => Ok(vec![Effect::Certificate(given.certificate)]),
        }
    }

    fn pod_set(&mut self, set: pb::PodSet) -> Result<Vec<Effect>, Over> {
        let sequence = set.sequence;
        let taken = self.receiver.take(set);
        let (update, skipped) = taken.map_err(|error| Over::Violation(error.to_string()))?;
        let mut effects: Vec<Effect> = skipped
            .into_iter()
            .map(|(uid, error)| Effect::Skipped(format!("pod {uid:?}: {error}")))
            .collect();
        let update = match update {
            session::Update::Full { changed, kept } => Update::Full {
                changed: self.wanted(changed),
                kept,
            },
            session::Update::Delta { changed, removed } => Update::Delta {
                changed: self.wanted(changed),
                removed,
            },
        };
        effects.push(Effect::Update { update, sequence });
        Ok(effects)
    }

    fn wanted(&self, pods: Vec<Pod>) -> Vec<Wanted> {
        let known = pods.into_iter().filter_map(|pod| {
            let digest = *self.receiver.digest(&pod.uid)?;
            Some(Wanted { pod, digest })
        });
        known.collect()
    }
}

fn take_routes(routes: pb::Routes) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut ports = Vec::with_capacity(routes.ports.len());
    for port in routes.ports {
        let name = format!("{}/{}", port.namespace, port.service);
        match ServicePort::try_from(port) {
            Ok(port) => ports.push(port),
            Err(error) => effects.push(Effect::Skipped(format!("service {name:?}: {error}"))),
        }
    }
    effects.push(Effect::Routes(ports));
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::{
        pod::RestartPolicy,
        session::{Outgoing, PodSetSender},
    };
    use std::collections::BTreeMap;

    fn to_agent(message: Message) -> pb::ToAgent {
        pb::ToAgent {
            message: Some(message),
        }
    }

    fn welcome() -> pb::ToAgent {
        to_agent(Message::Welcome(pb::Welcome {
            pod_cidr: "10.244.3.0/24".to_owned(),
            time_ms: 5,
        }))
    }

    fn outgoing() -> BTreeMap<String, Outgoing> {
        let pod = testing::pod(RestartPolicy::Always, &[], &["a"]);
        BTreeMap::from([(pod.uid.clone(), Outgoing::new(&pod))])
    }

    #[test]
    fn a_pod_set_becomes_an_update_and_is_not_sent_again() {
        let mut receiver = PodSetReceiver::default();
        let (mut session, have) = Session::start(&mut receiver);
        let mut sender = PodSetSender::new(have);
        session.take(welcome()).unwrap();
        let set = sender.next(&outgoing()).unwrap();
        let effects = session.take(to_agent(Message::PodSet(set))).unwrap();
        let [
            Effect::Update {
                update,
                sequence: 1,
            },
        ] = effects.as_slice()
        else {
            panic!("{effects:?}");
        };
        let Update::Full { changed, kept } = update else {
            panic!("{update:?}");
        };
        assert_eq!((changed.len(), kept.len()), (1, 0));

        let (mut session, have) = Session::start(&mut receiver);
        session.take(welcome()).unwrap();
        let set = PodSetSender::new(have).next(&outgoing()).unwrap();
        assert!(set.changed.is_empty());
        let effects = session.take(to_agent(Message::PodSet(set))).unwrap();
        assert!(matches!(
            effects.as_slice(),
            [Effect::Update { update: Update::Full { kept, .. }, .. }] if kept == &["uid-1"]
        ));
    }

    #[test]
    fn what_breaks_the_protocol_ends_the_session() {
        let ack = || to_agent(Message::StatusAck(pb::StatusAck::default()));
        let set = |sequence| {
            to_agent(Message::PodSet(pb::PodSet {
                sequence,
                full: true,
                ..pb::PodSet::default()
            }))
        };
        let table: [(&str, Vec<pb::ToAgent>); 4] = [
            ("no welcome", vec![ack()]),
            ("two welcomes", vec![welcome(), welcome()]),
            ("a gap", vec![welcome(), set(2)]),
            ("full twice", vec![welcome(), set(1), set(2)]),
        ];
        for (name, messages) in table {
            let mut receiver = PodSetReceiver::default();
            let (mut session, _) = Session::start(&mut receiver);
            let mut results: Vec<_> = messages
                .into_iter()
                .map(|message| session.take(message))
                .collect();
            let last = results.pop().unwrap();
            assert!(matches!(last, Err(Over::Violation(_))), "{name}");
            assert!(results.iter().all(Result::is_ok), "{name}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_the_rest_is_taken() {
        let mut receiver = PodSetReceiver::default();
        let (mut session, _) = Session::start(&mut receiver);
        session.take(welcome()).unwrap();
        let unknown = session.take(pb::ToAgent { message: None }).unwrap();
        assert!(matches!(unknown.as_slice(), [Effect::Skipped(_)]));
        let port = |service: &str, port| pb::ServicePort {
            namespace: "ns".to_owned(),
            service: service.to_owned(),
            port,
            ..pb::ServicePort::default()
        };
        let ports = vec![port("good", 80), port("bad", 70_000)];
        let effects = session
            .take(to_agent(Message::Routes(pb::Routes { ports })))
            .unwrap();
        assert!(matches!(
            effects.as_slice(),
            [Effect::Skipped(text), Effect::Routes(routes)] if text.contains("ns/bad") && routes.len() == 1
        ));
        let refusal = pb::Refusal {
            message: format!("no\n{}", "x".repeat(9000)),
            ..pb::Refusal::default()
        };
        let Err(Over::Refused(refusal)) = session.take(to_agent(Message::Refusal(refusal))) else {
            panic!("a refusal ends a session");
        };
        assert!(refusal.message.starts_with("no x"));
        assert_eq!(refusal.message.len(), SENTENCE_CHARS_MAX);
    }
}
