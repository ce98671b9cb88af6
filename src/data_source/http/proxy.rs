//! Whether requests go through a proxy, and through which.
//!
//! A proxy gets a tunnel (`CONNECT`) to the origin, also for `http://`. It finds the addresses.

use std::fmt;

use fluent_uri::Uri;
use ureq::Proxy;

use super::origin::{Origin, Target};

/// What was asked for. `Debug` never shows a URL, which may hold a password.
#[derive(Clone, Default)]
pub(super) enum ProxyChoice {
    /// What the variables of the environment say.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one, for every URL.
    Url(String),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyChoice::Environment => "Environment",
            ProxyChoice::Direct => "Direct",
            ProxyChoice::Url(_) => "Url(..)",
        })
    }
}

/// The proxy for each scheme, and the hosts that need none.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<String>,
}

impl Proxies {
    /// `variable` reads the environment. The error is what comes after the name of the setting.
    pub(super) fn of(
        choice: &ProxyChoice,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Proxies, String> {
        match choice {
            ProxyChoice::Direct => Ok(Proxies::default()),
            ProxyChoice::Url(url) => {
                let proxy = parse(url)?;
                Ok(Proxies {
                    http: Some(proxy.clone()),
                    https: Some(proxy),
                    exceptions: Vec::new(),
                })
            }
            ProxyChoice::Environment => {
                let first = |names: [&str; 4]| {
                    let set = names
                        .into_iter()
                        .find_map(|name| Some((name, said(&variable, name)?)));
                    let parsed = set.map(|(name, url)| {
                        parse(&url).map_err(|reason| format!("{reason} (from {name})"))
                    });
                    parsed.transpose()
                };
                let exceptions =
                    said(&variable, "no_proxy").or_else(|| said(&variable, "NO_PROXY"));
                let exceptions = exceptions.unwrap_or_default();
                let exceptions = exceptions.split(',').map(|e| e.trim().to_ascii_lowercase());
                Ok(Proxies {
                    http: first(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
                    https: first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
                    exceptions: exceptions.filter(|e| !e.is_empty()).collect(),
                })
            }
        }
    }

    /// The proxy for requests to `origin`.
    pub(super) fn proxy_for(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = if origin.https {
            &self.https
        } else {
            &self.http
        };
        let excepted = |entry: &String| is_excepted(entry, origin);
        proxy
            .as_ref()
            .filter(|_| !self.exceptions.iter().any(excepted))
    }
}

/// What a variable says; one that is empty says nothing.
fn said(variable: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable(name).filter(|value| !value.trim().is_empty())
}

fn parse(url: &str) -> Result<Proxy, String> {
    // Variables of the environment often say `host:port`.
    let url = match url.trim() {
        url if url.contains("://") => url.to_owned(),
        url => format!("http://{url}"),
    };
    let target = Target::parse(&url).map_err(|why| why.reason().to_owned())?;
    let uri = Uri::parse(url.as_str()).map_err(|_| "is not a valid URL (RFC 3986)")?;
    if !matches!(uri.path().as_str(), "" | "/") || uri.has_query() || uri.has_fragment() {
        return Err("has more than a host and a port".to_owned());
    }
    // With its user info, which `ureq` sends to the proxy alone.
    let user_info = uri.authority().and_then(|authority| authority.userinfo());
    let user_info = user_info
        .map(|user_info| format!("{user_info}@"))
        .unwrap_or_default();
    let plain = target.url.trim_end_matches('/');
    let with_user_info = plain.replacen("//", &format!("//{user_info}"), 1);
    Proxy::new(&with_user_info).map_err(|_| "is not a proxy's URL".to_owned())
}

/// Whether an entry of `NO_PROXY` covers `origin`: `*`, a domain with all below it, with a dot or
/// `*.` before it or not, an address; each with a port or without.
fn is_excepted(entry: &str, origin: &Origin) -> bool {
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    let port = format!(":{}", origin.port);
    let domain = entry.strip_suffix(&port).unwrap_or(entry);
    let domain = domain.trim_start_matches('[').trim_end_matches(']');
    let domain = domain.strip_prefix('*').unwrap_or(domain);
    if entry == "*" || host == domain {
        return true;
    }
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let below = host.strip_suffix(domain).unwrap_or_default();
    !domain.is_empty() && (host == domain || below.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxies::of(&ProxyChoice::Environment, variable)
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        let origin = Target::parse(url).unwrap().origin;
        let proxy = proxies.proxy_for(&origin)?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_environment_says_which() {
        let proxies = of(&[]).unwrap();
        assert_eq!(through(&proxies, "http://h/"), None);
        let proxies = of(&[("http_proxy", "p:1"), ("HTTPS_PROXY", "http://q:2/")]).unwrap();
        assert_eq!(through(&proxies, "http://h/").as_deref(), Some("p:1"));
        assert_eq!(through(&proxies, "https://h/").as_deref(), Some("q:2"));
        let proxies = of(&[("https_proxy", ""), ("ALL_PROXY", "p:1")]).unwrap();
        assert_eq!(through(&proxies, "https://h/").as_deref(), Some("p:1"));
        let direct = Proxies::of(&ProxyChoice::Direct, |_| Some("p:1".to_owned())).unwrap();
        assert_eq!(through(&direct, "http://h/"), None);
        let chosen = ProxyChoice::Url("http://q".to_owned());
        let chosen = Proxies::of(&chosen, |_| Some("*".to_owned())).unwrap();
        assert_eq!(through(&chosen, "https://h/").as_deref(), Some("q:80"));
    }

    #[test]
    fn the_environment_says_for_whom_none_is_needed() {
        let hosts = "a.example, .b.example,*.c.example,10.0.0.1,[::1],d.example:81, ,e.example.";
        let proxies = of(&[("all_proxy", "p:1"), ("no_proxy", hosts)]).unwrap();
        for direct in [
            "http://a.example/",
            "http://x.A.example/",
            "https://y.x.b.example/",
            "http://b.example/",
            "http://z.c.example/",
            "http://10.0.0.1:5/",
            "https://[::1]/",
            "http://d.example:81/",
        ] {
            assert_eq!(through(&proxies, direct), None, "{direct}");
        }
        for not in [
            "http://xa.example/",
            "http://example/",
            "http://110.0.0.1/",
            "http://d.example/",
            "http://a.example.com/",
        ] {
            assert!(through(&proxies, not).is_some(), "{not}");
        }
        let proxies = of(&[("all_proxy", "p:1"), ("NO_PROXY", "*")]).unwrap();
        assert_eq!(through(&proxies, "http://h/"), None);
    }

    #[test]
    fn what_is_no_proxy_is_not_passed_over() {
        for bad in [
            "socks5://p:1",
            "ftp://p",
            "http://",
            "http://p/path",
            "http://p?q",
            "p:99999",
            "a b",
        ] {
            let error = Proxies::of(&ProxyChoice::Url(bad.to_owned()), |_| None);
            assert!(error.is_err(), "{bad}");
            let error = of(&[("ALL_PROXY", bad)]).unwrap_err();
            assert!(error.ends_with("(from ALL_PROXY)"), "{error}");
        }
    }

    #[test]
    fn its_password_is_not_shown() {
        let url = "http://user:canary%40@p:3128";
        let choice = ProxyChoice::Url(url.to_owned());
        let proxies = Proxies::of(&choice, |_| None).unwrap();
        let shown = format!("{choice:?} {proxies:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(proxies.https.unwrap().password(), Some("canary@"));
        let bad = ProxyChoice::Url("socks5://user:canary@p".to_owned());
        let error = Proxies::of(&bad, |_| None).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
