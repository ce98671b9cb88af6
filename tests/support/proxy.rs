//! A proxy on loopback that makes tunnels, all of them to one place: whatever name a client asks
//! for is found by the proxy, and by nobody else.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Its threads end with the test.
pub struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads to `target`.
    pub fn start(target: SocketAddr) -> Proxy {
        Proxy::answering(target, "200 Connected")
    }

    /// Answers each request for a tunnel with this status; leads to `target` if it is good.
    pub fn answering(target: SocketAddr, status: &'static str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || {
                    let _ = tunnel(&client, target, status, &seen);
                });
            }
        });
        Proxy { address, heads }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the clients said to the proxy itself.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(
    client: &TcpStream,
    target: SocketAddr,
    status: &str,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let is_tunnel = head.starts_with("CONNECT ");
    seen.lock().unwrap().push(head);
    let mut to_client = client;
    if !is_tunnel {
        return to_client.write_all(b"HTTP/1.1 405 Only Tunnels\r\nContent-Length: 0\r\n\r\n");
    }
    write!(to_client, "HTTP/1.1 {status}\r\n\r\n")?;
    if !status.starts_with("200") {
        return Ok(());
    }
    let server = TcpStream::connect(target)?;
    let (mut from_server, mut back) = (server.try_clone()?, client.try_clone()?);
    let downwards = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    let _ = downwards.join();
    Ok(())
}
