//! Which addresses everybody can reach, and which only those on this machine or network.
//!
//! A host out there may send us on, but not to where it cannot go itself: what answers on a
//! private address trusts whoever can reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public Internet's (IANA's special-purpose registries, RFC
/// 6890). Addresses for documentation count as public: nobody has them, so they may stand for any
/// host.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = matches!(
        address.octets(),
        // This host, private, loopback, link-local.
        [0 | 10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..]
        // Shared between a carrier and its customers, protocol assignments, benchmarks.
        | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..]
        // Multicast, reserved, broadcast.
        | [224..=255, ..]
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    match address.segments() {
        // Protocol assignments, Teredo among them.
        [0x2001, 0..=0x01ff, ..] => false,
        // All that was ever given out is in here: neither loopback, link-local, unique local and
        // multicast nor the local prefix of NAT64.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IPv4 address that packets to `address` end at: mapped, compatible, NAT64 or 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        // Translated (RFC 2765).
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

/// Whether a host, as a URL has it, says by itself that it is not public. Where a proxy finds the
/// addresses, that is all one can see.
pub(super) fn names_private(host: &str, is_public: impl Fn(IpAddr) -> bool) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return !is_public(address);
    }
    let name = bare.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or_default();
    // No top-level domain begins with a digit: these are other ways to write an address
    // (`2130706433`, `0x7f.1`), or nothing at all.
    let odd = bare.contains(':') || !last.starts_with(|c: char| c.is_ascii_alphabetic());
    odd || last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_neighbour_reaches() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "5f00::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn what_everybody_reaches() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "126.0.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "203.0.113.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:db8::1",
            "::ffff:1.1.1.1",
            "64:ff9b::808:808",
            "2002:101:101::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn what_a_name_says_by_itself() {
        for private in [
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "a.LocalHost.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "1.1.1.1.",
            "",
            "[fe80::1%25eth0]",
        ] {
            assert!(names_private(private, is_public), "{private}");
        }
        for open in [
            "example.com",
            "a.example.com.",
            "1.1.1.1",
            "[2606:4700::1111]",
            "1a.com",
        ] {
            assert!(!names_private(open, is_public), "{open}");
        }
    }
}
