use super::*;
use proptest::prelude::*;

const ID: &str = r#""0101010101010101010101010101010101010101010101010101010101010101""#;

fn with(fields: &str) -> Result<DataChunk, String> {
    let json = format!(r#"{{"dataset_id": {ID}, {fields}}}"#);
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

const RANGE: &str = r#""block_range": {"start": 0, "end": 35}"#;

#[test]
fn what_is_there_twice_is_refused() {
    let sound = format!(r#""id": {ID}, {RANGE}, "files": {{"a": "http://h/a"}}"#);
    assert_eq!(with(&sound).unwrap().files["a"], "http://h/a");
    let files = r#""files": {"a": "http://h/canary", "\u0061": "http://h/b"}"#;
    let error = with(&format!(r#""id": {ID}, {RANGE}, {files}"#)).unwrap_err();
    assert!(error.starts_with(NAME_TWICE) && !error.contains("canary"));
    for twice in [
        format!(r#""id": {ID}"#),
        format!(r#""dataset_id": {ID}"#),
        RANGE.to_owned(),
        r#""files": {}"#.to_owned(),
    ] {
        let error = with(&format!("{sound}, {twice}")).unwrap_err();
        assert!(error.starts_with("duplicate field"), "{error}");
    }
    let range = r#""block_range": {"start": 0, "end": 35, "start": 1}"#;
    assert!(with(&format!(r#""id": {ID}, {range}, "files": {{}}"#)).is_err());
}

#[test]
fn an_array_is_no_object() {
    let sound = |range: &str| format!(r#""id": {ID}, "block_range": {range}, "files": {{}}"#);
    assert!(with(&sound(r#"{"start": 0, "end": 35}"#)).is_ok());
    assert!(with(&sound("[0, 35]")).is_err());
    let chunk = format!(r#"[{ID}, {ID}, {{"start": 0, "end": 35}}, {{}}]"#);
    assert!(serde_json::from_str::<DataChunk>(&chunk).is_err());
}

#[test]
fn ids_in_capitals_are_refused() {
    let sound = |id: &str| with(&format!(r#""id": "{id}", {RANGE}, "files": {{}}"#));
    assert!(sound(&"ab".repeat(32)).is_ok());
    let error = sound(&"AB".repeat(32)).unwrap_err();
    assert!(error.contains("lower-case"), "{error}");
}

#[test]
fn what_a_later_scheduler_adds_is_let_pass() {
    let more = r#""weight": 3, "hints": {"files": [1, {"id": null}]}"#;
    assert!(with(&format!(r#""id": {ID}, {more}, {RANGE}, "files": {{}}"#)).is_ok());
}

/// Any chunk, sound or not, whose JSON may be anything that a string can hold.
pub(in crate::data_chunk) fn any_chunk() -> impl Strategy<Value = DataChunk> {
    let files = prop::collection::hash_map(any::<String>(), any::<String>(), 0..4);
    (
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        any::<(u64, u64)>(),
        files,
    )
        .prop_map(|(id, dataset_id, (start, end), files)| DataChunk {
            id,
            dataset_id,
            block_range: start..end,
            files,
        })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(chunk in any_chunk()) {
        let json = serde_json::to_string(&chunk).unwrap();
        let read: DataChunk = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &chunk);
        // Each map has an order of its own; the bytes do not.
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }

    #[test]
    fn what_is_accepted_is_written_the_same(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let sound = format!(
            r#"{{"id":{ID},"dataset_id":{ID},"block_range":{{"start":10,"end":35}},"files":{{"a":"b"}}}}"#
        );
        let mut bytes = sound.into_bytes();
        // Between what JSON says, white space says nothing.
        prop_assume!(!to.is_ascii_whitespace());
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = serde_json::from_slice::<DataChunk>(&bytes) {
            prop_assert_eq!(serde_json::to_vec(&read).unwrap(), bytes);
        }
    }
}
