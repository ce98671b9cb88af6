//! Places that do as they are told, and a clock that is set by hand.

use crate::data_source::Copied;
use std::collections::HashMap;
use std::io::Read;

use super::*;
use crate::data_source::Body;

pub(super) type Ask = (String, u64, Option<String>);

/// What a host does with whatever it is asked for.
#[derive(Clone)]
pub(super) enum Act {
    /// Gives these bytes with this validator; from the offset on if the validator is presented.
    Give(&'static [u8], Option<&'static str>),
    /// Goes on at the offset whatever is presented, as if it had these bytes; says that validator.
    GoOn(&'static [u8], Option<&'static str>),
    /// The first bytes only, and then an error.
    Break(&'static [u8], usize, Option<&'static str>),
    Fail(fn() -> SourceError),
    /// Ten bytes, of which the kernel copies one at a time.
    ByKernel,
    /// Nonsense to a part, the whole otherwise.
    WholeOnly(&'static [u8]),
}

/// Serves `mem://host/…`.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By host.
    acts: HashMap<String, Act>,
    asks: Vec<Ask>,
}

impl Fake {
    pub(super) fn set(&self, host: &str, act: Act) {
        self.0.lock().acts.insert(host.to_owned(), act);
    }

    /// What was asked for since the last call.
    pub(super) fn asks(&self) -> Vec<Ask> {
        mem::take(&mut self.0.lock().asks)
    }

    /// Of which hosts.
    pub(super) fn hosts(&self) -> String {
        let asks = self.asks();
        let hosts: Vec<&str> = asks.iter().map(|(url, ..)| host(url)).collect();
        hosts.join(" ")
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split('/').next().unwrap();
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl DataSource for Fake {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        match url.contains("forbidden") {
            true => Err(anyhow::anyhow!("is forbidden")),
            false => Ok(()),
        }
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let act = {
            let mut state = self.0.lock();
            let presented = request.validator().or(request.unless_validator());
            let ask = (
                request.url().to_owned(),
                request.offset(),
                presented.map(str::to_owned),
            );
            state.asks.push(ask);
            state.acts.get(host(request.url())).cloned()
        };
        let with = |opened: Opened, validator: Option<&str>| match validator {
            Some(validator) => opened.with_validator(validator),
            None => opened,
        };
        let offset = usize::try_from(request.offset()).unwrap();
        match act.unwrap_or(Act::Fail(missing)) {
            Act::Give(_, validator)
                if validator.is_some() && request.unless_validator() == validator =>
            {
                Err(SourceError::unchanged())
            }
            Act::Give(bytes, validator) => {
                let start = match request.validator() == validator {
                    true => offset,
                    false => 0,
                };
                let opened = Opened::new(&bytes[start..]).with_total(bytes.len() as u64);
                Ok(with(opened.starting_at(start as u64), validator))
            }
            Act::GoOn(bytes, validator) => {
                let opened = Opened::new(&bytes[offset..]).with_total(bytes.len() as u64);
                Ok(with(opened.starting_at(offset as u64), validator))
            }
            Act::Break(bytes, len, validator) => {
                let broken = bytes[..len].chain(Broken);
                let opened = Opened::new(broken).with_total(bytes.len() as u64);
                Ok(with(opened, validator))
            }
            Act::WholeOnly(bytes) if request.offset() == 0 => {
                Ok(Opened::new(bytes).with_total(bytes.len() as u64))
            }
            Act::WholeOnly(_) => {
                let nonsense = SourceError::transient(anyhow::anyhow!("416"));
                Err(nonsense.with_kind(ErrorKind::Protocol))
            }
            Act::ByKernel => Ok(Opened::from_body(ByKernel).with_total(10)),
            Act::Fail(error) => Err(error()),
        }
    }

    /// Two chunks at each host that gives anything; one that breaks lists one of them.
    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let ask = (request.url().to_owned(), 0, None);
        self.0.lock().asks.push(ask);
        let act = self.0.lock().acts.get(host(request.url())).cloned();
        let count = match act {
            None => return Err(missing()),
            Some(Act::Fail(error)) => return Err(error()),
            Some(Act::Break(..)) => 1,
            Some(_) => 2,
        };
        for n in 0..count {
            found(DataChunk {
                id: [n; 32],
                dataset_id: [0; 32],
                block_range: 0..1,
                files: HashMap::from([("f".to_owned(), format!("{}{n}/f", request.url()))]),
            });
        }
        match count {
            1 => Err(down()),
            _ => Ok(()),
        }
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broke off"))
    }
}

