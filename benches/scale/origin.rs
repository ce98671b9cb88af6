//! A small HTTP server: one thread a connection, kept alive, one body for every path.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A server that runs for as long as the process.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    answer_len: usize,
}

impl Origin {
    /// Serves `len_bytes` bytes under every path.
    pub(crate) fn start(len_bytes: usize) -> io::Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {len_bytes}\r\nContent-Type: application/octet-stream\r\nETag: \"1\"\r\n\r\n"
        )
        .into_bytes();
        answer.extend((0..len_bytes).map(|at| (at % 251) as u8));
        let answer: Arc<[u8]> = answer.into();
        let answer_len = answer.len();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let answer = answer.clone();
                std::thread::spawn(move || serve(connection, &answer));
            }
        });
        Ok(Origin {
            address,
            answer_len,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of an answer, headers included.
    pub(crate) fn answer_len(&self) -> usize {
        self.answer_len
    }

    pub(crate) fn url(&self, n: usize) -> String {
        format!("http://{}/files/{n:06}.parquet", self.address)
    }
}

/// Answers until the client goes. A GET without a body ends with an empty line.
fn serve(mut connection: TcpStream, answer: &[u8]) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
        while let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            request.drain(..end + 4);
            connection.write_all(answer)?;
        }
    }
}
