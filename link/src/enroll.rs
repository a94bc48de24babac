//! How a box proves that it holds the device key its request is for.
//!
//! The signature covers keying material of this very connection (RFC 8446, section 7.5), so that a request that was
//! seen once cannot be used again. Never needs a clock.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

const LABEL: &[u8] = b"EXPORTER-coracle-enroll-v1";

/// The connection gives no keying material, or the signature is not by that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not bound to this connection by its device key")]
pub struct NotBound;

/// What a device signs to enroll as `node_name` over `connection`.
///
/// # Errors
/// When the handshake is not finished.
pub fn challenge(connection: &quinn::Connection, node_name: &str) -> Result<[u8; 32], NotBound> {
    let mut out = [0; 32];
    connection
        .export_keying_material(&mut out, LABEL, node_name.as_bytes())
        .map_err(|_opaque| NotBound)?;
    Ok(out)
}

/// Checks `signature` (ECDSA P-256 with SHA-256, ASN.1) over a challenge by the key `point` (uncompressed, SEC 1).
///
/// # Errors
/// When it is another's.
pub fn verify(challenge: &[u8; 32], signature: &[u8], point: &[u8]) -> Result<(), NotBound> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(challenge, signature)
        .map_err(|_opaque| NotBound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{PublicKeyData as _, SigningKey as _};

    #[test]
    fn only_the_key_itself_can_sign() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let signature = key.sign(&[7; 32]).unwrap();
        assert_eq!(verify(&[7; 32], &signature, key.der_bytes()), Ok(()));
        assert_eq!(verify(&[8; 32], &signature, key.der_bytes()), Err(NotBound));
        assert_eq!(
            verify(&[7; 32], &signature, other.der_bytes()),
            Err(NotBound)
        );
        assert_eq!(verify(&[7; 32], &[], key.der_bytes()), Err(NotBound));
    }
}
