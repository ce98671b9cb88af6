use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;

/// Text that is nearly JSON of a chunk: the pieces of one, in any order and number.
fn nearly_json() -> impl Strategy<Value = String> {
    let id = format!("\"{}\"", "0a".repeat(32));
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"id\":",
        "\"dataset_id\":",
        "\"block_range\":",
        "\"files\":",
        "\"start\":0,\"end\":35",
        "\"chunks\":",
        "\"a\":\"http://h/a\"",
        "null",
        "-1",
        "35.0",
        " ",
        "\"\\u0061\":\"b\"",
        &id,
    ];
    let pieces = pieces.map(str::to_owned).to_vec();
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

/// JSON of a chunk, with the fields in any order, some of them missing, twice or in another form.
fn odd_chunk() -> impl Strategy<Value = String> {
    let id = "0a".repeat(32);
    let fields = [
        format!("\"id\":\"{id}\""),
        format!("\"id\":\"{}\"", id.to_uppercase()),
        format!("\"dataset_id\":\"{id}\""),
        "\"block_range\":{\"start\":0,\"end\":35}".to_owned(),
        "\"block_range\":[0,35]".to_owned(),
        "\"block_range\":{\"end\":0,\"start\":18446744073709551615}".to_owned(),
        "\"files\":{\"b\":\"http://h/b\",\"a\":\"HTTP://u:p@h?q\"}".to_owned(),
        "\"files\":{\"a\":\"x\",\"\\u0061\":\"y\"}".to_owned(),
        "\"files\":{}".to_owned(),
        "\"more\":[{\"id\":1,\"id\":2}]".to_owned(),
    ];
    let fields = prop::sample::subsequence(fields.to_vec(), 3..=6).prop_shuffle();
    fields.prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// URLs from parts that RFC 3986 allows in their places, with a canary in each that authorises.
fn url_with_secrets() -> impl Strategy<Value = String> {
    let scheme = "(https?|HTTP|s3|file|x-y\\+z\\.1)";
    let user = "([a-z!$&'()*+,;=:._~-]|%40|%2F|%3a){0,6}";
    let host = "([a-z0-9.-]{0,8}|\\[::1\\]|127\\.0\\.0\\.1|\\[v1\\.a:b\\])";
    let port = "(:[0-9]{0,6})?";
    let path = "(/([a-z@:!$&=.]|%23|%3F|%40){0,4}){0,4}";
    let rest = "([a-z@:/?=&]|%23){0,6}";
    (scheme, user, host, port, path, rest, rest).prop_map(
        |(scheme, user, host, port, path, query, fragment)| {
            format!("{scheme}://{user}canary@{host}{port}{path}?{query}canary#{fragment}canary")
        },
    )
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[._ a-z/\\\\\0\n~%*?:-]{0,12}",
        "(_chunk.json|_parts|\\.{1,3})[a-z/]?",
        "\\PC{60,90}",
    ]
}

proptest! {
    #[test]
    fn json(text in prop_oneof![nearly_json(), odd_chunk()]) {
        chunk_json(text.as_bytes());
        assignment(text.as_bytes());
        assignment(format!("{{\"chunks\":[{text}]}}").as_bytes());
        assignment(format!("{{\"chunks\":[{text},{text}]}}").as_bytes());
    }

    #[test]
    fn urls(text in ".*", nearly in "[a-z]{0,2}:?/{0,3}[a-z:@/?#%0\\[\\]]{0,16}(#sha256=[0-9a-fA-F]{63,65})?") {
        url(&text);
        url(&nearly);
    }

    #[test]
    fn redaction_leaves_no_secret(text in url_with_secrets()) {
        let shown = redact_url(&text);
        prop_assert!(!shown.contains("canary") && shown != "<invalid url>", "{} of {}", shown, text);
        url(&text);
        let (location, _) = text.split_once('#').unwrap();
        prop_assert!(!host_of(location).contains("canary"), "{}", location);
        host(location);
        // Refused for its fragment, in words that do not repeat it.
        prop_assert!(!parse_file_url(&text).unwrap_err().contains("canary"));
    }

    #[test]
    fn file_names(name in any_name()) {
        file_name(&name);
    }

    #[test]
    fn accepted_names_are_what_the_directory_lists(names in prop::collection::btree_set(any_name(), 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        let accepted = |name: &String| check_file_name(name).is_ok();
        let names: BTreeSet<String> = names.into_iter().filter(accepted).collect();
        for name in &names {
            fs::File::create_new(dir.path().join(name)).unwrap();
        }
        let listed = fs::read_dir(dir.path()).unwrap();
        let listed = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        prop_assert_eq!(listed.collect::<BTreeSet<String>>(), names);
    }
}
