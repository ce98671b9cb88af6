//! What holds for every manifest that is read back. Panics where it does not.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use super::*;

/// What is accepted is, byte for byte, what is written.
pub fn manifest(bytes: &[u8]) {
    let _ = version_of(bytes);
    let Ok(read) = parse(bytes) else {
        return;
    };
    let envelope: Envelope = serde_json::from_slice(bytes).expect("it was read before");
    assert_eq!(envelope.manifest.to_json(), bytes);
    assert_eq!(parse(&envelope.manifest.to_json()).as_ref(), Ok(&read));
}

/// Gives a changed manifest its checksum, so that a target gets behind it.
pub fn manifest_with_checksum(bytes: &[u8]) {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        self::manifest(&manifest.to_json());
        let envelope = (&manifest, manifest.checksum());
        self::manifest(&serde_json::to_vec_pretty(&envelope).expect("it is written"));
    }
}
