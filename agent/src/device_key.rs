//! The key this device made itself, and what is derived from it: sealing what is on disk, MACs of compiled code.
//!
//! The private key never leaves the data directory, and its file is always readable by its owner only.

use coracle_daemon::write_private;
use rcgen::KeyPair;
use ring::{aead, hkdf, hmac, rand::SecureRandom as _};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why the key can not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can not be read or written.
    #[error("cannot use the device key {path}")]
    File {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a key.
    #[error("the device key {path} is damaged; remove it and join again with a new token")]
    Damaged {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// No randomness.
    #[error("cannot make a device key")]
    Generate(#[source] rcgen::Error),
}

/// The key of this device.
pub(crate) struct DeviceKey {
    pair: KeyPair,
    sealing: aead::LessSafeKey,
    mac: hmac::Key,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey")
    }
}

impl DeviceKey {
    /// Reads the key at `path`, or makes it there.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, Error> {
        let file = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        match fs::read_to_string(path) {
            Ok(pem) => {
                let damaged = |source| Error::Damaged {
                    path: path.to_owned(),
                    source,
                };
                Ok(Self::derive(KeyPair::from_pem(&pem).map_err(damaged)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
                let pair = pair.map_err(Error::Generate)?;
                write_private(path, pair.serialize_pem().as_bytes()).map_err(file)?;
                Ok(Self::derive(pair))
            }
            Err(error) => Err(file(error)),
        }
    }

    fn derive(pair: KeyPair) -> Self {
        let secret = zeroize::Zeroizing::new(pair.serialize_der());
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"coracle device key");
        let root = salt.extract(&secret);
        let seal = |info: &'static [u8]| -> [u8; 32] {
            let mut out = [0; 32];
            root.expand(&[info], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut out))
                .expect("32 bytes is what HKDF-SHA256 gives in one block");
            out
        };
        let sealing = aead::UnboundKey::new(&aead::AES_256_GCM, &seal(b"checkpoint"))
            .expect("AES-256 takes 32 bytes");
        Self {
            pair,
            sealing: aead::LessSafeKey::new(sealing),
            mac: hmac::Key::new(hmac::HMAC_SHA256, &seal(b"compiled code")),
        }
    }

    /// The key pair that certificates are made for.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// The key that authenticates compiled code on disk.
    pub(crate) fn mac(&self) -> &hmac::Key {
        &self.mac
    }

    /// Encrypts for this device only. `context` says what it is; another context does not open it.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, io::Error> {
        let mut nonce = [0; aead::NONCE_LEN];
        let unspecified = |_opaque: ring::error::Unspecified| io::Error::other("cannot encrypt");
        ring::rand::SystemRandom::new()
            .fill(&mut nonce)
            .map_err(unspecified)?;
        let mut sealed = plain.to_vec();
        let sealing = aead::Nonce::assume_unique_for_key(nonce);
        let context = aead::Aad::from(context.as_bytes());
        self.sealing
            .seal_in_place_append_tag(sealing, context, &mut sealed)
            .map_err(unspecified)?;
        Ok([&nonce, sealed.as_slice()].concat())
    }

    /// The opposite of `seal`; none for anything that this device did not seal.
    pub(crate) fn open(&self, context: &str, sealed: &[u8]) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(aead::NONCE_LEN)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = zeroize::Zeroizing::new(sealed.to_vec());
        let context = aead::Aad::from(context.as_bytes());
        let size = self
            .sealing
            .open_in_place(nonce, context, &mut plain)
            .ok()?
            .len();
        plain.truncate(size);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let first = DeviceKey::open_or_create(&path).unwrap();
        let second = DeviceKey::open_or_create(&path).unwrap();
        assert_eq!(first.pair.serialize_der(), second.pair.serialize_der());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "nonsense").unwrap();
        let error = DeviceKey::open_or_create(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("is damaged; remove it and join again with a new token"),
            "{error}"
        );
    }

    #[test]
    fn what_is_sealed_opens_here_and_only_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::open_or_create(&dir.path().join("a")).unwrap();
        let other = DeviceKey::open_or_create(&dir.path().join("b")).unwrap();
        let sealed = key.seal("pod", b"secret").unwrap();
        assert_eq!(key.open("pod", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open("other", &sealed).is_none());
        assert!(other.open("pod", &sealed).is_none());
        let mut flipped = sealed;
        flipped[15] ^= 1;
        assert!(key.open("pod", &flipped).is_none());
        assert!(key.open("pod", b"short").is_none());
    }
}
