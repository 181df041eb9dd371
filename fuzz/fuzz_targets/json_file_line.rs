//! Lines of Docker's json-file driver and of containerd: what is taken can be copied into a document.
#![no_main]
use libfuzzer_sys::fuzz_target;
use weir_shipper::fuzzing;

fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        fuzzing::json_file_line(line);
        fuzzing::cri_line(line);
    }
});
