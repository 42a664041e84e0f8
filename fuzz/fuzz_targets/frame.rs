//! Any bytes as a frame of a spill file; and what is written reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statefold::bench::{decode_frame, encode_frame};

fuzz_target!(|bytes: &[u8]| {
    let mut commits = Vec::new();
    let _ = decode_frame(bytes, &mut commits);
    let mut frame = Vec::new();
    encode_frame(bytes, &mut frame);
    decode_frame(&frame, &mut commits).unwrap();
    assert_eq!(commits, bytes);
});
