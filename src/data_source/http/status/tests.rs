use super::*;

fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.insert(name.clone(), value.parse().unwrap());
    }
    map
}

fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn retry_after_in_seconds() {
    let parsed = |value: &str| {
        retry_after(
            &headers(&[(header::RETRY_AFTER, value)]),
            SystemTime::UNIX_EPOCH,
        )
    };
    assert_eq!(parsed("120"), Some(Duration::from_secs(120)));
    assert_eq!(parsed(" 7 "), Some(Duration::from_secs(7)));
    for huge in ["86401", "18446744073709551615", "99999999999999999999999"] {
        assert_eq!(parsed(huge), Some(LONGEST_RETRY_AFTER), "{huge}");
    }
    for nothing in ["", "0", "-1", "+5", "1.5", "1e3", "soon", "0x10", "５"] {
        assert_eq!(parsed(nothing), None, "{nothing:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
}

#[test]
fn retry_after_as_a_date() {
    let now = 784_111_777;
    let parsed = |value: &str| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        retry_after(&headers(&[(header::RETRY_AFTER, value)]), now)
    };
    assert_eq!(parsed(&date(now + 90)), Some(Duration::from_secs(90)));
    // The two obsolete forms that RFC 9110 has recipients accept.
    let same = Some(Duration::from_secs(60));
    assert_eq!(parsed("Sunday, 06-Nov-94 08:50:37 GMT"), same);
    assert_eq!(parsed("Sun Nov  6 08:50:37 1994"), same);
    assert_eq!(
        parsed("Fri, 31 Dec 9999 23:59:59 GMT"),
        Some(LONGEST_RETRY_AFTER)
    );
    for nothing in [date(now), date(now - 1), "Sun, 99 Nov 1994".to_owned()] {
        assert_eq!(parsed(&nothing), None, "{nothing:?}");
    }
}

/// A clock of ours that is wrong does not turn a minute into hours, nor into nothing.
#[test]
fn a_date_is_relative_to_the_server_s_own_clock() {
    let answer = headers(&[
        (header::RETRY_AFTER, &date(1_000_060)),
        (header::DATE, &date(1_000_000)),
    ]);
    for ours in [0, 1_000_000, 2_000_000] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(ours);
        assert_eq!(retry_after(&answer, now), Some(Duration::from_secs(60)));
    }
}

/// Status, and what it means: permanent, kind, and whether `Retry-After` counts.
#[test]
fn statuses() {
    let asks_for_a_rest = headers(&[(header::RETRY_AFTER, "3")]);
    for (status, permanent, kind, delayed) in [
        (408, false, ErrorKind::Unavailable, true),
        (425, false, ErrorKind::Unavailable, true),
        (429, false, ErrorKind::Unavailable, true),
        (500, false, ErrorKind::Unavailable, true),
        (503, false, ErrorKind::Unavailable, true),
        (599, false, ErrorKind::Unavailable, true),
        (416, false, ErrorKind::Protocol, false),
        (401, true, ErrorKind::Denied, false),
        (403, true, ErrorKind::Denied, false),
        (404, true, ErrorKind::NotFound, false),
        (410, true, ErrorKind::NotFound, false),
        (204, true, ErrorKind::Protocol, false),
        (300, true, ErrorKind::Protocol, false),
        (304, true, ErrorKind::Protocol, false),
        (418, true, ErrorKind::Protocol, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let error = check_status(status, &asks_for_a_rest).unwrap_err();
        assert_eq!((error.permanent, error.kind), (permanent, kind), "{status}");
        assert!(!error.host_wide, "{status}: one object's status");
        let delay = delayed.then_some(Duration::from_secs(3));
        assert_eq!(error.retry_after, delay, "{status}");
    }
    for fine in [StatusCode::OK, StatusCode::PARTIAL_CONTENT] {
        assert!(check_status(fine, &asks_for_a_rest).is_ok());
    }
}

#[test]
fn what_a_host_is_given_a_rest_for() {
    use ureq::{Error as E, Timeout};
    let io = |kind: io::ErrorKind, text: &str| E::Io(io::Error::new(kind, text.to_owned()));
    let certificate = "invalid peer certificate: UnknownIssuer";
    let host_wide = [
        (io(io::ErrorKind::ConnectionRefused, "refused"), false),
        (io(io::ErrorKind::ConnectionReset, "reset"), false),
        (io(io::ErrorKind::UnexpectedEof, "Peer disconnected"), false),
        (
            io(io::ErrorKind::InvalidData, "received fatal alert"),
            false,
        ),
        (io(io::ErrorKind::InvalidData, certificate), true),
        (E::Timeout(Timeout::Resolve), false),
        (E::Timeout(Timeout::Connect), false),
        (E::Timeout(Timeout::RecvResponse), false),
        (E::HostNotFound, false),
        (E::ConnectionFailed, false),
        (E::ConnectProxyFailed("secret".to_owned()), false),
        (E::Tls("no name"), true),
    ];
    for (error, permanent) in host_wide {
        let meant = classify(&error, false);
        assert!(meant.host_wide, "{error:?}");
        assert_eq!(
            (meant.permanent, meant.kind),
            (permanent, ErrorKind::Network),
            "{error:?}"
        );
        assert!(!meant.to_string().contains("secret"), "{meant}");
        // The host of the URL answered; it is another that failed.
        assert!(!classify(&error, true).host_wide, "{error:?}");
    }
    let about_the_file = [
        (E::TooManyRedirects, true),
        (E::BadUri("http://h/?secret".to_owned()), true),
        (E::LargeResponseHeader(2, 1), false),
    ];
    for (error, permanent) in about_the_file {
        let meant = classify(&error, false);
        assert_eq!(
            (meant.host_wide, meant.permanent),
            (false, permanent),
            "{error:?}"
        );
        assert!(!meant.to_string().contains("secret"), "{meant}");
    }
}
