//! A real S3-compatible server (SeaweedFS) of the test's own, on free ports and in its own directory.

#![allow(clippy::print_stdout, reason = "says what is skipped")]

use std::io::{self, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_source::{
    CancelToken, DataSource, HttpOptions, ListRequest, OpenRequest, Opened, S3Options, S3Source,
    SourceError,
};
use parking_lot::Mutex;
use rusty_s3::actions::{CreateBucket, DeleteObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tempfile::TempDir;

use super::DEADLINE;

pub const KEY: &str = "owner";
pub const SECRET: &str = "canary-of-the-secret-key";
/// Everybody may read it; all other buckets are the owner's alone.
pub const PUBLIC: &str = "public";

/// Who may do what.
const CONFIG: &str = r#"{"identities": [
    {"name": "owner", "credentials": [{"accessKey": "owner", "secretKey": "canary-of-the-secret-key"}],
     "actions": ["Admin", "Read", "Write", "List"]},
    {"name": "anonymous", "actions": ["Read:public", "List:public"]}
]}"#;

/// One server for all tests that run at the same time, with a bucket of its own for each.
pub fn server(bucket: &str) -> Option<Arc<Server>> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    let server = match shared.upgrade() {
        Some(server) => server,
        None => Arc::new(Server::start()?),
    };
    *shared = Arc::downgrade(&server);
    drop(shared);
    server.bucket(bucket);
    Some(server)
}

pub fn source(options: S3Options) -> S3Source {
    S3Source::new(options, HttpOptions::default())
}

pub fn open(source: &S3Source, url: &str) -> Result<Opened, SourceError> {
    source.open(&OpenRequest::new(url, &CancelToken::new()))
}

pub fn content(opened: Opened) -> Vec<u8> {
    let mut bytes = Vec::new();
    opened.into_reader().read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn list(source: &dyn DataSource, url: &str) -> Vec<DataChunk> {
    let (mut chunks, cancel) = (Vec::new(), CancelToken::new());
    let request = ListRequest::new(url, &cancel);
    source
        .list(&request, &mut |chunk| chunks.push(chunk))
        .unwrap();
    chunks
}

/// Stopped when it is dropped.
pub struct Server {
    child: Child,
    _dir: TempDir,
    port: u16,
}

impl Server {
    /// Starts one; without its program, says so and gives `None`.
    ///
    /// # Panics
    /// If the program is there and does not serve: nothing would have been tested.
    pub fn start() -> Option<Server> {
        let Some(program) = program() else {
            println!("skipped: needs DATA_MANAGER_S3_SERVER, or weed (SeaweedFS) in the path");
            return None;
        };
        // Another program may take a port between its choice and its use.
        let started = (0..5).find_map(|_| Server::try_start(&program).ok().flatten());
        Some(started.unwrap_or_else(|| panic!("{} does not serve", program.display())))
    }

    fn try_start(program: &Path) -> io::Result<Option<Server>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("s3.json"), CONFIG)?;
        let ports = free_ports()?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new(program);
        command
            .current_dir(dir.path())
            .args(["server", "-dir=.", "-filer", "-s3", "-s3.config=s3.json"])
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=400"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-s3.domainName=localhost", "-master.telemetry=false"]);
        let names = ["master", "volume", "filer", "s3"];
        for (name, ports) in names.iter().zip(ports.chunks(2)) {
            command.arg(format!("-{name}.port={}", ports[0]));
            command.arg(format!("-{name}.port.grpc={}", ports[1]));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server {
            child,
            _dir: dir,
            port: ports[6],
        };
        Ok(server.is_ready().then_some(server))
    }

    /// Whether it takes an object; it answers before it can.
    fn is_ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            if self.try_bucket(PUBLIC) && self.try_put(PUBLIC, "ready", b"ready") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// With the right keys.
    pub fn options(&self) -> S3Options {
        self.anybody().access_key(KEY).secret_key(SECRET)
    }

    /// Without any.
    pub fn anybody(&self) -> S3Options {
        S3Options::new().endpoint(self.endpoint())
    }

    pub fn bucket(&self, name: &str) {
        assert!(self.try_bucket(name), "cannot make the bucket {name}");
    }

    fn try_bucket(&self, name: &str) -> bool {
        let (bucket, keys) = (self.at(name), Credentials::new(KEY, SECRET));
        self.send(CreateBucket::new(&bucket, &keys).sign(DEADLINE), &[])
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let put = self.try_put(bucket, key, bytes);
        assert!(put, "cannot put {key} into {bucket}");
    }

    fn try_put(&self, bucket: &str, key: &str, bytes: &[u8]) -> bool {
        let (bucket, keys) = (self.at(bucket), Credentials::new(KEY, SECRET));
        let action = PutObject::new(&bucket, Some(&keys), key);
        self.send(action.sign(DEADLINE), bytes)
    }

    pub fn remove(&self, bucket: &str, key: &str) {
        let (bucket, keys) = (self.at(bucket), Credentials::new(KEY, SECRET));
        let url = DeleteObject::new(&bucket, Some(&keys), key).sign(DEADLINE);
        let config = ureq::Agent::config_builder().proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        // The service says the same whether there was one or not.
        agent.delete(String::from(url)).call().unwrap();
    }

    fn send(&self, url: impl Into<String>, bytes: &[u8]) -> bool {
        let config = ureq::Agent::config_builder().proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        agent.put(url.into()).send(bytes).is_ok()
    }

    fn at(&self, bucket: &str) -> Bucket {
        let endpoint = self.endpoint().parse().unwrap();
        Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), "us-east-1").unwrap()
    }

    /// Puts every file below `dir`, under its path.
    pub fn upload(&self, bucket: &str, prefix: &str, dir: &Path) {
        for path in super::read_dir(dir) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let key = format!("{prefix}{name}");
            if path.is_dir() {
                self.upload(bucket, &format!("{key}/"), &path);
            } else {
                self.put(bucket, &key, &std::fs::read(&path).unwrap());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("DATA_MANAGER_S3_SERVER").filter(|p| !p.is_empty()) {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut programs = std::env::split_paths(&path).map(|dir| dir.join("weed"));
    programs.find(|program| program.is_file())
}

fn free_ports() -> io::Result<Vec<u16>> {
    let listeners: Vec<_> = (0..8)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<io::Result<_>>()?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    listeners.iter().map(port).collect()
}
