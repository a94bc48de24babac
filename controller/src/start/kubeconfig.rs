//! The administrator's kubeconfig: everything in it, no file beside it.

use crate::pki;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_daemon::write_private;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A certificate that ends sooner is replaced.
const LEFT_MIN: SignedDuration = SignedDuration::from_hours(180 * 24);
const USER: &str = "kubernetes-admin";
const KEY: &str = "\n    client-key-data: ";

/// Writes the kubeconfig, where the one that is there does not do. That it cannot be written keeps nobody from starting: on
/// a full disk, a started controller is how to make room.
///
/// # Errors
/// When the certificate cannot be made.
pub(super) fn keep(
    dir: &Path,
    pki: &pki::Pki,
    api: SocketAddr,
    now: Timestamp,
) -> Result<PathBuf, pki::Error> {
    let path = dir.join("kubeconfig");
    let head = head(pki.ca_pem(), api);
    let there = fs::read_to_string(&path).map(Zeroizing::new);
    if there.is_ok_and(|text| does(&text, &head, now)) {
        return Ok(path);
    }
    let admin = pki.issue_client(USER, &["system:masters"])?;
    let certificate = STANDARD.encode(&admin.certificate);
    let key = Zeroizing::new(STANDARD.encode(admin.key.as_bytes()));
    let text = Zeroizing::new(format!("{head}{certificate}{KEY}{}\n", key.as_str()));
    if let Err(error) = write_private(&path, text.as_bytes()) {
        tracing::warn!(%error, path = %path.display(), "cannot write the kubeconfig; what was there stays");
    }
    Ok(path)
}

/// Whether a kubeconfig leads to this server, and will for long.
fn does(text: &str, head: &str, now: Timestamp) -> bool {
    let rest = text
        .strip_prefix(head)
        .and_then(|rest| rest.split_once(KEY));
    let Some((certificate, key)) = rest else {
        return false;
    };
    let pem = STANDARD.decode(certificate).unwrap_or_default();
    let end = CertificateDer::from_pem_slice(&pem)
        .ok()
        .and_then(|der| pki::end_of_certificate(&der));
    let is_long = end.is_some_and(|end| end.duration_since(now) > LEFT_MIN);
    is_long
        && STANDARD
            .decode(key.trim_end())
            .is_ok_and(|key| !key.is_empty())
}

/// All of it but the user's certificate and key.
fn head(ca_pem: &str, api: SocketAddr) -> String {
    let host = if api.ip().is_unspecified() {
        SocketAddr::new([127, 0, 0, 1].into(), api.port())
    } else {
        api
    };
    let ca = STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1
kind: Config
current-context: coracle
clusters:
- name: coracle
  cluster:
    server: https://{host}
    certificate-authority-data: {ca}
contexts:
- name: coracle
  context:
    cluster: coracle
    user: {USER}
users:
- name: {USER}
  user:
    client-certificate-data: "
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_daemon::Clock;

    #[test]
    fn what_does_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let clock = Clock::manual(now);
        let pki = pki::Pki::open(&dir.path().join("pki"), clock).unwrap();
        let (here, there) = (
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
        );
        let days = |days: i64| now + SignedDuration::from_hours(days * 24);
        let keep = |api, now| {
            let path = keep(dir.path(), &pki, api, now).unwrap();
            fs::read_to_string(path).unwrap()
        };
        let first = keep(here, now);
        assert!(first.contains("server: https://127.0.0.1:1\n"));
        assert_eq!(keep(here, days(100)), first, "it does");
        assert_ne!(keep(here, days(200)), first, "its certificate ends");
        assert!(keep(there, now).contains("127.0.0.1:2"), "another address");
        let path = dir.path().join("kubeconfig");
        for broken in ["", "nonsense", &first[..first.len() / 2]] {
            fs::write(&path, broken).unwrap();
            assert!(
                keep(here, now).starts_with(&head(pki.ca_pem(), here)),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let pki = pki::Pki::open(&dir.path().join("pki"), Clock::system()).unwrap();
        // A directory of that name cannot be replaced by a file.
        fs::create_dir(dir.path().join("kubeconfig")).unwrap();
        let now = Clock::system().now();
        assert!(keep(dir.path(), &pki, "127.0.0.1:1".parse().unwrap(), now).is_ok());
        assert!(!dir.path().join("kubeconfig.tmp").exists());
    }
}
