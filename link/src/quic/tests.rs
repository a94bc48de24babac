//! Both ends on loopback: who is believed, and who is not.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

impl Ca {
    fn new() -> Self {
        let (key, mut params) = (key(), CertificateParams::new(Vec::new()).unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        let (key, mut params) = (
            key(),
            CertificateParams::new(vec![name.to_owned()]).unwrap(),
        );
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    fn sha256(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        out.copy_from_slice(digest.as_ref());
        out
    }

    fn server(&self) -> Endpoint {
        let identity = self.issue(SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth);
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        server(loopback, identity, self.certificate.clone(), None).unwrap()
    }
}

/// Connects; the name of the agent as the controller sees it, or none.
async fn dial(
    server: &Endpoint,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<(quinn::Connection, Option<CertificateDer<'static>>), String> {
    let config = client_config(&trust, identity, Profile::Default, None).unwrap();
    let client = client().unwrap();
    let address = server.local_addr().unwrap();
    let connecting = client.connect_with(config, address, SERVER_NAME).unwrap();
    let accepting = async {
        let incoming = server.accept().await.unwrap();
        incoming.await.map_err(|error| error.to_string())
    };
    let (client, server) = tokio::join!(connecting, accepting);
    let (client, server) = (client.map_err(|error| error.to_string())?, server?);
    Ok((client, peer_certificate(&server)))
}

#[tokio::test]
async fn an_agent_is_known_by_its_certificate() {
    let ca = Ca::new();
    let server = ca.server();
    let identity = ca.issue("box", ExtendedKeyUsagePurpose::ClientAuth);
    let expect = identity.chain[0].clone();
    let trust = Trust::Ca(ca.certificate.clone());
    let (_open, seen) = dial(&server, trust, Some(identity)).await.unwrap();
    assert_eq!(seen, Some(expect));
}

#[tokio::test]
async fn a_box_without_a_certificate_believes_the_hash_and_nothing_else() {
    let ca = Ca::new();
    let server = ca.server();
    let (open, seen) = dial(&server, Trust::CaSha256(ca.sha256()), None)
        .await
        .unwrap();
    assert_eq!(seen, None);
    assert_eq!(peer_ca(&open, &ca.sha256()), Some(ca.certificate.clone()));
    assert!(dial(&server, Trust::CaSha256([0; 32]), None).await.is_err());
    let other = Ca::new();
    let stranger = other.issue("box", ExtendedKeyUsagePurpose::ClientAuth);
    let trust = Trust::Ca(ca.certificate.clone());
    assert!(dial(&server, trust, Some(stranger)).await.is_err());
    assert!(
        dial(&server, Trust::Ca(other.certificate), None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn both_ends_derive_the_same_challenge() {
    let ca = Ca::new();
    let server = ca.server();
    let config =
        client_config(&Trust::CaSha256(ca.sha256()), None, Profile::Default, None).unwrap();
    let client = client().unwrap();
    let address = server.local_addr().unwrap();
    let connecting = client.connect_with(config, address, SERVER_NAME).unwrap();
    let accepting = async { server.accept().await.unwrap().await };
    let (a, b) = tokio::join!(connecting, accepting);
    let (a, b) = (a.unwrap(), b.unwrap());
    let challenge = crate::enroll::challenge;
    assert_eq!(challenge(&a, "box").unwrap(), challenge(&b, "box").unwrap());
    assert_ne!(
        challenge(&a, "box").unwrap(),
        challenge(&b, "other").unwrap()
    );
}
