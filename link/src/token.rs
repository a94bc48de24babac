//! Join tokens as people carry them: `ID.SECRET.HASH`, the hash being the SHA-256 of the CA's certificate.
//!
//! The hash is what lets a box trust the controller before it has a certificate, as kubeadm's and k3s's do. `Debug`
//! never prints the secret.

use std::fmt;

/// Letters of an identifier.
pub const ID_CHARS: usize = 6;
/// Letters of a secret: 32 of 36 kinds are 165 bits.
pub const SECRET_CHARS: usize = 32;

/// A join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Public: names the token.
    pub id: String,
    /// Secret.
    pub secret: zeroize::Zeroizing<String>,
    /// SHA-256 of the CA's certificate (DER).
    pub ca_sha256: [u8; 32],
}

/// Text that is no join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a join token is ID.SECRET.HASH, as `coracle token create` prints it")]
pub struct Malformed;

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl JoinToken {
    /// What is sent to the controller: `ID.SECRET`.
    #[must_use]
    pub fn credential(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(format!("{}.{}", self.id, *self.secret))
    }

    /// The whole text, secret included.
    #[must_use]
    pub fn reveal(&self) -> zeroize::Zeroizing<String> {
        let mut text = self.credential();
        text.push('.');
        for byte in self.ca_sha256 {
            use fmt::Write as _;
            let _infallible = write!(*text, "{byte:02x}");
        }
        text
    }
}

/// Takes `ID.SECRET` apart.
///
/// # Errors
/// When it is not of that form.
pub fn split_credential(text: &str) -> Result<(&str, &str), Malformed> {
    let (id, secret) = text.split_once('.').ok_or(Malformed)?;
    let plain = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if plain(id, ID_CHARS) && plain(secret, SECRET_CHARS) {
        Ok((id, secret))
    } else {
        Err(Malformed)
    }
}

impl std::str::FromStr for JoinToken {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (credential, hash) = text.rsplit_once('.').ok_or(Malformed)?;
        let (id, secret) = split_credential(credential)?;
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned().into(),
            ca_sha256: unhex(hash).ok_or(Malformed)?,
        })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let token = JoinToken {
            id: "abc123".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned().into(),
            ca_sha256: [0xa5; 32],
        };
        let text = token.reveal();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("0123456789"));
        assert_eq!(
            split_credential(&token.credential()),
            Ok(("abc123", "0123456789abcdef0123456789abcdef"))
        );
        for bad in [
            "",
            ".",
            "a.b.c",
            "abc123.short.",
            &text[1..],
            &text[..70],
            "é.é.é",
        ] {
            assert_eq!(bad.parse::<JoinToken>(), Err(Malformed), "{bad}");
        }
    }
}
