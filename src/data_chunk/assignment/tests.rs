use super::*;
use crate::data_chunk::json::tests::any_chunk;
use crate::error::ErrorKind;
use proptest::prelude::*;

fn chunk(n: u8) -> DataChunk {
    let files = ["c", "a", "b"].map(|name| (name.to_owned(), format!("http://u:canary@h/{name}")));
    DataChunk {
        id: [n; 32],
        dataset_id: [9; 32],
        block_range: 0..35,
        files: files.into(),
    }
}

fn refusal(json: &str) -> String {
    let error = AssignmentDocument::from_json(json.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{json}");
    assert!(std::error::Error::source(&error).is_none());
    error.to_string()
}

#[test]
fn only_a_document_that_says_so_has_no_chunks() {
    let none = AssignmentDocument::from_json(br#"{"chunks": []}"#).unwrap();
    assert_eq!(none, AssignmentDocument::default());
    for text in [
        "",
        " ",
        "{}",
        "[]",
        "[[]]",
        "null",
        "{\"chunk\": []}",
        "{\"Chunks\": []}",
        "{\"chunks\": null}",
        "{\"chunks\": {}}",
        "{\"chunks\": [",
        "{\"chunks\": []",
        "{\"chunks\": []}]",
        "{\"chunks\": []} {\"chunks\": []}",
        "{\"chunks\": [], \"chunks\": []}",
        "\u{feff}{\"chunks\": []}",
    ] {
        refusal(text);
    }
}

#[test]
fn a_refusal_says_where_and_why() {
    for (text, reason) in [
        (
            "{\n\"chunk\": []}",
            "missing field `chunks` (line 2 column ",
        ),
        (
            "{\"chunks\": [],\n\"chunks\": []}",
            "duplicate field `chunks` (line 2 column ",
        ),
        ("{\"chunks\": [}", "is not valid JSON (line 1 column 13)"),
        ("{\"chunks\": [", "ends too early (line 1 column 12)"),
        (
            "{\"chunks\": 5}",
            "a value is of the wrong kind (line 1 column 12)",
        ),
        (
            "{\"chunks\": [{\"id\": \"AB\"}]}",
            "an id is 64 lower-case hexadecimal digits (line 1",
        ),
    ] {
        let said = refusal(text);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn the_same_id_twice_is_refused_by_name() {
    let twice = AssignmentDocument::new([chunk(1), chunk(2), chunk(1)]).to_json();
    let error = AssignmentDocument::from_json(twice.as_bytes()).unwrap_err();
    assert_eq!(
        (error.kind(), error.chunk_id()),
        (ErrorKind::Refused, Some([1; 32]))
    );
    assert!(error.to_string().contains("same id"), "{error}");
    let error = serde_json::from_str::<AssignmentDocument>(&twice).unwrap_err();
    assert!(error.to_string().contains(&"01".repeat(32)), "{error}");
}

#[test]
fn equal_documents_are_equal_bytes_and_show_no_secrets() {
    let document = || AssignmentDocument::new([chunk(1), chunk(2)]);
    let json = document().to_json();
    assert!(json.find("/a").unwrap() < json.find("/b").unwrap());
    for _ in 0..20 {
        assert_eq!(document().to_json(), json);
    }
    assert_eq!(
        AssignmentDocument::from_json(json.as_bytes()).unwrap(),
        document()
    );
    assert_eq!(
        serde_json::from_str::<AssignmentDocument>(&json).unwrap(),
        document()
    );
    let shown = format!("{:?}", document());
    assert!(
        shown.contains("http://h/a") && !shown.contains("canary"),
        "{shown}"
    );
}

#[test]
fn no_refusal_repeats_the_document() {
    let url = "http://u:canary@h/a?canary";
    let sound = AssignmentDocument::new([chunk(1)]).to_json();
    let places = [
        "{\"chunks\"",
        "\"id\"",
        "\"start\"",
        "\"end\"",
        "\"block_range\"",
        "\"files\"",
        "\"a\"",
        "\"0101",
        "35",
        "0,",
        ":",
        "}",
        "[",
    ];
    for place in places {
        for instead in [
            format!("\"{url}\""),
            format!("\"{url}, expected canary\""),
            format!("\"missing field `{url}`\""),
            format!("\"{url}\": 1, {place}"),
            url.to_owned(),
        ] {
            let broken = sound.replacen(place, &instead, 1);
            if let Err(error) = AssignmentDocument::from_json(broken.as_bytes()) {
                let said = format!(
                    "{error} {error:?} {}",
                    serde_json::to_string(&error).unwrap()
                );
                assert!(!said.contains("canary"), "{broken}\n{said}");
            }
        }
    }
}

#[test]
fn depth_is_no_way_to_overflow_the_stack() {
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for deep in [
        deep("[", "]"),
        deep("{\"chunks\":", "}"),
        "[".repeat(100_000),
        deep("{\"files\":", "}"),
    ] {
        refusal(&deep);
        refusal(&format!("{{\"chunks\": {deep}}}"));
        refusal(&format!("{{\"chunks\": [{deep}]}}"));
        refusal(&format!("{{\"chunks\": [{{\"files\": {deep}}}]}}"));
        // In a field that nobody reads it may be sound; it must only be survived.
        let unread = format!("{{\"chunks\": [], \"more\": {deep}}}");
        let _ = AssignmentDocument::from_json(unread.as_bytes());
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(chunks in prop::collection::vec(any_chunk(), 0..4)) {
        let document = AssignmentDocument::new(chunks);
        let json = document.to_json();
        match AssignmentDocument::from_json(json.as_bytes()) {
            Ok(read) => {
                prop_assert_eq!(&read, &document);
                prop_assert_eq!(read.to_json(), json);
            }
            Err(error) => prop_assert!(error.chunk_id().is_some(), "{}", error),
        }
    }

    #[test]
    fn anything_at_all_is_survived(text in ".*", cut in any::<prop::sample::Index>()) {
        let _ = AssignmentDocument::from_json(text.as_bytes());
        // A document that was cut never reads as a shorter one.
        let json = AssignmentDocument::new([chunk(1), chunk(2)]).to_json();
        let cut = cut.index(json.len());
        prop_assert!(AssignmentDocument::from_json(&json.as_bytes()[..cut]).is_err());
    }
}
