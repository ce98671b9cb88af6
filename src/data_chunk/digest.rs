//! Ids and digests, and how they are written: lower-case hexadecimal, always.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// A SHA-256 digest that a description declares for a file.
pub(crate) type Sha256Digest = [u8; 32];

/// 64 lower-case hexadecimal digits.
pub(crate) fn hex_encode(bytes: &[u8; 32]) -> String {
    HEXLOWER.encode(bytes)
}

/// The inverse of [`hex_encode`]; `None` for anything that it does not write.
pub(crate) fn hex_decode(text: impl AsRef<[u8]>) -> Option<[u8; 32]> {
    let (text, mut bytes) = (text.as_ref(), [0; 32]);
    if text.len() != 64 {
        return None;
    }
    HEXLOWER.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

/// A digest as other programs print it: 64 hexadecimal digits in either case.
pub(super) fn parse_sha256(text: &str) -> Option<Sha256Digest> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

/// Why an id is refused.
pub(super) const NOT_AN_ID: &str = "an id is 64 lower-case hexadecimal digits";

/// `#[serde(with)]` for ids.
pub(crate) mod hex_id {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        id: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex_encode(id))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        super::hex_decode(&*text).ok_or_else(|| de::Error::custom(super::NOT_AN_ID))
    }
}

/// `#[serde(with)]` for ids that may be absent; writes only.
pub(crate) mod optional_hex_id {
    use serde::Serializer;

    // The signature is serde's.
    #[allow(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(
        id: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            None => serializer.serialize_none(),
            Some(id) => serializer.serialize_some(&super::hex_encode(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_is_read() {
        let text = hex_encode(&[0xAB; 32]);
        assert_eq!(hex_decode(&text), Some([0xAB; 32]));
        assert_eq!(hex_decode(text.to_uppercase()), None);
        assert_eq!(hex_decode(&text[..62]), None);
        assert_eq!(hex_decode(format!("{text}ab")), None);
        assert_eq!(hex_decode(format!("{}zz", &text[..62])), None);
    }

    #[test]
    fn declared_digests_may_be_in_capitals() {
        assert_eq!(parse_sha256(&"AB".repeat(32)), Some([0xAB; 32]));
        assert_eq!(parse_sha256("ab"), None);
    }
}
