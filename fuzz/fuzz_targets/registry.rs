//! A registry file: any bytes are a state or none, and never a panic.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    weir_shipper::fuzzing::registry(data);
});