struct ByKernel;

impl Read for ByKernel {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        unreachable!("the kernel copies all of it")
    }
}

impl Body for ByKernel {
    fn copy_into(&mut self, _: &std::fs::File, _: u64, count: usize) -> Copied {
        let waited = Duration::ZERO;
        Copied { count, waited }
    }
}

pub(super) fn missing() -> SourceError {
    SourceError::permanent(anyhow::anyhow!("missing"))
}

pub(super) fn denied() -> SourceError {
    missing().with_kind(ErrorKind::Denied)
}

pub(super) fn down() -> SourceError {
    SourceError::transient(anyhow::anyhow!("down")).host_wide()
}

pub(super) fn busy() -> SourceError {
    SourceError::transient(anyhow::anyhow!("busy")).with_retry_after(Duration::from_secs(30))
}

/// Files below `mem://a/data/`, with `b` and `c` as alternates.
pub(super) struct World {
    pub(super) fake: Fake,
    pub(super) source: MirrorSource,
    pub(super) now: Arc<Mutex<Duration>>,
    pub(super) cancel: CancelToken,
}

pub(super) fn sources(fake: &Fake) -> BTreeMap<String, Arc<dyn DataSource>> {
    let fake: Arc<dyn DataSource> = Arc::new(fake.clone());
    BTreeMap::from([("mem".to_owned(), fake)])
}

pub(super) fn setting(prefix: &str, alternates: &[&str]) -> MirrorSetting {
    let alternates = alternates.iter().map(|text| (*text).to_owned());
    MirrorSetting::new(prefix.to_owned(), alternates.collect())
}

pub(super) const RESTS: Rests = Rests {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(60),
};

impl World {
    pub(super) fn new() -> World {
        World::with(&[setting(
            "mem://a/data",
            &["mem://user:pw@b/", "mem://c/x/y/"],
        )])
    }

    pub(super) fn with(settings: &[MirrorSetting]) -> World {
        let (fake, now) = (Fake::default(), Arc::<Mutex<Duration>>::default());
        let clock = now.clone();
        let clock: Clock = Arc::new(move || *clock.lock());
        let mut made = MirrorSource::with_clock(&sources(&fake), settings, RESTS, &clock).unwrap();
        World {
            fake,
            source: made.remove("mem").unwrap(),
            now,
            cancel: CancelToken::new(),
        }
    }

    pub(super) fn pass(&self, seconds: u64) {
        *self.now.lock() += Duration::from_secs(seconds);
    }

    pub(super) fn open(&self, file: &str) -> Result<Opened, SourceError> {
        let url = format!("mem://a/data/{file}");
        self.source.open(&OpenRequest::new(&url, &self.cancel))
    }

    pub(super) fn resume(&self, file: &str, offset: u64, validator: &str) -> Opened {
        let url = format!("mem://a/data/{file}");
        let request = OpenRequest::new(&url, &self.cancel).resume(offset, validator);
        self.source.open(&request).unwrap()
    }

    /// The whole file, as somebody reads it who looks for its end.
    pub(super) fn read(&self, file: &str) -> Vec<u8> {
        rest_of(self.open(file).unwrap())
    }

    /// Opens a file, reads a byte of it, and gives up.
    pub(super) fn give_up(&self, file: &str) {
        let mut opened = self.open(file).unwrap();
        assert_eq!(opened.reader.read(&mut [0]).unwrap(), 1);
    }
}

pub(super) fn rest_of(mut opened: Opened) -> Vec<u8> {
    let mut bytes = Vec::new();
    opened.reader.read_to_end(&mut bytes).unwrap();
    bytes
}
