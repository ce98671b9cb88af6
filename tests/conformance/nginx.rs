//! `http://`, from a real nginx over a directory.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use data_manager::data_source::HttpSource;
use data_manager::data_source::conformance::Origin;
use tempfile::TempDir;

use crate::conforms;
use crate::files::put_hole;
use crate::http::patient;
use crate::support::{DEADLINE, temp_dir};

/// An nginx, and the directory that it serves. Dropping it ends it.
struct Nginx {
    child: Child,
    port: u16,
    dir: TempDir,
    seconds: AtomicU64,
}

impl Nginx {
    /// `None` where there is no nginx.
    fn start() -> Option<Nginx> {
        Command::new("nginx")
            .arg("-v")
            .stderr(Stdio::null())
            .status()
            .ok()?;
        // A port that is free now may be taken before nginx has it.
        (0..10).find_map(|_| Nginx::start_once())
    }

    fn start_once() -> Option<Nginx> {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("root/marker"), dir.path().to_str().unwrap()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        fs::write(dir.path().join("nginx.conf"), config(dir.path(), port)).unwrap();
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Nginx {
            child,
            port,
            dir,
            seconds: AtomicU64::new(1_700_000_000),
        };
        let started = Instant::now();
        while started.elapsed() < DEADLINE && nginx.child.try_wait().unwrap().is_none() {
            if nginx.is_ours() {
                return Some(nginx);
            }
            std::thread::yield_now();
        }
        None
    }

    fn is_ours(&self) -> bool {
        let mut answer = String::new();
        let asked = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /marker HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        });
        asked.is_ok() && answer.ends_with(self.dir.path().to_str().unwrap())
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    // One process, and nothing of it outside the directory.
    format!(
        "daemon off; master_process off; pid {dir}/pid;
         events {{ worker_connections 256; }}
         http {{
           access_log off; sendfile on;
           client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
           uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
           server {{ listen 127.0.0.1:{port}; root {dir}/root; }}
         }}"
    )
}

impl Origin for Nginx {
    fn put(&self, name: &str, content: &[u8]) -> String {
        let new = self.dir.path().join(format!("{name}.new"));
        fs::write(&new, content).unwrap();
        // nginx makes its ETag of the length and the second of the last change: two versions of
        // one length and one second are one to it, and to all who ask it.
        let second = self.seconds.fetch_add(1, Ordering::SeqCst);
        let modified = UNIX_EPOCH + Duration::from_secs(second);
        File::options()
            .write(true)
            .open(&new)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        fs::rename(new, self.dir.path().join("root").join(name)).unwrap();
        self.url(name)
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.dir.path().join("root").join(name));
    }

    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        put_hole(&self.dir.path().join("root").join(name), len_bytes, tail).ok()?;
        Some(self.url(name))
    }
}

#[test]
fn http_conforms_with_nginx() {
    let Some(nginx) = Nginx::start() else {
        eprintln!("skipped: needs nginx");
        return;
    };
    let may_skip = [
        "cut",
        "cancelled_while_opening",
        "cancelled_while_stalled",
        "list",
    ];
    conforms(HttpSource::new(patient()), nginx, &may_skip);
}
