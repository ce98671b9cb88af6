//! nginx on an ephemeral port of this machine, with one body for every path.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_secs(10);

/// A server that ends with this value.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Child,
    address: SocketAddr,
    _place: TempDir,
}

impl Nginx {
    /// Serves `len_bytes` bytes under every path; `None` if there is no nginx here.
    pub(crate) fn start(dir: &Path, len_bytes: u64) -> anyhow::Result<Option<Nginx>> {
        let place = TempDir::new_in(dir)?;
        let body: Vec<u8> = (0..len_bytes).map(|at| (at % 251) as u8).collect();
        fs::write(place.path().join("body"), body)?;
        // Somebody else may take the port between this and nginx, so there is more than one try.
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let at = place.path().display().to_string();
            fs::write(place.path().join("nginx.conf"), config(&at, address))?;
            let spawned = Command::new("nginx")
                .args(["-p", &at, "-c", &format!("{at}/nginx.conf")])
                .args(["-e", &format!("{at}/error.log")])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let mut process = match spawned {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                spawned => spawned.context("cannot run nginx")?,
            };
            if serves(&mut process, address)? {
                return Ok(Some(Nginx {
                    process,
                    address,
                    _place: place,
                }));
            }
        }
        let log = fs::read_to_string(place.path().join("error.log")).unwrap_or_default();
        bail!("nginx does not start: {log}")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether it answers, before it ends by itself.
fn serves(process: &mut Child, address: SocketAddr) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START_DEADLINE;
    while process.try_wait()?.is_none() {
        if TcpStream::connect(address).is_ok() {
            return Ok(true);
        }
        ensure!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(false)
}

fn config(at: &str, address: SocketAddr) -> String {
    format!(
        "daemon off;
master_process off;
pid {at}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {at}/body_temp;
    proxy_temp_path {at}/proxy_temp;
    fastcgi_temp_path {at}/fastcgi_temp;
    uwsgi_temp_path {at}/uwsgi_temp;
    scgi_temp_path {at}/scgi_temp;
    server {{
        listen {address};
        root {at};
        location / {{ rewrite ^ /body break; }}
    }}
}}
"
    )
}
