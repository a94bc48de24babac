//! The key that signs service accounts' tokens; kept as the CA's, apart from it.

use super::Error;
use crate::auth::jwt;
use coracle_daemon::{make_private_dir, write_private};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use std::{fs, path::Path};
use zeroize::Zeroizing;

/// Opens the key in `dir`, or makes it. Without the old one the tokens it signed are worth nothing.
///
/// # Errors
/// When it is there and cannot be read, or the disk refuses.
pub fn account_key(dir: &Path) -> Result<jwt::Key, Error> {
    let path = dir.join("sa.key");
    let io = |what| {
        let path = path.clone();
        move |source| Error::Io { what, path, source }
    };
    let bad = |source| Error::Ca {
        path: dir.to_owned(),
        source,
    };
    make_private_dir(dir).map_err(io("create"))?;
    if !path.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(bad)?;
        let pem = Zeroizing::new(key.serialize_pem());
        write_private(&path, pem.as_bytes()).map_err(io("write"))?;
    }
    let pem = Zeroizing::new(fs::read_to_string(&path).map_err(io("read"))?);
    let der = Zeroizing::new(KeyPair::from_pem(&pem).map_err(bad)?.serialize_der());
    jwt::Key::from_pkcs8(&der).map_err(|source| Error::AccountKey { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pki");
        let token = account_key(&dir).unwrap().sign(&json!({"a": 1})).unwrap();
        assert!(account_key(&dir).unwrap().verify::<Value>(&token).is_some());
        let mode = fs::metadata(dir.join("sa.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.join("sa.key"), "nonsense").unwrap();
        assert!(account_key(&dir).is_err());
    }
}
