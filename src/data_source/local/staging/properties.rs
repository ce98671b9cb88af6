//! What holds for every record of a part that is read back. Panics where it does not.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use super::*;

/// What is accepted is, byte for byte, what is written.
pub fn part_record(bytes: &[u8]) {
    if let Some(record) = PartRecord::parse(bytes) {
        assert_eq!(record.to_json(), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(
        boot: String,
        version: Option<(String, Option<u64>)>,
        sum: Option<u64>,
    ) -> PartRecord {
        PartRecord {
            boot,
            version: version.map(|(validator, total_bytes)| Version {
                validator,
                total_bytes,
            }),
            complete_xxh3: sum,
        }
    }

    #[test]
    fn another_spelling_is_none_of_ours() {
        let ours =
            br#"{"boot":"b","version":{"validator":"v","total_bytes":null},"complete_xxh3":7}"#;
        assert!(PartRecord::parse(ours).is_some());
        for other in [
            r#"["b",{"validator":"v","total_bytes":null},7]"#,
            r#"{"boot":"b","version":["v",null],"complete_xxh3":7}"#,
            r#"{"boot":"b","version":{"validator":"v"},"complete_xxh3":7}"#,
            r#"{"boot":"b","version":{"validator":"v","total_bytes":null},"complete_xxh3":7,"x":1}"#,
            r#"{"boot":"b","version":{"validator":"v","total_bytes":null},"complete_xxh3":7} "#,
        ] {
            assert!(PartRecord::parse(other.as_bytes()).is_none(), "{other}");
        }
        let deep = "[".repeat(100_000);
        part_record(deep.as_bytes());
        part_record(format!("{{\"boot\":{deep}").as_bytes());
    }

    proptest! {
        #[test]
        fn records_read_back(boot: String, version: Option<(String, Option<u64>)>, sum: Option<u64>) {
            let json = record(boot.clone(), version.clone(), sum).to_json();
            let read = PartRecord::parse(&json).unwrap();
            prop_assert_eq!((read.boot, read.complete_xxh3), (boot, sum));
            let read = read.version.map(|read| (read.validator, read.total_bytes));
            prop_assert_eq!(read, version);
        }

        #[test]
        fn any_changed_byte_is_survived(at in any::<prop::sample::Index>(), to: u8) {
            let mut json = record("b".to_owned(), Some(("v".to_owned(), None)), Some(7)).to_json();
            let at = at.index(json.len());
            json[at] = to;
            part_record(&json);
        }
    }
}
