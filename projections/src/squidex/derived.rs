//! Values in place of the random ones that Squidex makes while it folds: derived from the event, so that
//! two builds are equal.

use crate::Event;

/// A value for an event that no other event has: the FNV-1a hash, of 128 bits, of `stream/number`.
pub(super) fn of_event(event: &Event<'_>) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let text = format!("{}/{}", event.stream, event.number);
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    #[test]
    fn it_is_the_hash_of_stream_and_number() {
        let of = |stream, number| {
            let payload = Payload::Json("{}");
            of_event(&Event { stream, number, event_type: "", payload, metadata: None })
        };
        assert_eq!(of("app-1", 0), 0x6437_463e_554f_f78d_a80c_531c_06c8_0561);
        assert_ne!(of("app-1", 0), of("app-1", 1));
        assert_ne!(of("app-1", 0), of("app-2", 0));
    }
}
