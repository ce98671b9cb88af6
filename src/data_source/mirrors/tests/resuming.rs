//! Bytes of two places never meet in one file.

use super::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn ask(url: &str, offset: u64, validator: Option<&str>) -> Ask {
    (url.to_owned(), offset, validator.map(str::to_owned))
}

/// A file of `a`, which broke off after 4 bytes; the validator for the rest.
fn broken(world: &World, validator: &'static str) -> String {
    world
        .fake
        .set("a", Act::Break(b"0123456789", 4, Some(validator)));
    let mut opened = world.open("f").unwrap();
    let given = opened.validator.clone().unwrap();
    let mut bytes = [0; 10];
    assert_eq!(opened.reader.read(&mut bytes).unwrap(), 4);
    opened.reader.read(&mut bytes).unwrap_err();
    drop(opened);
    world.fake.asks();
    given
}

#[test]
fn the_same_strong_etag_goes_on_elsewhere() {
    let world = World::new();
    let tag = broken(&world, "\"x\"");
    assert_eq!(tag, "\"x\"");
    world.fake.set("b", Act::Give(b"0123456789", Some("\"x\"")));
    let opened = world.resume("f", 4, &tag);
    assert_eq!((opened.start, opened.validator()), (4, Some("\"x\"")));
    assert_eq!(rest_of(opened), b"456789");
    assert_eq!(
        world.fake.asks(),
        [ask("mem://user:pw@b/f", 4, Some("\"x\""))]
    );
}

#[test]
fn another_etag_starts_over() {
    let world = World::new();
    let tag = broken(&world, "\"x\"");
    world.fake.set("b", Act::Give(b"abcdefghij", Some("\"y\"")));
    let opened = world.resume("f", 4, &tag);
    assert_eq!((opened.start, opened.validator()), (0, Some("\"y\"")));
    assert_eq!(rest_of(opened), b"abcdefghij");
}

/// It goes on with what it has, whatever it is asked to go on with.
#[test]
fn a_rest_that_is_not_said_to_be_the_same_is_not_taken() {
    for said in [Some("\"y\""), Some(DATE), None] {
        let world = World::new();
        let tag = broken(&world, "\"x\"");
        world.fake.set("b", Act::GoOn(b"abcdefghij", said));
        let opened = world.resume("f", 4, &tag);
        assert_eq!(opened.start, 0, "{said:?}");
        assert_eq!(rest_of(opened), b"abcdefghij");
        let asks = world.fake.asks();
        assert_eq!(asks[1], ask("mem://user:pw@b/f", 0, None));
    }
}

#[test]
fn a_date_goes_back_to_where_it_came_from_and_nowhere_else() {
    let world = World::new();
    let tag = broken(&world, DATE);
    world.fake.set("b", Act::Give(b"abcdefghij", Some(DATE)));
    // `a` rests.
    let opened = world.resume("f", 4, &tag);
    assert_eq!(opened.start, 0);
    assert_eq!(world.fake.asks(), [ask("mem://user:pw@b/f", 0, None)]);
    let of_b = opened.validator.clone().unwrap();
    assert_ne!(of_b, tag);
    drop(opened);
    // Neither broke off here: each is asked for its own.
    let world = World::new();
    world.fake.set("a", Act::Give(b"0123456789", Some(DATE)));
    world.fake.set("b", Act::Give(b"abcdefghij", Some(DATE)));
    let opened = world.resume("f", 4, &tag);
    assert_eq!((opened.start, opened.validator()), (4, Some(&*tag)));
    assert_eq!(rest_of(opened), b"456789");
    let opened = world.resume("g", 4, &of_b);
    assert_eq!(opened.start, 0, "that is another file");
    world.fake.asks();
    let opened = world.resume("h", 4, &tag);
    assert_eq!(opened.start, 0, "that is another file");
    assert_eq!(world.fake.asks(), [ask("mem://a/data/h", 0, None)]);
}

#[test]
fn who_can_go_on_is_asked_first() {
    let world = World::new();
    world.fake.set("b", Act::Give(b"abcdefghij", Some(DATE)));
    let tag = world.open("f").unwrap().validator.unwrap();
    // Elsewhere nothing is known of it, as after a restart.
    let world = World::new();
    world.fake.set("a", Act::Give(b"0123456789", Some(DATE)));
    world.fake.set("b", Act::Give(b"abcdefghij", Some(DATE)));
    assert_eq!(rest_of(world.resume("f", 4, &tag)), b"efghij");
    assert_eq!(world.fake.hosts(), "b");
}

/// The bytes that are there came from `b`, which is not the first.
#[test]
fn where_a_strong_etag_came_from_is_asked_first() {
    let world = World::new();
    world.fake.set("b", Act::Give(b"abcdefghij", Some("\"y\"")));
    let opened = world.open("f").unwrap();
    world.cancel.cancel();
    drop(opened);
    world.fake.set("a", Act::Give(b"0123456789", Some("\"x\"")));
    world.fake.asks();
    assert_eq!(rest_of(world.resume("f", 4, "\"y\"")), b"efghij");
    assert_eq!(world.fake.hosts(), "b");
}

/// What was written down without mirrors, or with others, came from who knows where.
#[test]
fn a_foreign_validator_is_presented_to_nobody() {
    let other = World::with(&[setting("mem://z/", &["mem://a/other/"])]);
    other.fake.set("z", Act::Give(b"0123456789", Some(DATE)));
    let request = OpenRequest::new("mem://z/f", &other.cancel);
    let of_z = other.source.open(&request).unwrap().validator.unwrap();
    for text in [DATE, "10-123", "W/\"x\"", "mirror:00:61", &of_z] {
        let world = World::new();
        world.fake.set("a", Act::GoOn(b"0123456789", Some(DATE)));
        assert_eq!(world.resume("f", 4, text).start, 0);
        assert_eq!(world.fake.asks(), [ask("mem://a/data/f", 0, None)]);
    }
}

#[test]
fn nonsense_to_the_rest_is_asked_for_the_whole() {
    let world = World::new();
    let tag = broken(&world, "\"x\"");
    world.fake.set("b", Act::WholeOnly(b"abc"));
    assert_eq!(rest_of(world.resume("f", 4, &tag)), b"abc");
}

#[test]
fn whoever_polls_is_told_that_nothing_changed() {
    let world = World::new();
    world.fake.set("a", Act::Give(b"0123456789", Some(DATE)));
    let tag = world.open("f").unwrap().validator.unwrap();
    let unless = |tag: &str| {
        let request = OpenRequest::new("mem://a/data/f", &world.cancel).unless(tag);
        world.source.open(&request).map(rest_of)
    };
    assert_eq!(unless(&tag).unwrap_err().kind, ErrorKind::Unchanged);
    assert_eq!(unless(DATE).unwrap(), b"0123456789");
    world.fake.asks();
    assert_eq!(unless(&tag).unwrap_err().kind, ErrorKind::Unchanged);
    assert_eq!(world.fake.asks(), [ask("mem://a/data/f", 0, Some(DATE))]);
    // Another place knows its own date only.
    world.fake.set("a", Act::Fail(down));
    world.fake.set("b", Act::Give(b"abc", Some(DATE)));
    assert_eq!(unless(&tag).unwrap(), b"abc");
}
