//! The Lumberjack codec: a stream cut anywhere gives the same items and the same refusal as one that comes whole.
#![no_main]
use libfuzzer_sys::fuzz_target;
use weir_lumberjack::{AckDecoder, Decoder, Limits};

/// What a stream gives, in pieces of `step` bytes, and how it ends.
fn items(data: &[u8], step: usize) -> Vec<String> {
    let mut decoder = Decoder::new(Limits::default());
    let mut items = Vec::new();
    for piece in data.chunks(step) {
        decoder.space().extend_from_slice(piece);
        loop {
            match decoder.next() {
                Ok(Some(item)) => items.push(format!("{item:?}")),
                Ok(None) => break,
                Err(refused) => {
                    items.push(format!("{refused:?}"));
                    return items;
                }
            }
        }
    }
    items
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    let whole = items(stream, stream.len().max(1));
    assert_eq!(items(stream, usize::from(*step).max(1)), whole);
    let mut acks = AckDecoder::new();
    let mut rest = stream;
    while let Ok(Some(_)) = acks.next(&mut rest) {}
});
