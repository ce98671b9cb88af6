use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use super::*;
use crate::data_chunk::fingerprint;
use crate::data_source::{DataSource, HttpOptions, ListRequest, S3Options, S3Source};

const DATASET: &str = "dataset_id=0909090909090909090909090909090909090909090909090909090909090909";

/// Answers each request with what `answer` makes of its number; where.
fn serve(answer: impl Fn(usize) -> String + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let answer = answer(counted.fetch_add(1, Ordering::SeqCst));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (endpoint, count)
}

fn ok(body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

fn page(keys: &[String], next: Option<&str>) -> String {
    let mut xml = String::from(
        r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#,
    );
    for key in keys {
        xml += &format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    }
    if let Some(next) = next {
        xml += &format!("<NextContinuationToken>{next}</NextContinuationToken>");
    }
    let truncated = next.is_some();
    xml + &format!("<IsTruncated>{truncated}</IsTruncated></ListBucketResult>")
}

fn key(n: usize) -> String {
    let (start, end, id) = (n as u64, n as u64 + 1, "01".repeat(32));
    let files = [("a", None)].into_iter();
    let fingerprint = fingerprint((&[1; 32], &[9; 32]), &(start..end), files);
    format!("p/{DATASET}/chunk={start:020}-{end:020}-{id}-1-{n}-{fingerprint:016x}/a")
}

fn list(endpoint: &str) -> Result<usize, SourceError> {
    let options = S3Options::new().endpoint(endpoint);
    let source = S3Source::new(options.anonymous(), HttpOptions::default());
    let (mut count, cancel) = (0, CancelToken::new());
    let request = ListRequest::new("s3://b/p", &cancel);
    source.list(&request, &mut |_| count += 1).map(|()| count)
}

/// What becomes of a listing whose pages are all this one.
fn refused(body: String) -> String {
    let (endpoint, count) = serve(move |_| ok(&body));
    let error = list(&endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(count.load(Ordering::SeqCst) <= 2);
    error.to_string()
}

#[test]
fn pages_follow_each_other() {
    let pages = 5;
    let (endpoint, _) = serve(move |n| {
        let keys: Vec<_> = (1000 * n..1000 * (n + 1)).map(key).collect();
        let next = format!("token {n}");
        ok(&page(&keys, (n + 1 < pages).then_some(&next)))
    });
    assert_eq!(list(&endpoint).unwrap(), 1000 * pages);
}

#[test]
fn listings_without_an_end() {
    let reason = refused(page(&[], Some("again")));
    assert!(reason.contains("circles"), "{reason}");
    // Another token each time, and the same keys.
    let (endpoint, count) = serve(|n| ok(&page(&[key(0)], Some(&n.to_string()))));
    assert!(list(&endpoint).is_err());
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // Nothing in it, for ever.
    let (endpoint, count) = serve(|n| ok(&page(&[], Some(&n.to_string()))));
    assert!(list(&endpoint).is_err());
    assert!(count.load(Ordering::SeqCst) < 2000);
    let endless = format!("<a>{}", "x".repeat(9 << 20));
    assert!(refused(endless).contains("too large"));
}

#[test]
fn keys_that_were_not_asked_for() {
    let inside = key(0);
    let keys = [
        "a/dataset_id=1/chunk=2/x".to_owned(),
        inside.replace("p/", "o/"),
        inside.clone(),
        inside.replace("p/", "q/"),
        inside.replace("p/", "z/../p/"),
    ];
    let (endpoint, _) = serve(move |_| ok(&page(&keys, None)));
    assert_eq!(list(&endpoint).unwrap(), 1);
    let mut keys = [key(1), key(0), key(2)].to_vec();
    assert!(refused(page(&keys, None)).contains("order"));
    keys.sort();
    keys.push(key(2));
    assert!(
        refused(page(&keys, None)).contains("order"),
        "twice the same"
    );
}

#[test]
fn text_that_is_no_listing() {
    for body in [
        String::new(),
        "no XML".to_owned(),
        "<html></html>".to_owned(),
        page(&[key(0)], None)[..200].to_owned(),
        page(&[key(0)], None).replace("<Size>1<", "<Size>-1<"),
        page(&["p/\u{0}\u{1b}".to_owned()], None).replace("ListBucketResult>", "x>"),
        page(&[], None).replace("?>", "?><!DOCTYPE a [<!ENTITY b \"c\">]>"),
    ] {
        refused(body);
    }
    // The parser calls itself for each element within another; this would be the end of the stack.
    for open in [
        "<a>",
        "<a b='/>'>",
        "<a><b/>",
        "<a><b c='<'/>",
        "<a><!--</a>-->",
    ] {
        refused(page(&[], None).replace("</List", &format!("{}</List", open.repeat(300_000))));
    }
}

#[test]
fn what_is_sound() {
    let nested = |depth: usize| {
        let names = ["ListBucketResult"]
            .into_iter()
            .chain(std::iter::repeat("a"));
        let names: Vec<_> = names.take(depth).collect();
        let open = names.iter().map(|name| format!("<{name}>"));
        let close = names.iter().rev().map(|name| format!("</{name}>"));
        open.chain(close).collect::<String>()
    };
    assert!(is_sound(&page(&[key(0)], Some("t"))));
    assert!(is_sound("<ListBucketResult a=\">\"/>"));
    assert!(is_sound(&nested(16)) && !is_sound(&nested(17)));
    let whole = nested(3);
    for end in 0..whole.len() {
        assert!(!is_sound(&whole[..end]), "{}", &whole[..end]);
    }
    for odd in [
        "<!-- -->",
        "<![CDATA[</a>]]>",
        "<",
        "<a",
        "<a b='>",
        "<>",
        "</a>",
        "<a>",
    ] {
        assert!(!is_sound(&format!("{whole}{odd}")), "{odd}");
    }
}

/// The signature is for one host; nobody else gets it.
#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = elsewhere.local_addr().unwrap();
    let said = "<Error><Code>TemporaryRedirect</Code></Error>";
    let (endpoint, _) = serve(move |_| {
        let len = said.len();
        format!(
            "HTTP/1.1 307 Moved\r\nLocation: http://{to}/\r\nContent-Length: {len}\r\n\r\n{said}"
        )
    });
    let options = S3Options::new().endpoint(endpoint);
    let options = options
        .access_key("id")
        .secret_key("canary")
        .session_token("canary");
    let (source, cancel) = (
        S3Source::new(options, HttpOptions::default()),
        CancelToken::new(),
    );
    let error = source
        .open(&OpenRequest::new("s3://b/k", &cancel))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.to_string().contains("endpoint"), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    let asked = elsewhere.accept().map_err(|error| error.kind());
    assert_eq!(asked.unwrap_err(), std::io::ErrorKind::WouldBlock);
}

/// What is said without end is not listened to without end.
#[test]
fn an_explanation_has_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (ended, has_ended) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let head = "HTTP/1.1 404 Gone\r\nContent-Length: 99999999999\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(b"<Error><Code>NoSuchBucket</Code>");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
        let _ = ended.send(());
    });
    let error = list(&endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    has_ended.recv_timeout(Duration::from_secs(60)).unwrap();
}

