//! Signed tokens (JWS, ES256): a key, and texts that only its owner can have made.
//!
//! Knows no claims. Never takes the algorithm from a token: there is one, and a token that names another is
//! not ours.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// A longer token is refused before it is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
const ALGORITHM: &str = "ES256";

/// The key cannot be read, or cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key for service accounts' tokens cannot be used")]
pub struct BadKey;

/// A key that signs and verifies.
pub struct Key {
    pair: EcdsaKeyPair,
    /// The hash of the public key, which is in each token's header.
    id: String,
    random: SystemRandom,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

impl Key {
    /// A key from its PKCS #8 form.
    ///
    /// # Errors
    /// When it is none, or of another curve.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, BadKey> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_rejected| BadKey)?;
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key().as_ref()));
        Ok(Self { pair, id, random })
    }

    /// Its public half, as a JSON Web Key.
    #[must_use]
    pub fn public(&self) -> serde_json::Value {
        // An uncompressed point: a byte that says so, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let half = |from: usize, to: usize| {
            URL_SAFE_NO_PAD.encode(point.get(from..to).unwrap_or_default())
        };
        serde_json::json!({"use": "sig", "kty": "EC", "crv": "P-256", "kid": self.id, "alg": ALGORITHM,
            "x": half(1, 33), "y": half(33, 65)})
    }

    /// A token of these claims.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(&self, claims: &impl Serialize) -> Result<Zeroizing<String>, BadKey> {
        let header = Header {
            alg: ALGORITHM.to_owned(),
            kid: self.id.clone(),
        };
        let part = |bytes: Result<Vec<u8>, serde_json::Error>| {
            bytes
                .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
                .map_err(|_unwritable| BadKey)
        };
        let (header, claims) = (
            part(serde_json::to_vec(&header))?,
            part(serde_json::to_vec(claims))?,
        );
        let signed = format!("{header}.{claims}");
        let signature = self
            .pair
            .sign(&self.random, signed.as_bytes())
            .map_err(|_unspecified| BadKey)?;
        Ok(Zeroizing::new(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }

    /// The claims of a token that this key has signed.
    #[must_use]
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.alg != ALGORITHM || header.kid != self.id {
            return None;
        }
        let public = self.pair.public_key().as_ref();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(signed.as_bytes(), &decode(signature)?)
            .ok()?;
        // Only now: what is not signed is not read.
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

/// Whether a text has the form of a signed token; says nothing of its worth.
#[must_use]
pub fn looks_signed(token: &str) -> bool {
    token.starts_with("ey") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn key() -> Key {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Key::from_pkcs8(&pair.serialize_der()).unwrap()
    }

    #[test]
    fn only_what_was_signed_is_read() {
        let (key, other) = (key(), key());
        let claims = json!({"sub": "a", "exp": 7});
        let token = key.sign(&claims).unwrap();
        assert!(looks_signed(&token));
        assert_eq!(key.verify::<Value>(&token), Some(claims));
        assert_eq!(other.verify::<Value>(&token), None);
        // Every single bit counts.
        for at in 0..token.len() {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(key.verify::<Value>(&forged), None, "{at}");
        }
        for end in 0..token.len() {
            assert_eq!(key.verify::<Value>(&token[..end]), None);
        }
        let long = format!("{}{}", token.as_str(), "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(key.verify::<Value>(&long), None);
    }

    #[test]
    fn the_public_half_verifies() {
        let key = key();
        let public = key.public();
        let half = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(public[name].as_str().unwrap())
                .unwrap()
        };
        let point = [vec![4], half("x"), half("y")].concat();
        assert_eq!(point, key.pair.public_key().as_ref());
        assert_eq!(public["kid"], json!(key.id));
    }

    #[test]
    fn the_algorithm_is_ours_alone() {
        let key = key();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = part(json!({"sub": "a"}));
        for alg in ["none", "None", "HS256", "ES384", ""] {
            let header = part(json!({"alg": alg, "kid": key.id}));
            let signed = format!("{header}.{claims}");
            assert_eq!(key.verify::<Value>(&format!("{signed}.")), None);
            // Rightly signed, with a header that lies.
            let signature = key.pair.sign(&key.random, signed.as_bytes()).unwrap();
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            assert_eq!(key.verify::<Value>(&token), None, "{alg}");
        }
        assert!(Key::from_pkcs8(b"nonsense").is_err());
    }
}
