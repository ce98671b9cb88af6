use super::*;
use proptest::prelude::*;

const NUMBER: &str = "(0|[1-9][0-9]{0,19}|0[0-9]{1,3}|[+-][0-9]{1,3}|)";
const HEX: &str = "([0-9a-f]{16}|[0-9a-fA-F]{16}|[0-9a-f]{15}|[+][0-9a-f]{15})";
const ID: &str = "([0-9a-f]{64}|[0-9a-fA-F]{63,65})";

/// Names that are nearly ours, in each of their kinds.
fn nearly_ours() -> impl Strategy<Value = String> {
    prop_oneof![
        (NUMBER, ID).prop_map(|(generation, id)| format!("{generation}-{id}")),
        ("[0-9a-f]{64}", HEX).prop_map(|(id, fingerprint)| format!("{id}-{fingerprint}")),
        ("(dataset_id=|Dataset_id=|)", ID, "[-/0]?")
            .prop_map(|(key, id, end)| format!("{key}{id}{end}")),
        (NUMBER, NUMBER, HEX, "(-[0-9a-fA-F+]{7,9})?").prop_map(
            |(len, generation, print, boot)| {
                let (from, to, id) = (0, 35, "0a".repeat(32));
                format!("chunk={from:020}-{to:020}-{id}-{len}-{generation}-{print}{boot}")
            }
        ),
        ".*",
    ]
}

/// A manifest's JSON without its envelope, with spellings that JSON allows and we do not.
fn nearly_manifest() -> impl Strategy<Value = String> {
    let range = r#"(\{"start":[0-9]{1,2},"end":[0-9]{1,2}\}|\[0,35\])"#;
    let file = r#"(\{"name":"(a|b|\.\.|a/b|\\u0061)","len_bytes":[0-9]{1,2},"xxh3":"[0-9a-fA]{15,16}"(,"sha256":(null|"0f"|"[0-9a-f]{64}"))?\}|\["a",1,"0000000000000000",null\])"#;
    let files = prop::collection::vec(file, 0..3);
    (ID, ID, range, files).prop_map(|(id, dataset_id, range, files)| {
        let files = files.join(",");
        format!(
            r#"{{"version":1,"id":"{id}","dataset_id":"{dataset_id}","block_range":{range},"files":[{files}]}}"#
        )
    })
}

proptest! {
    #[test]
    fn every_name_has_one_spelling(name in nearly_ours()) {
        directory_name(&name);
    }

    #[test]
    fn staging_directories_and_datasets_read_back(id: [u8; 32], fingerprint: u64) {
        let key = StagingKey { id, fingerprint };
        prop_assert_eq!(StagingKey::parse(&key.dir()), Some(key));
        prop_assert_eq!(layout::parse_dataset_dir(&layout::dataset_dir(&id)), Some(id));
    }

    #[test]
    fn every_manifest_has_one_spelling(text in nearly_manifest(), other in ".*") {
        manifest_with_checksum(text.as_bytes());
        manifest(other.as_bytes());
    }
}

#[test]
fn depth_is_no_way_to_overflow_the_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for text in [
        deep.clone(),
        format!(r#"{{"manifest": {deep}, "checksum": ""}}"#),
        r#"{"manifest":"#.repeat(100_000),
    ] {
        manifest(text.as_bytes());
    }
}
