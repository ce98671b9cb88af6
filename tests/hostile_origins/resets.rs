//! A connection that is reset after each byte of an answer: the file is right in the end, byte for
//! byte, whether it is gone on with or begun again.

use super::support::bytes;
use super::support::origin::{Origin, Reply, Request, etag};
use super::{DEADLINE, World, answer};

const LEN: usize = 200;

/// Resets `answer` after each of its bytes once, and serves `after` then. From `whole_at` on, all of
/// `before` was in it. Returns the ranges that each was asked for.
fn reset_everywhere(
    answer: &[u8],
    (before, whole_at): (&[u8], usize),
    after: &[u8],
) -> Vec<Vec<Option<String>>> {
    let mut asked = Vec::new();
    let offsets: Vec<usize> = (0..=answer.len()).collect();
    // Fewer at a time than there are slots, so that no attempt makes room for another.
    for offsets in offsets.chunks(60) {
        let mut world = World::new(|builder| builder);
        let mut tasks = Vec::new();
        for (n, offset) in (0..).zip(offsets) {
            let reset = Reply::Reset(answer[..*offset].to_vec());
            tasks.push(world.ask(n, vec![reset, Reply::File(after.to_vec().into())]));
        }
        for (n, (task, offset)) in (0..).zip(tasks.into_iter().zip(offsets)) {
            let outcome = task.wait_timeout(DEADLINE);
            let outcome = outcome.unwrap_or_else(|| panic!("at {offset}: starved"));
            assert!(outcome.is_ok(), "at {offset}: {outcome:?}");
            let content = world.content(n);
            let of_before = *offset >= whole_at && content == before;
            assert!(content == after || of_before, "at {offset}");
            asked.push(ranges(&world.origins[usize::from(n)]));
        }
        world.nothing_is_staged();
    }
    asked
}

fn ranges(origin: &Origin) -> Vec<Option<String>> {
    let requests = origin.requests();
    let range = |request: &Request| request.headers.get("range").cloned();
    requests.iter().map(range).collect()
}

/// The answer, and how long its headers are.
fn with_length(content: &[u8], headers: &str) -> (Vec<u8>, usize) {
    let whole = answer(&format!("Content-Length: {LEN}{headers}"), content);
    let head = whole.len() - LEN;
    (whole, head)
}

#[test]
fn what_can_be_resumed_goes_on_where_it_broke() {
    let content = bytes(1, LEN);
    let (whole, head) = with_length(&content, &format!("\r\nETag: {}", etag(&content)));
    let asked = reset_everywhere(&whole, (&content, whole.len()), &content);
    for (offset, asked) in asked.iter().enumerate() {
        let expected = match offset.checked_sub(head) {
            None | Some(0) => vec![None, None],
            Some(LEN) => vec![None],
            Some(arrived) => vec![None, Some(format!("bytes={arrived}-"))],
        };
        assert_eq!(*asked, expected, "at {offset}");
    }
}

/// It is something else by then, and as long.
#[test]
fn what_changed_is_never_mixed() {
    let (before, after) = (bytes(1, LEN), bytes(2, LEN));
    let (whole, _) = with_length(&before, &format!("\r\nETag: {}", etag(&before)));
    reset_everywhere(&whole, (&before, whole.len()), &after);
}

#[test]
fn what_cannot_be_resumed_starts_again() {
    let (before, after) = (bytes(1, LEN), bytes(2, LEN));
    let (whole, _) = with_length(&before, "");
    let asked = reset_everywhere(&whole, (&before, whole.len()), &after);
    assert!(asked.iter().flatten().all(Option::is_none));
}

#[test]
fn chunks_are_no_less_safe() {
    let (before, after) = (bytes(1, LEN), bytes(2, LEN));
    let chunk = |content: &[u8]| [b"32\r\n", content, b"\r\n"].concat();
    let chunks: Vec<u8> = before.chunks(50).flat_map(chunk).collect();
    let body = [&chunks[..], b"0\r\n\r\n"].concat();
    let whole = answer("Transfer-Encoding: chunked\r\nETag: \"a\"", &body);
    // The last line says nothing.
    reset_everywhere(&whole, (&before, whole.len() - 2), &after);
}
