//! The beginning of a text, as far as so many bytes hold whole characters.

/// The longest beginning of `text` of at most `bytes_max` bytes that ends between two characters.
pub(crate) fn front(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(front("größe", 100), "größe");
        assert_eq!(front("größe", 3), "gr");
        assert_eq!(front("größe", 4), "grö");
        assert_eq!(front("ö", 1), "");
    }
}
