//! Which place is asked when, what is concluded from how it went, and what is refused.

#[cfg(feature = "conformance")]
mod conforming;
mod fake;
mod resuming;

use std::io::Read;
use std::mem;

use self::fake::*;
use super::*;

const ALL: Act = Act::Give(b"0123456789", None);

#[test]
fn a_place_without_the_file_is_well() {
    let world = World::new();
    world.fake.set("b", ALL);
    for _ in 0..9 {
        assert_eq!(world.read("f"), b"0123456789");
        // From where it came the last time it did not come badly, as far as that can be told.
        world.pass(300);
        assert_eq!(world.fake.hosts(), "a b");
    }
    world.fake.set("a", Act::Fail(denied));
    assert_eq!(world.read("g"), b"0123456789");
    assert_eq!(world.fake.hosts(), "a b");
    world.fake.set("a", ALL);
    world.read("h");
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn only_all_places_together_can_say_that_there_is_no_such_file() {
    let world = World::new();
    let error = world.open("f").unwrap_err();
    assert!(error.permanent && error.kind == ErrorKind::NotFound);
    assert_eq!(world.fake.hosts(), "a b c");
    world.fake.set("c", Act::Fail(down));
    let error = world.open("f").unwrap_err();
    assert!(!error.permanent && !error.host_wide);
    // It is down, and may have it.
    world.fake.set("c", ALL);
    assert_eq!(world.read("f"), b"0123456789");
}

#[test]
fn the_error_names_every_place_without_credentials() {
    let world = World::new();
    for host in ["a", "b", "c"] {
        world.fake.set(host, Act::Fail(down));
    }
    let url = "mem://me:secret@a/data/f";
    let error = world.source.open(&OpenRequest::new(url, &world.cancel));
    let error = error.unwrap_err();
    assert!(!error.permanent && error.host_wide);
    let text = format!("{error} {error:?} {:?}", world.source);
    assert_eq!(
        error.to_string(),
        "none of 3 places; mem://b/f: down; mem://c/x/y/f: down; mem://a/data/f: down"
    );
    assert!(!text.contains("secret") && !text.contains("pw"), "{text}");
}

#[test]
fn what_a_url_brings_for_its_host_is_for_no_other() {
    let world = World::new();
    world.fake.set("c", ALL);
    let open = |url| world.source.open(&OpenRequest::new(url, &world.cancel));
    assert!(open("mem://me:secret@A/data/d/f").is_ok());
    let urls: Vec<String> = world.fake.asks().into_iter().map(|ask| ask.0).collect();
    let expected = [
        "mem://me:secret@A/data/d/f",
        "mem://user:pw@b/d/f",
        "mem://c/x/y/d/f",
    ];
    assert_eq!(urls, expected);
    for url in [
        "mem://a/data/f?sig=1",
        "mem://a/data/../f",
        "mem://a/database/f",
    ] {
        assert!(open(url).is_err());
        assert_eq!(world.fake.hosts(), "a", "{url}");
    }
}

#[test]
fn a_dead_place_is_left_alone_until_one_transfer_finds_it_back() {
    let world = World::new();
    world.fake.set("a", Act::Fail(down));
    world.fake.set("b", ALL);
    for n in 0..50 {
        world.read(&format!("{n}"));
    }
    assert_eq!(world.fake.hosts().matches('a').count(), 1);
    world.pass(10);
    world.read("x");
    world.read("y");
    assert_eq!(world.fake.hosts(), "a b b");
    // The second rest is from 10 to 20 s long.
    world.pass(9);
    world.read("z");
    assert_eq!(world.fake.hosts(), "b");
    world.fake.set("a", ALL);
    world.pass(11);
    let trial = world.open("trial").unwrap();
    world.read("meanwhile");
    assert_eq!(world.fake.hosts(), "a b");
    drop(rest_of(trial));
    world.read("after");
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn a_place_that_rests_is_asked_when_nobody_else_has_it() {
    let world = World::new();
    world.fake.set("a", Act::Fail(down));
    world.fake.set("b", ALL);
    world.read("f");
    world.fake.set("a", ALL);
    world.fake.set("b", Act::Fail(missing));
    world.fake.asks();
    assert_eq!(world.read("g"), b"0123456789");
    assert_eq!(world.fake.hosts(), "b c a");
    world.read("h");
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn a_rest_that_was_asked_for_is_given() {
    let world = World::new();
    world.fake.set("a", Act::Fail(busy));
    world.fake.set("b", ALL);
    world.read("f");
    world.pass(29);
    world.read("g");
    assert_eq!(world.fake.hosts(), "a b b");
    world.pass(1);
    world.read("h");
    assert_eq!(world.fake.hosts(), "a b");
}

#[test]
fn a_body_that_breaks_off_is_the_places_failure() {
    for act in [
        Act::Break(b"0123456789", 4, None),
        // It ends without an error, and before its end.
        Act::GoOn(b"0123456789", None),
    ] {
        let world = World::new();
        world.fake.set("b", ALL);
        world.fake.set("a", act.clone());
        let mut opened = world.open("f").unwrap();
        if matches!(act, Act::GoOn(..)) {
            opened.reader = Box::new(Watched::new(
                Opened::new(&b"0123"[..]).reader,
                (0, Some(10)),
                Attempt::begin(&world.source.rules[0], 0, None, false).unwrap(),
                &world.cancel,
            ));
        }
        let mut bytes = Vec::new();
        let _ = opened.reader.read_to_end(&mut bytes);
        assert_eq!(bytes, b"0123");
        drop(opened);
        world.fake.asks();
        world.read("g");
        assert_eq!(world.fake.hosts(), "b");
    }
}

#[test]
fn a_transfer_that_was_given_up_is_held_against_its_file_first() {
    let world = World::new();
    world.fake.set("a", ALL);
    world.fake.set("b", ALL);
    world.give_up("f");
    world.read("f");
    world.read("g");
    assert_eq!(world.fake.hosts(), "a b a");
    // A whole file in between: it was no sign of the place.
    world.give_up("1");
    world.give_up("2");
    world.read("g2");
    assert_eq!(world.fake.hosts(), "a a a");
    world.give_up("3");
    world.give_up("4");
    world.give_up("5");
    world.read("h");
    assert_eq!(world.fake.hosts(), "a a a b");
}

#[test]
fn nothing_is_held_against_a_place_that_nobody_wanted_to_hear() {
    let world = World::new();
    world.fake.set("a", ALL);
    world.fake.set("b", ALL);
    // Not read at all: it was refused for its headers, or there was no room for it.
    for n in 0..9 {
        drop(world.open(&format!("{n}")).unwrap());
    }
    world.fake.asks();
    world.read("f");
    assert_eq!(world.fake.hosts(), "a");
    world.read("0");
    assert_eq!(
        world.fake.hosts(),
        "b",
        "but that file is better had elsewhere"
    );
    let opened: Vec<Opened> = (10..20)
        .map(|n| {
            let mut opened = world.open(&format!("{n}")).unwrap();
            opened.reader.read_exact(&mut [0; 3]).unwrap();
            opened
        })
        .collect();
    world.cancel.cancel();
    drop(opened);
    world.fake.asks();
    world.read("10");
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn who_stops_at_the_last_byte_has_had_it_all() {
    let world = World::new();
    world.fake.set("a", ALL);
    for n in 0..9 {
        let mut opened = world.open(&format!("{n}")).unwrap();
        opened.reader.read_exact(&mut [0; 10]).unwrap();
    }
    assert_eq!(world.fake.hosts(), "a a a a a a a a a");
}

/// Nobody asks again for what was good: it had another digest than was declared.
#[test]
fn a_whole_file_that_is_asked_for_again_is_asked_for_elsewhere() {
    let world = World::new();
    for host in ["a", "b", "c"] {
        world.fake.set(host, ALL);
    }
    for _ in 0..4 {
        world.read("f");
    }
    world.pass(300);
    world.read("f");
    assert_eq!(world.fake.hosts(), "a b c a a");
}

#[test]
fn a_cancelled_transfer_asks_nobody_else() {
    let world = World::new();
    world.fake.set("a", Act::Fail(down));
    world.cancel.cancel();
    assert!(world.open("f").is_err());
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn a_trial_that_nobody_wants_any_more_is_left_to_the_next() {
    let mut world = World::new();
    world.fake.set("a", Act::Fail(down));
    world.fake.set("b", ALL);
    world.read("f");
    world.pass(10);
    world.fake.set("a", ALL);
    let trial = world.open("g").unwrap();
    world.cancel.cancel();
    drop(trial);
    world.cancel = CancelToken::new();
    world.fake.asks();
    world.read("h");
    assert_eq!(world.fake.hosts(), "a");
}

#[test]
fn the_longest_prefix_counts() {
    let world = World::with(&[
        setting("mem://a/", &["mem://b/"]),
        setting("mem://a/data/x", &["mem://d/"]),
        setting("mem://a/data", &["mem://c/"]),
    ]);
    for (url, hosts) in [
        ("mem://a/f", "a b"),
        ("mem://a/data/f", "a c"),
        ("mem://a/data/x/f", "a d"),
        ("mem://a/data/xy", "a c"),
        ("mem://b/f", "b"),
    ] {
        let error = world.source.open(&OpenRequest::new(url, &world.cancel));
        assert!(error.is_err());
        assert_eq!(world.fake.hosts(), hosts, "{url}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_without_their_secrets() {
    let many: Vec<String> = (0..16).map(|n| format!("mem://{n}/")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused: [(&str, &[&str], &str); 10] = [
        ("mem://a/", &[], "no alternates"),
        ("mem://a/", &many, "more than 15"),
        ("mem://a/", &["mem://u:pw@b/?pw"], "query"),
        ("mem://a/", &["pw"], "not a valid URL"),
        ("pw /", &["mem://b/"], "not a valid URL"),
        ("mem://a/", &["ftp://u:pw@b/"], "\"ftp\", which no source"),
        ("mem://a/", &["mem://u:pw@forbidden/"], "is forbidden"),
        ("mem://a/", &["mem://b/", "MEM://u:pw@B"], "named twice"),
        ("mem://a/x", &["mem://a/x/"], "named twice"),
        ("mem://u:pw@a/", &["mem://b/"], "user info"),
    ];
    let made = |settings: &[MirrorSetting]| {
        MirrorSource::in_front_of(&sources(&Fake::default()), settings, RESTS)
    };
    for (prefix, alternates, reason) in refused {
        let setting = setting(prefix, alternates);
        let error = made(std::slice::from_ref(&setting)).unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
        let text = format!("{error} {setting:?}");
        assert!(!text.contains("pw"), "{text}");
    }
    let twice = [
        setting("mem://a/", &["mem://b/"]),
        setting("mem://A", &["mem://c/"]),
    ];
    assert!(made(&twice).unwrap_err().contains("already"));
}

#[test]
fn a_list_comes_from_the_first_that_can_with_urls_that_have_alternates() {
    let world = World::new();
    let list = |url| {
        let (mut urls, request) = (Vec::new(), ListRequest::new(url, &world.cancel));
        let mut found = |chunk: DataChunk| urls.extend(chunk.files.into_values());
        let result = world.source.list(&request, &mut found);
        result.map(|()| urls)
    };
    assert_eq!(list("mem://a/data").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(world.fake.hosts(), "a b c");
    world.fake.set("b", Act::Break(b"", 0, None));
    world.fake.set("c", ALL);
    for url in ["mem://a/data", "mem://a/data/"] {
        let expected = ["mem://a/data/0/f", "mem://a/data/1/f"];
        assert_eq!(list(url).unwrap(), expected, "each of them once");
    }
    assert_eq!(list("mem://a/data/d/").unwrap().len(), 2);
    assert!(list("mem://a").is_err());
}

#[test]
fn a_place_whose_files_the_kernel_copies_may_be_slow_too() {
    let world = World::new();
    world.fake.set("a", Act::ByKernel);
    world.fake.set("b", Act::Give(b"x", None));
    let target = tempfile::tempfile().unwrap();
    for file in ["1", "2", "3"] {
        let mut opened = world.open(file).unwrap();
        assert_eq!(opened.reader.copy_into(&target, 0, 1).count, 1);
    }
    assert_eq!(world.fake.hosts(), "a a a");
    world.read("4");
    assert_eq!(world.fake.hosts(), "b");
}
