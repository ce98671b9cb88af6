use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::data_source::CancelToken;

#[test]
fn what_cannot_be_requested_is_refused_at_the_door() {
    let source = HttpSource::new(HttpOptions::default());
    assert!(source.check("http://example.com/a").is_ok());
    assert!(source.check("http:///a").is_err());
    assert!(source.check("http:a").is_err());
}

/// Serves `reply` to everybody, as long as the test runs; its URL.
fn serve(reply: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    url
}

fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/f", listener.local_addr().unwrap())
}

fn source(options: HttpOptions, names: Names) -> HttpSource {
    HttpSource {
        agents: Arc::new(AgentPool::new(options, names)),
    }
}

fn failure(url: &str) -> SourceError {
    let (source, cancel) = (HttpSource::new(HttpOptions::default()), CancelToken::new());
    source.open(&OpenRequest::new(url, &cancel)).unwrap_err()
}

#[test]
fn a_dead_host_is_told_from_one_that_sends_us_to_a_dead_host() {
    let error = failure(&refused());
    assert!(error.host_wide && !error.permanent, "{error}");
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        refused()
    );
    let error = failure(&serve(redirect));
    assert!(!error.host_wide && !error.permanent, "{error}");
    // It hung up before it said anything.
    let error = failure(&serve(String::new()));
    assert!(error.host_wide && !error.permanent, "{error}");
}

/// A connection that was good for a redirect once says nothing of what comes after it.
#[test]
fn what_an_earlier_transfer_met_does_not_count() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for reply in [
            "HTTP/1.1 302 Found\r\nLocation: /g\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
        ] {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply.as_bytes());
        }
        // And hangs up at the third request.
        let _ = stream.read(&mut [0; 4096]);
    });
    let (source, cancel) = (HttpSource::new(HttpOptions::default()), CancelToken::new());
    let mut opened = source.open(&OpenRequest::new(&url, &cancel)).unwrap();
    opened.reader.read_to_end(&mut Vec::new()).unwrap();
    let error = source.open(&OpenRequest::new(&url, &cancel)).unwrap_err();
    assert!(error.host_wide, "{error}");
}

#[test]
fn a_name_that_nobody_knows() {
    let names = Names::resolved_by(|_| Err(std::io::Error::other("no such name")));
    let source = source(HttpOptions::default(), names);
    let cancel = CancelToken::new();
    let error = source.open(&OpenRequest::new("http://h/?secret", &cancel));
    let error = error.unwrap_err();
    assert!(error.host_wide && !error.permanent, "{error}");
    assert!(error.to_string().contains("no such name"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// The system takes the connection, and nobody is there to shake hands.
#[test]
fn a_handshake_has_the_time_of_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/f", listener.local_addr().unwrap());
    let limit = Duration::from_millis(300);
    let options = HttpOptions {
        connect_timeout: limit,
        ..HttpOptions::default()
    };
    let (source, cancel) = (HttpSource::new(options), CancelToken::new());
    let started = Instant::now();
    let error = source.open(&OpenRequest::new(&url, &cancel)).unwrap_err();
    assert!(started.elapsed() < limit + Duration::from_secs(3));
    assert!(error.host_wide && !error.permanent, "{error}");
    assert!(error.to_string().contains("in time"), "{error}");
}

/// It says neither how long it is nor that it is over.
#[test]
fn a_body_that_is_broken_off_does_not_look_whole() {
    let url = serve("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab".to_owned());
    let (source, cancel) = (HttpSource::new(HttpOptions::default()), CancelToken::new());
    let mut opened = source.open(&OpenRequest::new(&url, &cancel)).unwrap();
    cancel.cancel();
    assert!(opened.reader.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn a_connection_that_the_server_closed_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let (closed, is_closed) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
            drop(stream);
            let _ = closed.send(());
        }
    });
    let source = HttpSource::new(HttpOptions::default());
    for _ in 0..3 {
        let (cancel, mut content) = (CancelToken::new(), String::new());
        let mut opened = source.open(&OpenRequest::new(&url, &cancel)).unwrap();
        opened.reader.read_to_string(&mut content).unwrap();
        is_closed.recv().unwrap();
    }
}

