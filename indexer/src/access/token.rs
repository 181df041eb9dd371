//! API keys: an id that names the entry in the book, and a secret of 256 random bits of which the book holds a SHA-256.
//! Passed on as Elasticsearch's are: base64 of `id:secret`, after `ApiKey ` or `Bearer `.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use super::book::{Book, Token};
use crate::base64;

/// A token that was just made. The secret is shown once, and kept nowhere.
pub struct Made {
    /// The entry's name in the book.
    pub id: String,
    /// What the book keeps.
    pub hash: String,
    /// What its bearer sends after `ApiKey `.
    pub encoded: String,
}

/// Makes a token.
///
/// # Errors
/// When no random numbers are to be had.
pub fn make() -> Result<Made, String> {
    let mut bytes = [0; 47];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    let (id, secret) = (base64::encode_url(&bytes[..15]), base64::encode_url(&bytes[15..]));
    let encoded = base64::encode(format!("{id}:{secret}").as_bytes());
    Ok(Made { hash: sha256(secret.as_bytes()), id, encoded })
}

/// The token in the book that `encoded` is, whether it has ended or not.
pub fn find<'a>(book: &'a Book, encoded: &str) -> Option<(String, &'a Token)> {
    let text = String::from_utf8(base64::decode(encoded.trim())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let token = book.tokens.get(id)?;
    same(sha256(secret.as_bytes()).as_bytes(), token.hash.as_bytes()).then(|| (id.to_owned(), token))
}

/// SHA-256, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that tells nothing of where they differ.
pub fn same(given: &[u8], expected: &[u8]) -> bool {
    given.ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use super::super::book::Grant;
    use super::super::{Reach, Role};
    use super::*;

    #[test]
    fn a_token_is_found_by_its_secret_alone() {
        let made = make().unwrap();
        let mut book = Book::default();
        let may = Grant { role: Role::Ingest, reach: Reach::default() };
        let token = Token { name: "aggregator".to_owned(), hash: made.hash.clone(), may, made: 0, ends: None };
        book.tokens.insert(made.id.clone(), token);
        assert_eq!(find(&book, &made.encoded).unwrap().1.name, "aggregator");
        let wrong = base64::encode(format!("{}:{}", made.id, "x".repeat(43)).as_bytes());
        for other in [wrong.as_str(), "", "nonsense", &made.id, &made.hash] {
            assert!(find(&book, other).is_none(), "{other}");
        }
    }
}
