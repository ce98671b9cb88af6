use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::http::HeaderValue;

use super::*;
use crate::data_source::http::agents::AgentPool;
use crate::data_source::http::resolve::Names;
use crate::data_source::http::{HttpOptions, HttpSource};
use crate::data_source::{CancelToken, DataSource, OpenRequest};

const CANARY: &str = "canary7f3a";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";

/// A server that answers each request with what it is told, and keeps its connections.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

fn serve(ip: &str, reply: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    serve_at(TcpListener::bind((ip, 0)).unwrap(), reply)
}

fn serve_at(
    listener: TcpListener,
    reply: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Server {
    let server = Server {
        port: listener.local_addr().unwrap().port(),
        seen: Arc::default(),
        connections: Arc::default(),
    };
    let (seen, connections) = (server.seen.clone(), server.connections.clone());
    let reply = Arc::new(reply);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            connections.fetch_add(1, Ordering::SeqCst);
            let (seen, reply) = (seen.clone(), reply.clone());
            std::thread::spawn(move || answer(&stream, &seen, &*reply));
        }
    });
    server
}

fn answer(mut stream: &TcpStream, seen: &Mutex<Vec<String>>, reply: &dyn Fn(&str) -> String) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        seen.lock().push(head);
        let reply = reply(&path);
        let closes = reply.contains("Connection: close");
        if stream.write_all(reply.as_bytes()).is_err() || closes {
            return;
        }
    }
}

impl Server {
    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/f", self.port)
    }

    fn requests(&self) -> usize {
        self.seen.lock().len()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\ngone")
}

/// 127.0.0.1 stands for all that is public.
fn is_public(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 1])
}

fn source_with(options: HttpOptions, names: Names) -> HttpSource {
    HttpSource {
        agents: Arc::new(AgentPool::new(options, names.judged_by(is_public))),
    }
}

/// `public` and `private` are names, too.
fn source() -> HttpSource {
    let names = Names::resolved_by(|host| match host {
        "public" => Ok(vec!["127.0.0.1".parse().unwrap()]),
        "private" => Ok(vec!["127.0.0.2".parse().unwrap()]),
        "both" => Ok(vec![
            "127.0.0.2".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
        ]),
        _ => Err(std::io::Error::other("no such name")),
    });
    source_with(direct(), names)
}

fn direct() -> HttpOptions {
    let mut options = HttpOptions::default();
    options.set_no_proxy();
    options
}

fn fetch(source: &HttpSource, url: &str) -> Result<String, SourceError> {
    let (cancel, mut content) = (CancelToken::new(), String::new());
    let mut opened = source.open(&OpenRequest::new(url, &cancel))?;
    opened.reader.read_to_string(&mut content).unwrap();
    Ok(content)
}

fn is_refused(result: Result<String, SourceError>) -> bool {
    let error = result.unwrap_err();
    assert!(error.permanent && !error.host_wide, "{error}");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    error.to_string().contains("not public")
}

#[test]
fn a_public_host_leads_to_no_private_address() {
    let private = serve("127.0.0.2", |_| OK.to_owned());
    for host in ["127.0.0.2", "private", "PRIVATE", "[::ffff:127.0.0.2]"] {
        let location = private.url(host);
        let public = serve("127.0.0.1", move |_| to(&location));
        assert!(
            is_refused(fetch(&source(), &public.url("127.0.0.1"))),
            "{host}"
        );
        assert!(
            is_refused(fetch(&source(), &public.url("public"))),
            "{host}"
        );
    }
    assert_eq!(private.connections(), 0, "nobody even connects");
}

#[test]
fn unless_that_is_allowed() {
    let private = serve("127.0.0.2", |_| OK.to_owned());
    let location = private.url("127.0.0.2");
    let public = serve("127.0.0.1", move |_| to(&location));
    let mut options = direct();
    options.allow_private_redirects = true;
    let source = source_with(options, Names::default());
    assert_eq!(fetch(&source, &public.url("127.0.0.1")).unwrap(), "ab");
}

#[test]
fn a_private_host_leads_anywhere_but_not_by_way_of_a_public_one() {
    let last = serve("127.0.0.3", |_| OK.to_owned());
    let location = last.url("127.0.0.3");
    let first = serve("127.0.0.2", move |_| to(&location));
    assert_eq!(fetch(&source(), &first.url("private")).unwrap(), "ab");
    let location = last.url("127.0.0.3");
    let public = serve("127.0.0.1", move |_| to(&location));
    let location = public.url("public");
    let first = serve("127.0.0.2", move |_| to(&location));
    assert!(is_refused(fetch(&source(), &first.url("private"))));
}

/// And once a public host had a say, what a private one said before does not help either.
#[test]
fn who_came_by_a_public_host_stays_among_them() {
    let private = serve("127.0.0.2", |_| OK.to_owned());
    let location = private.url("private");
    let second = serve("127.0.0.1", move |_| to(&location));
    let location = second.url("public");
    let first = serve("127.0.0.1", move |_| to(&location));
    assert!(is_refused(fetch(&source(), &first.url("public"))));
    assert_eq!(second.requests(), 1);
}

