//! Sender and receiver over any history of changes and lost connections: the agent ends with what is desired.

use super::*;
use crate::pod::{Container, PullPolicy, Resources, RestartPolicy};
use proptest::prelude::*;

fn pod(uid: &str, image: &str, revision: u64) -> Pod {
    Pod {
        uid: uid.to_owned(),
        namespace: "ns".to_owned(),
        name: uid.to_owned(),
        revision,
        labels: Vec::new(),
        annotations: Vec::new(),
        restart_policy: RestartPolicy::Always,
        grace_period_secs: 30,
        deletion_grace_secs: None,
        hostname: String::new(),
        active_deadline_secs: None,
        init_containers: Vec::new(),
        containers: vec![Container {
            name: "c".to_owned(),
            image: image.to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            args: Vec::new(),
            env: Vec::new(),
            config_error: None,
            ports: Vec::new(),
            mounts: Vec::new(),
            limits: Resources::default(),
            requests: Resources::default(),
            startup: None,
            readiness: None,
            liveness: None,
            max_invocations: 1,
            max_concurrency: 1,
            sidecar: false,
        }],
        volumes: Vec::new(),
        service_account: String::new(),
    }
}

type Desired = BTreeMap<String, Outgoing>;

fn desired(pods: &[(&str, &str, u64)]) -> Desired {
    let pods = pods.iter().map(|(uid, image, revision)| {
        let out = Outgoing::new(&pod(uid, image, *revision));
        ((*uid).to_owned(), out)
    });
    pods.collect()
}

/// Sends everything, and returns the images of the pods that travelled.
fn sync(
    sender: &mut PodSetSender,
    receiver: &mut PodSetReceiver,
    desired: &Desired,
) -> Vec<String> {
    let mut travelled = Vec::new();
    while let Some(set) = sender.next(desired) {
        let sequence = set.sequence;
        let (update, skipped) = receiver.take(set).unwrap();
        assert!(skipped.is_empty());
        let (Update::Full { changed, .. } | Update::Delta { changed, .. }) = update;
        travelled.extend(
            changed
                .into_iter()
                .map(|pod| pod.containers[0].image.clone()),
        );
        sender.acknowledge(sequence);
    }
    assert!(sender.is_settled());
    travelled
}

#[test]
fn only_what_changed_travels_also_after_a_new_connection() {
    let mut receiver = PodSetReceiver::default();
    let mut sender = PodSetSender::new(receiver.connect());
    let first = desired(&[("a", "a1", 1), ("b", "b1", 2)]);
    assert_eq!(sync(&mut sender, &mut receiver, &first), ["a1", "b1"]);
    // A new revision with the same content is not news.
    let second = desired(&[("a", "a1", 5), ("b", "b2", 6)]);
    assert_eq!(sync(&mut sender, &mut receiver, &second), ["b2"]);
    let mut sender = PodSetSender::new(receiver.connect());
    assert_eq!(sync(&mut sender, &mut receiver, &second), [""; 0]);
    let third = desired(&[("b", "b2", 6), ("c", "c1", 7)]);
    let mut sender = PodSetSender::new(receiver.connect());
    assert_eq!(sync(&mut sender, &mut receiver, &third), ["c1"]);
    assert!(receiver.digest("a").is_none());
}

#[test]
fn a_large_set_is_cut_and_never_drops_a_pod_on_the_way() {
    let image = "x".repeat(POD_SET_BYTES_MAX / 2 + 1);
    let all = desired(&[("a", &image, 1), ("b", &image, 1), ("c", &image, 1)]);
    let mut receiver = PodSetReceiver::new([("c".to_owned(), [1; DIGEST_BYTES])]);
    let mut sender = PodSetSender::new(receiver.connect());
    let set = sender.next(&all).unwrap();
    assert_eq!((set.changed.len(), set.full), (1, true));
    assert_eq!(
        set.kept,
        ["b", "c"],
        "its old version runs on until the new one is here"
    );
    receiver.take(set).unwrap();
    assert!(sender.may_send());
    while let Some(set) = sender.next(&all) {
        receiver.take(set).unwrap();
    }
    assert!(!sender.is_settled());
    assert_eq!(receiver.have.len(), 3);
}

#[test]
fn a_missing_set_is_noticed() {
    let mut receiver = PodSetReceiver::default();
    receiver.connect();
    let set = |sequence, full| pb::PodSet {
        sequence,
        full,
        ..pb::PodSet::default()
    };
    assert!(receiver.take(set(1, false)).is_err());
    receiver.take(set(1, true)).unwrap();
    assert!(receiver.take(set(3, false)).is_err());
    assert!(receiver.take(set(2, true)).is_err());
    receiver.take(set(2, false)).unwrap();
    let empty = pb::PodSet {
        changed: vec![pb::PodSpec::default()],
        ..set(3, false)
    };
    assert_eq!(receiver.take(empty), Err(Error::Incomplete));
}

proptest! {
    #[test]
    fn any_history_converges(steps in prop::collection::vec((0_usize..6, 0_u8..3, any::<bool>()), 1..40)) {
        let mut receiver = PodSetReceiver::default();
        let mut sender = PodSetSender::new(receiver.connect());
        let mut wanted: Desired = BTreeMap::new();
        let mut running: BTreeMap<String, String> = BTreeMap::new();
        for (index, image, reconnect) in steps {
            let uid = format!("p{index}");
            if image == 0 {
                wanted.remove(&uid);
            } else {
                wanted.insert(uid.clone(), Outgoing::new(&pod(&uid, &image.to_string(), 1)));
            }
            if reconnect {
                // What was on its way is lost.
                let _lost = sender.next(&wanted);
                sender = PodSetSender::new(receiver.connect());
            }
            while let Some(set) = sender.next(&wanted) {
                let (update, _) = receiver.take(set).unwrap();
                match update {
                    Update::Full { changed, kept } => {
                        let names: HashSet<String> = changed.iter().map(|pod| pod.uid.clone()).chain(kept).collect();
                        running.retain(|uid, _| names.contains(uid));
                        running.extend(changed.into_iter().map(|pod| (pod.uid, pod.containers[0].image.clone())));
                    }
                    Update::Delta { changed, removed } => {
                        for uid in removed {
                            running.remove(&uid);
                        }
                        running.extend(changed.into_iter().map(|pod| (pod.uid, pod.containers[0].image.clone())));
                    }
                }
            }
            let expect: BTreeMap<String, String> = wanted
                .iter()
                .map(|(uid, out)| (uid.clone(), out.pod.containers[0].image.clone()))
                .collect();
            prop_assert_eq!(&running, &expect);
        }
    }
}
