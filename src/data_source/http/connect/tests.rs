use std::net::TcpListener;

use super::*;

/// Never reached, unless a test fails.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(1);

/// An address where connecting takes for ever: nobody accepts, and the queue is full.
struct Full {
    address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

fn full() -> Full {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(200);
    let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok());
    Full {
        address,
        _queue: queue.collect(),
        _listener: listener,
    }
}

/// Breaks the line off once there is something on it, and `turns` of doing nothing later.
fn break_off_what_waits(line: &Line, turns: u32) -> Instant {
    let deadline = Instant::now() + LONG;
    while line.parts() == 0 {
        assert!(Instant::now() < deadline, "nobody waits");
        std::thread::yield_now();
    }
    (0..turns).for_each(|_| std::hint::spin_loop());
    let now = Instant::now();
    line.break_off();
    now
}

#[test]
fn a_connect_that_hangs_is_broken_off_at_any_moment() {
    let full = full();
    // Now and then the socket is shut down before it has begun to connect.
    for turns in (0..200).map(|n| n * 10).chain([10_000, 100_000, 1_000_000]) {
        let line = Line::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| connect_to(&[full.address], LONG, &line).unwrap_err());
            let started = break_off_what_waits(&line, turns);
            waiter.join().unwrap();
            assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        });
    }
}

/// What `try_address` counts on where the shutdown comes before the connect.
#[test]
fn a_socket_that_is_shut_down_first_does_not_connect() {
    let full = full();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let stream = TcpStream::from(socket);
    crate::data_source::http::line::Breakable::break_off(&stream);
    let started = Instant::now();
    let connected = SockRef::from(&stream).connect_timeout(&full.address.into(), LONG);
    assert!(connected.is_err());
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// An agent lives long and connects often.
#[test]
fn what_is_closed_is_not_on_the_line_any_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, line) = ([listener.local_addr().unwrap()], Line::default());
    for _ in 0..20 {
        drop(connect_to(&address, LONG, &line).unwrap());
        drop(listener.accept().unwrap());
    }
    assert_eq!(line.parts(), 1);
}

#[test]
fn after_a_cancellation_no_other_address_is_tried() {
    let (full, other) = (full(), TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [full.address, other.local_addr().unwrap()];
    let line = Line::default();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| connect_to(&addresses, LONG, &line).unwrap_err());
        break_off_what_waits(&line, 1_000_000);
        waiter.join().unwrap();
    });
    other.set_nonblocking(true).unwrap();
    assert_eq!(
        other.accept().unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert!(connect_to(&addresses[1..], LONG, &line).is_err());
}

#[test]
fn a_dead_address_leaves_time_for_the_next_one() {
    let (full, listener) = (full(), TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [full.address, full.address, listener.local_addr().unwrap()];
    let limit = Duration::from_secs(3);
    let started = Instant::now();
    let stream = connect_to(&addresses, limit, &Line::default()).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addresses[2]);
    assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    connect_to(&[refused, addresses[2]], limit, &Line::default()).unwrap();
}

#[test]
fn all_addresses_together_have_the_time_of_one() {
    let full = full();
    for count in [1, 2, 5] {
        let (limit, started) = (Duration::from_millis(300), Instant::now());
        let error = connect_to(&vec![full.address; count], limit, &Line::default()).unwrap_err();
        assert!(
            matches!(error, Error::Timeout(Timeout::Connect)),
            "{error:?}"
        );
        let took = started.elapsed();
        // The system counts in whole milliseconds, and each address's are rounded down.
        let least = limit - Duration::from_millis(10);
        assert!(took >= least && took < limit + SOON, "{took:?}");
    }
}

#[test]
fn shares_of_the_time() {
    let left = Duration::from_secs(6);
    assert_eq!(share_of(left, 1), left);
    assert_eq!(share_of(left, 2), left / 2);
    assert_eq!(share_of(left, 16), left / 3);
    assert_eq!(share_of(Duration::ZERO, 2), Duration::ZERO);
}

#[test]
fn a_refusal_is_told_as_one() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    match connect_to(&[refused], LONG, &Line::default()) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
}
