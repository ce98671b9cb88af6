//! What a request is answered with, and how that looks on the wire.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use serde_json::{Value, json};

use super::client::Client;
use super::request::Request;

/// How much of a file is copied at a time.
const COPY_BYTES: usize = 128 * 1024;

/// The pieces of a long answer. Asking for the next one blocks.
pub(crate) type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(Vec<u8>),
    /// And what is kept until it is sent.
    File(File, Box<dyn Send>),
    Pieces(Pieces),
}

impl Answer {
    pub(crate) fn json(value: &Value) -> Answer {
        Answer::text("application/json", format!("{value}\n"))
    }

    pub(crate) fn text(kind: &'static str, text: String) -> Answer {
        Answer {
            status: 200,
            kind,
            body: Body::Whole(text.into_bytes()),
        }
    }

    pub(crate) fn with_status(self, status: u16) -> Answer {
        Answer { status, ..self }
    }

    /// A status, and why.
    pub(crate) fn refused(status: u16, why: impl fmt::Display) -> Answer {
        Answer::json(&json!({ "error": why.to_string() })).with_status(status)
    }

    /// A file, and what is kept until it is sent.
    pub(crate) fn file(file: File, kept: impl Send + 'static) -> Answer {
        Answer {
            status: 200,
            kind: "application/octet-stream",
            body: Body::File(file, Box::new(kept)),
        }
    }

    /// Lines of JSON, as they come.
    pub(crate) fn lines(pieces: Pieces) -> Answer {
        Answer {
            status: 200,
            kind: "application/x-ndjson",
            body: Body::Pieces(pieces),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Body::Whole(_) => "Whole",
            Body::File(..) => "File",
            Body::Pieces(_) => "Pieces",
        })
    }
}

/// How a client wants its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    is_head: bool,
    is_1_1: bool,
}

impl Shape {
    pub(super) fn of(request: &Request) -> Shape {
        Shape {
            is_head: request.is_head,
            is_1_1: request.is_1_1,
        }
    }

    pub(super) fn is_head_only(self) -> bool {
        self.is_head
    }
}

#[derive(Clone, Copy)]
pub(super) enum Length {
    Known(u64),
    Unknown,
}

pub(super) fn send_whole(
    client: &mut Client,
    shape: Shape,
    says: (u16, &str),
    bytes: &[u8],
) -> io::Result<()> {
    send_head(client, shape, says, Length::Known(bytes.len() as u64))?;
    match shape.is_head {
        true => Ok(()),
        false => client.write_all(bytes),
    }
}

pub(super) fn send_file(
    client: &mut Client,
    shape: Shape,
    says: (u16, &str),
    file: &File,
) -> io::Result<()> {
    let len = file.metadata()?.len();
    send_head(client, shape, says, Length::Known(len))?;
    if shape.is_head {
        return Ok(());
    }
    let mut buffered = BufWriter::with_capacity(COPY_BYTES, client);
    let sent = io::copy(&mut file.take(len), &mut buffered)?;
    buffered.flush()?;
    match sent == len {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Where nobody can know the length, HTTP/1.1 has chunks; before it, the end of the connection is the
/// end of the body.
pub(super) fn send_head(
    client: &mut Client,
    shape: Shape,
    (status, kind): (u16, &str),
    length: Length,
) -> io::Result<()> {
    let length = match length {
        Length::Known(len) => format!("Content-Length: {len}\r\n"),
        Length::Unknown if shape.is_1_1 => "Transfer-Encoding: chunked\r\n".to_owned(),
        Length::Unknown => String::new(),
    };
    let more = match status {
        405 => "Allow: GET, HEAD\r\n",
        503 => "Retry-After: 1\r\n",
        _ => "",
    };
    let reason = reason(status);
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n{length}{more}Connection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())
}

/// A chunk of a body; one without bytes would be taken for the end.
pub(super) fn send_piece(
    client: &mut Client,
    shape: Shape,
    piece: &[u8],
    is_last: bool,
) -> io::Result<()> {
    if !shape.is_1_1 {
        return client.write_all(piece);
    }
    let mut chunk = Vec::with_capacity(piece.len() + 32);
    if !piece.is_empty() {
        write!(chunk, "{:x}\r\n", piece.len())?;
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
    }
    if is_last {
        chunk.extend_from_slice(b"0\r\n\r\n");
    }
    client.write_all(&chunk)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
