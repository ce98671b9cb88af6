//! Reads a request's head, and takes it apart.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

use super::client::Client;

/// The longest head that is read.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The most headers in it.
const MAX_HEADERS: usize = 64;
/// How long a client may take for it.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// A request that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// It is a HEAD: everything but the body is wanted.
    pub(crate) is_head: bool,
    /// It is of HTTP/1.1, which knows bodies in chunks.
    pub(crate) is_1_1: bool,
    /// The path's parts, decoded.
    pub(crate) parts: Vec<String>,
    /// What follows the `?`, decoded.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Request {
    /// The path, for people.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.parts.join("/"))
    }
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Nobody is there who could be told.
    Gone,
    /// A status, and what is wrong.
    Refused(u16, &'static str),
}

/// Reads until the head is whole.
pub(crate) fn read(client: &mut Client) -> Result<Request, Unread> {
    client.until(Instant::now() + HEAD_WITHIN);
    let mut head = [0; MAX_HEAD_BYTES];
    let mut len = 0;
    loop {
        let read = match client.read(&mut head[len..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unread::Refused(408, "the request did not come in time"));
            }
            Err(_) => return Err(Unread::Gone),
        };
        len += read;
        if let Some(request) = parse(&head[..len])? {
            return Ok(request);
        }
        match (read, len) {
            (0, 0) => return Err(Unread::Gone),
            (_, MAX_HEAD_BYTES) => return Err(Unread::Refused(431, "the head is too long")),
            (0, _) => return Err(Unread::Refused(400, "the request is cut")),
            _ => {}
        }
    }
}

/// A request, once its head is whole.
fn parse(head: &[u8]) -> Result<Option<Request>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Unread::Refused(431, "there are too many headers"));
        }
        Err(httparse::Error::Version) => {
            return Err(Unread::Refused(505, "this is spoken: HTTP/1.1"));
        }
        Err(_) => return Err(Unread::Refused(400, "this is no HTTP request")),
    }
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Unread::Refused(405, "GET and HEAD are all there is")),
    };
    let target = request.path.unwrap_or_default();
    let (path, parameters) = target.split_once('?').unwrap_or((target, ""));
    let understood = path.strip_prefix('/').and_then(|path| {
        Some(Request {
            is_head,
            is_1_1: request.version == Some(1),
            parts: path.split('/').map(decode).collect::<Option<_>>()?,
            parameters: pairs(parameters)?,
        })
    });
    let understood = understood.ok_or(Unread::Refused(400, "the path is not understood"))?;
    Ok(Some(understood))
}

fn pairs(parameters: &str) -> Option<Vec<(String, String)>> {
    let pairs = parameters.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    };
    pairs.map(pair).collect()
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &str) -> u16 {
        match parse(head.as_bytes()) {
            Err(Unread::Refused(status, _)) => status,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = b"HEAD /read/a%2Fb?columns=x,y&limit=3 HTTP/1.1\r\nHost: h\r\n\r\nGET /";
        let request = parse(head).unwrap().unwrap();
        assert!(request.is_head && request.is_1_1);
        assert_eq!(request.parts, ["read", "a/b"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            request.parameters,
            [pair("columns", "x,y"), pair("limit", "3")]
        );
    }

    #[test]
    fn what_cannot_be_answered_has_its_status() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: h\r\n"), Ok(None));
        assert_eq!(refused("POST / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("GET /%ff HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET nowhere HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("\u{1}\u{2}\u{3}\r\n\r\n"), 400);
        let headers = "a: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{headers}\r\n")), 431);
    }
}
