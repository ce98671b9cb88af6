use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ureq::Timeout;
use ureq::unversioned::transport::time;

use super::*;

/// Never reached, unless a test fails.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(1);

/// A name service that says nothing until it is let go; and how often it was asked.
#[derive(Clone, Default)]
struct Hanging(Arc<(Mutex<bool>, Condvar, AtomicUsize)>);

impl Hanging {
    fn names(&self) -> Arc<Names> {
        let inner = self.0.clone();
        Arc::new(Names::resolved_by(move |_| {
            inner.2.fetch_add(1, Ordering::SeqCst);
            let mut free = inner.0.lock();
            inner.1.wait_while(&mut free, |free| !*free);
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        }))
    }

    fn let_go(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn wait_until_asked(&self) {
        let deadline = Instant::now() + LONG;
        while self.asked() == 0 {
            assert!(Instant::now() < deadline, "nobody asked");
            std::thread::yield_now();
        }
    }

    fn asked(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn within(limit: Duration) -> NextTimeout {
    NextTimeout {
        after: time::Duration::Exact(limit),
        reason: Timeout::Resolve,
        ..NextTimeout::default()
    }
}

fn resolver(names: &Arc<Names>) -> LineResolver {
    LineResolver {
        names: names.clone(),
        line: Arc::default(),
        guarded: false,
    }
}

fn resolve(resolver: &LineResolver, url: &str, limit: Duration) -> Result<Vec<SocketAddr>, Error> {
    let config = ureq::Agent::config_builder().build();
    let found = resolver.resolve(&url.parse().unwrap(), &config, within(limit))?;
    Ok(found.to_vec())
}

#[test]
fn numbers_need_no_name_service() {
    let hanging = Hanging::default();
    let resolver = resolver(&hanging.names());
    for (url, address) in [
        ("http://127.0.0.1/", "127.0.0.1:80"),
        ("https://127.0.0.1/", "127.0.0.1:443"),
        ("https://[::1]/", "[::1]:443"),
        ("http://[::1]:8080/a", "[::1]:8080"),
    ] {
        let found = resolve(&resolver, url, LONG).unwrap();
        assert_eq!(found, [address.parse().unwrap()], "{url}");
    }
    assert_eq!(hanging.asked(), 0);
}

#[test]
fn a_wait_for_a_name_is_broken_off() {
    let hanging = Hanging::default();
    let resolver = resolver(&hanging.names());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| resolve(&resolver, "http://h/", LONG).unwrap_err());
        hanging.wait_until_asked();
        let started = Instant::now();
        resolver.line.break_off();
        assert!(matches!(waiter.join().unwrap(), Error::Io(_)));
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    });
    // Nor does anybody begin to wait on a line that is broken.
    let started = Instant::now();
    assert!(resolve(&resolver, "http://h/", LONG).is_err());
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_name_that_takes_too_long_is_given_up_by_who_asked() {
    let hanging = Hanging::default();
    let resolver = resolver(&hanging.names());
    let error = resolve(&resolver, "http://h/", Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Resolve)), "{error}");
}

#[test]
fn all_who_ask_for_a_name_share_one_call() {
    let hanging = Hanging::default();
    let names = hanging.names();
    std::thread::scope(|scope| {
        let asks = |host: &'static str| {
            let resolver = resolver(&names);
            scope.spawn(move || resolve(&resolver, host, LONG).unwrap())
        };
        let waiters: Vec<_> = ["http://h:1/", "http://H:1/x", "http://h:1/y"]
            .into_iter()
            .map(asks)
            .collect();
        // All of those who ask, and the call itself.
        let deadline = Instant::now() + LONG;
        while names.under_way.lock().get("h").map_or(0, Arc::strong_count) < 5 {
            assert!(Instant::now() < deadline, "not all have asked");
            std::thread::yield_now();
        }
        hanging.let_go();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ["127.0.0.1:1".parse().unwrap()]);
        }
    });
    assert_eq!(hanging.asked(), 1);
    // Nothing is kept: the next one asks anew.
    resolve(&resolver(&names), "http://h:1/", LONG).unwrap();
    assert_eq!(hanging.asked(), 2);
    assert!(names.under_way.lock().is_empty());
}

#[test]
fn a_call_that_fails_or_panics_leaves_nobody_waiting() {
    let names = Arc::new(Names::resolved_by(|host| match host {
        "panics" => panic!("on purpose"),
        "empty" => Ok(Vec::new()),
        _ => Err(io::Error::other("no such name")),
    }));
    let error = resolve(&resolver(&names), "http://missing/", LONG).unwrap_err();
    assert!(error.to_string().contains("no such name"), "{error}");
    assert!(resolve(&resolver(&names), "http://panics/", LONG).is_err());
    let error = resolve(&resolver(&names), "http://empty/", LONG).unwrap_err();
    assert!(matches!(error, Error::HostNotFound), "{error}");
    assert!(names.under_way.lock().is_empty());
}

#[test]
fn the_system_knows_this_machine() {
    let found = resolve(&resolver(&Arc::default()), "http://localhost:5/", LONG).unwrap();
    assert!(found.iter().all(|found| found.ip().is_loopback()));
    assert!(found.iter().all(|found| found.port() == 5) && !found.is_empty());
}

#[test]
fn families_take_turns() {
    let all = |addresses: &[&str]| -> Vec<IpAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    };
    let system = all(&["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"]);
    let tried = all(&["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
    assert_eq!(in_turns(&system), tried);
    let system = all(&["1.1.1.1", "2.2.2.2", "::1"]);
    assert_eq!(in_turns(&system), all(&["1.1.1.1", "::1", "2.2.2.2"]));
    assert_eq!(in_turns(&all(&["::1"])), all(&["::1"]));
    assert_eq!(in_turns(&[]), all(&[]));
    let names = Arc::new(Names::resolved_by(move |_| Ok(system.clone())));
    let found = resolve(&resolver(&names), "http://h/", LONG).unwrap();
    let found: Vec<_> = found.iter().map(SocketAddr::ip).collect();
    assert_eq!(found, all(&["1.1.1.1", "::1", "2.2.2.2"]));
}
