//! The resume tokens of change streams.

use bson::{Bson, Timestamp};
use mongodb::change_stream::event::ResumeToken;

/// The time of a resume token: its key string begins with the type of a timestamp (0x82) and
/// eight bytes, big endian, in hexadecimal digits.
pub(in crate::store) fn time_of(token: &ResumeToken) -> Option<Timestamp> {
    let token = bson::serialize_to_bson(token).ok()?;
    let data = token.as_document()?.get("_data").and_then(Bson::as_str)?;
    let digits = data.strip_prefix("82")?;
    let number = |range: std::ops::Range<usize>| u32::from_str_radix(digits.get(range)?, 16).ok();
    Some(Timestamp { time: number(0..8)?, increment: number(8..16)? })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_resume_token_tells_its_time() {
        let token = doc! { "_data": "8263F5B0A1000000022B0229296E04" };
        let token: ResumeToken = bson::deserialize_from_bson(token.into()).unwrap();
        assert_eq!(time_of(&token), Some(Timestamp { time: 0x63F5_B0A1, increment: 2 }));
        let odd: ResumeToken = bson::deserialize_from_bson(doc! { "_data": "xx" }.into()).unwrap();
        assert_eq!(time_of(&odd), None);
    }
}
