//! The level of a line: any line has one or none, and it does not depend on what stands far behind its head.
#![no_main]
use libfuzzer_sys::fuzz_target;
use weir_aggregator::level::detect;

fuzz_target!(|line: &str| {
    let _ = detect(line);
});