/// A byte now and then is no stall, and no page either.
#[test]
fn a_page_that_drips_has_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (ended, has_ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
        let pause = Duration::from_millis(20);
        let deadline = Instant::now() + Duration::from_secs(10);
        while has_ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout)
            && Instant::now() < deadline
            && stream.write_all(b"<").is_ok()
        {}
    });
    let options = S3Options::new().endpoint(endpoint).anonymous();
    let (service, http) = (
        Service::new(options).unwrap(),
        HttpSource::new(HttpOptions::default()),
    );
    let (location, cancel) = (Location::of_prefix("s3://b/").unwrap(), CancelToken::new());
    let list = List {
        service: &service,
        http: &http,
        location: &location,
        cancel: &cancel,
        page_timeout: Duration::from_millis(300),
    };
    let error = list.run(&mut |_| {}).unwrap_err();
    drop(ended);
    assert!(error.to_string().contains("too long"), "{error}");
}

/// One chunk that is not as it should be does not hide the others.
#[test]
fn a_manifest_without_measure_is_none() {
    let (endpoint, count) = serve(|n| match n {
        0 => {
            // A name that says that digests were declared.
            let key_0 = key(0);
            let (chunk, _) = key_0.rsplit_once('-').unwrap();
            let [manifest, file] =
                ["_chunk.json", "a"].map(|file| format!("{chunk}-{:016x}/{file}", 1));
            ok(&page(&[manifest, file, key(1)], None))
        }
        _ => ok(&"x".repeat(2 << 20)),
    });
    assert_eq!(list(&endpoint).unwrap(), 1);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
