//! Passwords: hashed with argon2id, in PHC form (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Memory of one hash, in KiB: OWASP's recommendation with two passes. Two run at the same time at most (see `gate`).
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Bytes of salt, as RFC 9106 recommends.
const SALT_BYTES: usize = 16;
/// Most memory that a hash in the file may ask for, in KiB: a file from elsewhere must not take the machine.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Shortest password that is taken; shorter ones are guessed, however they are hashed.
pub const CHARS_MIN: usize = 10;
/// Longest password, in bytes.
pub const BYTES_MAX: usize = 1_024;

fn argon2() -> Result<Argon2<'static>, String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of a password, with a salt of its own. Takes about 20 ms and 19 MiB.
///
/// # Errors
/// A sentence: too short, too long, or no random numbers are to be had.
pub fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
        return Err(format!("a password has at least {CHARS_MIN} characters and at most {BYTES_MAX} bytes"));
    }
    hash_any(password)
}

fn hash_any(password: &str) -> Result<String, String> {
    let mut bytes = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    // PHC's base64 is the standard one without padding.
    let text = crate::base64::encode(&bytes);
    let salt = Salt::from_b64(text.trim_end_matches('=')).map_err(|error| error.to_string())?;
    let hash = argon2()?.hash_password(password.as_bytes(), salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Whether a password is the one that was hashed. Without a hash it takes as long and says no, so that nobody learns by
/// the time which users there are.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    static NOBODY: OnceLock<Option<String>> = OnceLock::new();
    let nobody = NOBODY.get_or_init(|| hash_any("nobody").ok());
    let Some(text) = hash.or(nobody.as_deref()) else { return false };
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    if Params::try_from(&parsed).is_ok_and(|params| params.m_cost() > MEMORY_KIB_MAX) {
        return false;
    }
    let right = argon2().is_ok_and(|argon2| argon2.verify_password(password.as_bytes(), &parsed).is_ok());
    right && hash.is_some()
}

/// A password for somebody who names none: 120 random bits in letters that can be read aloud and typed.
///
/// # Errors
/// When no random numbers are to be had.
pub fn random() -> Result<String, String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_fits() {
        let hashed = hash("correct horse").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert_ne!(hashed, hash("correct horse").unwrap(), "each has its own salt");
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("correct hors", Some(&hashed)) && !verify("correct horse", Some("nonsense")));
        assert!(!verify("nobody", None));
        assert!(hash("short").is_err() && hash(&"x".repeat(2_000)).is_err());
        assert_eq!(random().unwrap().len(), 24);
    }

    #[test]
    fn a_hash_cannot_ask_for_all_memory() {
        let greedy =
            "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        assert!(!verify("anything", Some(greedy)));
    }
}