/// The name is resolved once for a request, and the connection goes to what was judged.
#[test]
fn a_name_that_changes_its_address_gains_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let names = Names::resolved_by(move |_| {
        let last = if count.fetch_add(1, Ordering::SeqCst) == 0 {
            1
        } else {
            2
        };
        Ok(vec![IpAddr::from([127, 0, 0, last])])
    });
    let source = source_with(direct(), names);
    let public = serve("127.0.0.1", |_| {
        to("/again").replace(
            "Content-Length: 4",
            "Content-Length: 4\r\nConnection: close",
        )
    });
    let private = serve_at(
        TcpListener::bind(("127.0.0.2", public.port)).unwrap(),
        |_| OK.to_owned(),
    );
    assert!(is_refused(fetch(&source, &public.url("changes"))));
    assert_eq!((public.requests(), private.connections()), (1, 0));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn of_the_addresses_of_a_name_only_the_public_ones_are_tried() {
    let target = serve("127.0.0.1", |_| OK.to_owned());
    let private = TcpListener::bind(("127.0.0.2", target.port)).unwrap();
    let private = serve_at(private, |_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_owned()
    });
    let location = target.url("both");
    let first = serve("127.0.0.1", move |_| to(&location));
    assert_eq!(fetch(&source(), &first.url("public")).unwrap(), "ab");
    assert_eq!(private.connections(), 0);
}

/// A connection that somebody else was allowed to make is not one that a redirect may use.
#[test]
fn no_connection_that_was_kept_leads_past_the_rule() {
    let target = serve("127.0.0.2", |_| OK.to_owned());
    let public = serve_at(
        TcpListener::bind(("127.0.0.1", target.port)).unwrap(),
        |path| {
            if path == "/f" {
                OK.replace("ab", "cd")
            } else {
                to("/f")
            }
        },
    );
    let port = target.port;
    let first = serve("127.0.0.1", move |_| to(&format!("http://moves:{port}/f")));
    let now = Arc::new(AtomicUsize::new(2));
    let last = now.clone();
    let names = Names::resolved_by(move |_| {
        let last = u8::try_from(last.load(Ordering::SeqCst)).unwrap();
        Ok(vec![IpAddr::from([127, 0, 0, last])])
    });
    let source = source_with(direct(), names);
    // Asked for by its name, which is the user's own wish.
    assert_eq!(fetch(&source, &target.url("moves")).unwrap(), "ab");
    now.store(1, Ordering::SeqCst);
    assert_eq!(fetch(&source, &first.url("127.0.0.1")).unwrap(), "cd");
    assert_eq!((target.requests(), public.requests()), (1, 1));
}

#[test]
fn a_loop_ends_after_five_redirects() {
    let server = serve("127.0.0.2", |_| to("/f"));
    let error = fetch(&source(), &server.url("127.0.0.2")).unwrap_err();
    assert!(error.permanent && !error.host_wide, "{error}");
    assert_eq!(server.requests(), 6);
    let server = serve("127.0.0.2", |path| match path.len() {
        7 => OK.to_owned(),
        _ => to(&format!("{path}x")),
    });
    assert_eq!(fetch(&source(), &server.url("127.0.0.2")).unwrap(), "ab");
    assert_eq!(server.requests(), 6);
}

#[test]
fn connections_are_kept_on_both_sides_of_a_redirect() {
    let target = serve("127.0.0.2", |_| OK.to_owned());
    let location = target.url("127.0.0.2");
    let first = serve("127.0.0.2", move |_| to(&location));
    let source = source();
    for _ in 0..3 {
        assert_eq!(fetch(&source, &first.url("127.0.0.2")).unwrap(), "ab");
    }
    assert_eq!((first.requests(), first.connections()), (3, 1));
    assert_eq!((target.requests(), target.connections()), (3, 1));
}

