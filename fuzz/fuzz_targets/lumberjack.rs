//! The Lumberjack codec: a stream cut anywhere gives the same items and the same refusal as one that comes whole, and
//! what the writer compresses is what the reader unpacks.
#![no_main]
use libfuzzer_sys::fuzz_target;
use weir_lumberjack::{AckDecoder, Compressor, Decoder, Item, Limits, Window};

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

/// Sends the lines of `data` as the events of a compressed window, whole or in parts: in parts, a line that ends
/// with its only space is all template, and any other has one of no bytes.
fn there_and_back(data: &[u8], level: u32, parts: bool) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut window = Window::new();
    for line in &lines {
        if parts && let Some(space) = line.iter().position(|byte| *byte == b' ') {
            let template = window.template(&[&line[..space], b" "]).zip(window.template(&[b"", b"", b""]));
            if let Some((known, free)) = template {
                let taken = match line.split_last() {
                    Some((b' ', rest)) if rest.len() == space => window.parts(known, &[b""]),
                    _ => window.parts(free, &[&line[..space], &line[space..]]),
                };
                taken.expect("it is short");
                continue;
            }
        }
        let mut slot = window.event();
        slot.buffer().extend_from_slice(line);
        slot.commit().expect("a line has bytes");
    }
    let mut whole = Window::new();
    window.whole(&mut whole).expect("it is short");
    assert_eq!(items(whole.plain(), usize::MAX), items(window.plain(), usize::MAX));
    let mut packed = Vec::new();
    window.compress(&mut Compressor::new(level), &mut packed).expect("it is short");
    let mut decoder = Decoder::new(Limits::default());
    decoder.space().extend_from_slice(&packed);
    let mut came = Vec::new();
    while let Some(item) = decoder.next().expect("our own window") {
        if let Item::Event { document, .. } = item {
            came.push(document.to_vec());
        }
    }
    assert_eq!(came, lines);
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    let whole = items(stream, stream.len().max(1));
    assert_eq!(items(stream, usize::from(*step).max(1)), whole);
    let mut acks = AckDecoder::new();
    let mut rest = stream;
    while let Ok(Some(_)) = acks.next(&mut rest) {}
    there_and_back(stream, 1 + u32::from(*step) % 3, *step >= 128);
});
