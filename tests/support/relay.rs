//! A relay between a source and a server: it cuts, and it keeps requests back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: SocketAddr,
    /// The next connection is cut after so many bytes of the server's; none if 0.
    cut_after: AtomicU64,
    /// Where set, the next request waits for it.
    gate: Mutex<Option<Gate>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    over: AtomicBool,
}

type Gate = Box<dyn FnOnce() + Send>;

impl Relay {
    pub fn to(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: ([127, 0, 0, 1], port).into(),
            cut_after: AtomicU64::new(0),
            gate: Mutex::new(None),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let serving = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let state = serving.clone();
                std::thread::spawn(move || state.serve(client));
            }
        });
        Relay { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts the next connection after so many bytes of the server's.
    pub fn cut_after(&self, count: u64) {
        self.state.cut_after.store(count, Ordering::SeqCst);
    }

    /// Keeps the next request back until `gate` returns.
    pub fn hold_next(&self, gate: impl FnOnce() + Send + 'static) {
        *self.state.gate.lock() = Some(Box::new(gate));
    }

    /// The heads of what came in, as far as it began a packet.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(self: Arc<Self>, client: TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = TcpStream::connect(self.server) else {
            return;
        };
        let (mut from_client, mut to_server) =
            (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = self.clone();
        let sending = std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                let head = String::from_utf8_lossy(&buffer[..count]).into_owned();
                up.requests.lock().push(head);
                let gate = up.gate.lock().take();
                if let Some(gate) = gate {
                    gate();
                }
                if to_server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to_server.shutdown(Shutdown::Both);
        });
        self.answer(server, client);
        let _ = sending.join();
    }

    fn answer(&self, mut server: TcpStream, mut client: TcpStream) {
        let (mut buffer, mut passed) = ([0; 16 * 1024], 0u64);
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            passed += count as u64;
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
            let cut = self.cut_after.load(Ordering::SeqCst);
            if cut != 0 && passed >= cut {
                self.cut_after.store(0, Ordering::SeqCst);
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
