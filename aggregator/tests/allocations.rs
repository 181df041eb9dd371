//! The way of a line that is dropped allocates nothing: counted by an allocator, from the bytes of a window to the
//! decision of the default pipelines.
#![allow(unsafe_code, reason = "an allocator cannot be written without; it only counts and hands on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use weir_aggregator::event::EventDecoder;
use weir_aggregator::pipeline::{LoadOptions, Program, Tally};

/// The system's allocator, with a count for each thread: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread took and did not give back.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn note(allocations: u64, bytes: i64) {
    // A thread that ends has no count any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call is handed to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Events of a run; enough for chunks of the decoder to be filled and given back.
const EVENTS: u64 = 10_000;

fn default_pipelines() -> Program {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
    Program::load(&[folder], &LoadOptions::default()).expect("the default pipelines")
}

/// Runs lines of one kind twice, the first time to warm up, and returns allocations and growth of the second run.
fn measure(line: fn(u64) -> String) -> (u64, i64) {
    let program = default_pipelines();
    let documents: Vec<Bytes> = (0..EVENTS)
        .map(|n| {
            let message = serde_json::to_string(&line(n)).unwrap();
            Bytes::from(format!(
                r#"{{"@timestamp":"2026-03-01T12:00:00.{n:09}Z","message":{message},"stream":"stdout","@metadata":{{"weir":{{"start":{},"end":{},"source":"00f3a6c2d1e4b0{}0"}},"beat":"weir"}},"log":{{"offset":{n},"file":{{"path":"/x.log"}}}},"container":{{"id":"f6{}"}},"service":{{"name":"shop_web"}}}}"#,
                n * 100,
                n * 100 + 99,
                n / 64 % 4,
                n / 64 % 4,
            ))
        })
        .collect();
    let mut decoder = EventDecoder::new();
    let mut tally = Tally::new();
    let mut kept = Vec::new();
    let mut run = || {
        let before = (ALLOCATIONS.get(), HELD.get());
        for document in &documents {
            program.run(decoder.decode(document.clone()), &mut kept, &mut tally);
            assert!(kept.is_empty(), "this line is to be dropped: {document:?}");
        }
        (ALLOCATIONS.get() - before.0, HELD.get() - before.1)
    };
    run();
    run()
}

#[test]
fn a_line_that_is_dropped_allocates_nothing() {
    let plain: [fn(u64) -> String; 4] = [
        |n| format!("2026-03-01 12:00:00.{:03}  INFO 1 --- [nio-8080-exec-1] c.e.Orders : order {n}", n % 1000),
        |n| format!("time=2026-03-01T12:00:00Z level=debug msg=checked took={n}ms"),
        |n| format!("I0301 12:00:00.{:06}       1 controller.go:7] synced default/{n}", n % 1_000_000),
        |n| format!("2026-03-01 12:00:00,{:03} - worker.tasks - INFO - task {n} finished", n % 1000),
    ];
    for line in plain {
        assert_eq!(measure(line), (0, 0), "allocations, bytes held: {}", line(0));
    }
}

#[test]
fn lines_with_escapes_are_unescaped_into_chunks() {
    let (allocations, held) = measure(|n| format!(r#"{{"level":"info","ts":1772366400.{n:03},"msg":"request done"}}"#));
    // A chunk of 64 KB holds some hundred lines.
    assert!(allocations < EVENTS / 100, "{allocations} allocations for {EVENTS} lines");
    assert!(held.abs() < 256 * 1024, "{held} more bytes are held");
}