#[test]
fn a_server_that_asks_for_a_rest_gets_it() {
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let error = failure(&serve(busy.to_owned()));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert!(!error.host_wide && !error.permanent, "{error}");
}

#[test]
fn a_transfer_that_waits_for_a_name_is_cancelled() {
    let (asked, is_asked) = mpsc::channel();
    let (answer, may_answer) = mpsc::channel::<()>();
    let may_answer = parking_lot::Mutex::new(may_answer);
    let names = Names::resolved_by(move |_| {
        let _ = asked.send(());
        let _ = may_answer.lock().recv();
        Ok(Vec::new())
    });
    let patience = Duration::from_secs(60);
    let options = HttpOptions {
        connect_timeout: patience,
        ..HttpOptions::default()
    };
    let source = source(options, names);
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let open = scope.spawn(|| {
            source
                .open(&OpenRequest::new("http://h/f", &cancel))
                .is_err()
        });
        is_asked.recv_timeout(patience).unwrap();
        let started = Instant::now();
        cancel.cancel();
        assert!(open.join().unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
    });
    drop(answer);
}

/// A limit that is as good as none is no overflow either.
#[test]
fn the_longest_limits() {
    let options = HttpOptions {
        connect_timeout: Duration::MAX,
        stall_timeout: Duration::MAX,
        ..HttpOptions::default()
    };
    let (source, cancel) = (HttpSource::new(options), CancelToken::new());
    let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab".to_owned());
    let mut opened = source.open(&OpenRequest::new(&url, &cancel)).unwrap();
    let mut content = String::new();
    opened.reader.read_to_string(&mut content).unwrap();
    assert_eq!(content, "ab");
}

/// What was read to the end leaves its connection to the next one, and what was not does not.
#[test]
fn connections_are_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let (accepted, connections) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            accepted.send(()).unwrap();
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
                }
            });
        }
    });
    let source = HttpSource::new(HttpOptions::default());
    let open = |cancel: &CancelToken| source.open(&OpenRequest::new(&url, cancel)).unwrap();
    for _ in 0..3 {
        let mut content = String::new();
        let cancel = CancelToken::new();
        open(&cancel).reader.read_to_string(&mut content).unwrap();
        // Its token is nobody's any more.
        cancel.cancel();
    }
    assert_eq!(connections.try_iter().count(), 1);
    let cancelled = CancelToken::new();
    let mut opened = open(&cancelled);
    cancelled.cancel();
    let _ = opened.reader.read_to_end(&mut Vec::new());
    drop(open(&CancelToken::new()));
    assert_eq!(connections.try_iter().count(), 1);
}

/// A body without a length ends with the connection, but not by a reset.
#[test]
fn a_reset_is_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let (go_on, may_go_on) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nab");
        let _ = may_go_on.recv();
        let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        linger.unwrap();
    });
    let options = HttpOptions {
        accept_unframed: true,
        ..HttpOptions::default()
    };
    let (source, cancel) = (HttpSource::new(options), CancelToken::new());
    let mut opened = source.open(&OpenRequest::new(&url, &cancel)).unwrap();
    assert!(opened.self_delimiting);
    opened.reader.read_exact(&mut [0; 2]).unwrap();
    drop(go_on);
    assert!(opened.reader.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn a_validator_that_no_header_can_carry_asks_for_all_of_it() {
    let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab".to_owned());
    let (source, cancel) = (HttpSource::new(HttpOptions::default()), CancelToken::new());
    for foreign in ["a\nb", "\0"] {
        let request = OpenRequest::new(&url, &cancel).resume(1, foreign);
        assert_eq!(source.open(&request).unwrap().start, 0);
        let request = OpenRequest::new(&url, &cancel).unless(foreign);
        assert_eq!(source.open(&request).unwrap().total, Some(2));
    }
}