/// So a host with many missing files is not connected to for each of them.
#[test]
fn a_connection_is_kept_after_an_error() {
    let missing = "HTTP/1.1 404 Gone\r\nContent-Length: 4\r\n\r\ngone";
    let server = serve("127.0.0.2", |_| missing.to_owned());
    let source = source();
    for _ in 0..3 {
        fetch(&source, &server.url("127.0.0.2")).unwrap_err();
    }
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

/// What a redirect says beside its headers holds nobody up, and is not read without end.
#[test]
fn the_body_of_a_redirect_is_not_waited_for() {
    let target = serve("127.0.0.2", |_| OK.to_owned());
    for len in [100_000_000, 8] {
        let location = target.url("127.0.0.2");
        let first = serve("127.0.0.2", move |_| {
            to(&location).replace("Content-Length: 4", &format!("Content-Length: {len}"))
        });
        let started = Instant::now();
        assert_eq!(fetch(&source(), &first.url("127.0.0.2")).unwrap(), "ab");
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }
}

/// Each answer comes in time; all of them together do not.
#[test]
fn redirects_have_one_time_limit_together() {
    let stall = Duration::from_millis(400);
    let server = serve("127.0.0.2", move |path| {
        // A slow server, not a wait for anything.
        std::thread::sleep(Duration::from_millis(300));
        to(&format!("{path}x"))
    });
    let mut options = direct();
    options.stall_timeout = stall;
    options.connect_timeout = Duration::from_millis(100);
    let source = source_with(options, Names::default());
    let started = Instant::now();
    let error = fetch(&source, &server.url("127.0.0.2")).unwrap_err();
    assert!(!error.permanent && !error.host_wide, "{error}");
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_millis(1400),
        "{took:?}"
    );
    assert!(server.requests() <= 4);
}

fn way(url: &str) -> Way {
    Way::begin(url, Instant::now(), false).unwrap()
}

fn headers(locations: &[&str]) -> HeaderMap {
    let values = locations.iter().map(|location| {
        let value = HeaderValue::from_bytes(location.as_bytes()).unwrap();
        (header::LOCATION, value)
    });
    values.collect()
}

#[test]
fn where_no_redirect_leads() {
    for location in [
        "file:///etc/passwd",
        "ftp://h/f",
        "javascript:alert(1)",
        "data:,x",
        "gopher://h:70/",
        "http:///f",
        "http:",
        "http://h:99999/",
        "http://",
        "https://",
        "//",
        "\\\\h\\f",
        "http://h\\@g/",
        "http://[::1/",
        "http://h/%zz",
        "://h",
        "HTTPS:f",
    ] {
        let location = location.replace("h/", &format!("{CANARY}@h/{CANARY}?{CANARY}"));
        let mut way = way("https://h/d/f");
        let error = way.follow(&headers(&[&location]), false).unwrap_err();
        assert!(
            error.permanent && error.kind() == ErrorKind::Protocol,
            "{location}"
        );
        assert!(!error.to_string().contains(CANARY), "{error}");
        assert_eq!(way.target.url, "https://h/d/f");
    }
    for locations in [&[][..], &["/a", "/b"]] {
        assert!(
            way("http://h/").follow(&headers(locations), false).is_err(),
            "{locations:?}"
        );
    }
}

#[test]
fn where_redirects_lead() {
    for (location, leads_to) in [
        ("/a", "http://h:81/a"),
        ("a?b=[c", ""),
        ("a?b=c#d", "http://h:81/d/a?b=c"),
        ("../a", "http://h:81/a"),
        ("?q", "http://h:81/d/f?q"),
        ("//g/a", "http://g/a"),
        ("HTTPS://G:443", "https://g/"),
        ("http://u:p@g/a", "http://g/a"),
        ("/a b|ü", "http://h:81/a%20b%7C%C3%BC"),
        ("", "http://h:81/d/f?x"),
    ] {
        let mut way = way("http://h:81/d/f?x");
        let result = way.follow(&headers(&[location]), false);
        match leads_to {
            "" => assert!(result.is_err(), "{location}"),
            url => assert_eq!(
                (result.is_ok(), way.target.url.as_str()),
                (true, url),
                "{location}"
            ),
        }
    }
}

#[test]
fn https_is_not_left() {
    let mut secure = way("https://h/f");
    assert!(secure.follow(&headers(&["http://h/f"]), false).is_err());
    let mut plain = way("http://h/f");
    plain.follow(&headers(&["https://h/f"]), false).unwrap();
    assert!(plain.follow(&headers(&["http://h/f"]), false).is_err());
    // Not even where private addresses are allowed.
    let mut open = Way::begin("https://h/f", Instant::now(), true).unwrap();
    assert!(open.follow(&headers(&["http://h/f"]), true).is_err());
}

#[test]
fn user_info_stays_with_its_origin() {
    let mut same = way("http://u:p@h/f");
    same.follow(&headers(&["http://H:80/g"]), false).unwrap();
    assert!(same.target.credentials.is_some());
    for other in [
        "http://g/f",
        "https://h/f",
        "http://h:81/f",
        "http://x:y@g/f",
        "//h.:80/",
    ] {
        let mut way = way("http://u:p@h/f");
        way.follow(&headers(&[other]), false).unwrap();
        assert_eq!(way.target.credentials, None, "{other}");
        // Nor is it there again on the way back.
        if !way.target.origin.https {
            way.follow(&headers(&["http://h/f"]), false).unwrap();
            assert_eq!(way.target.credentials, None, "{other}");
        }
    }
}

#[test]
fn what_is_a_redirect() {
    let all = (100..600).filter(|n| is_redirect(StatusCode::from_u16(*n).unwrap()));
    assert_eq!(all.collect::<Vec<_>>(), [301, 302, 303, 307, 308]);
}
