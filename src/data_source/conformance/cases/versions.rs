//! What a URL stands for changes or goes, between two attempts and under an open reader.

use super::{ALL, Bench, Stop, cannot, compare, content, ensure, failed};
use crate::data_source::SourceError;
use crate::data_source::conformance::client::{Client, End};
use crate::error::ErrorKind;

/// How often a transfer is gone on with until it has to be whole.
const ATTEMPTS: usize = 5;

/// The old and the new length: the same, which only content tells apart, and others.
const LENGTHS: [(usize, usize); 3] = [(600_001, 600_001), (600_001, 150_000), (600_001, 900_000)];

/// Two versions of one URL.
struct Versions<'a> {
    bench: &'a Bench,
    name: String,
    url: String,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl<'a> Versions<'a> {
    fn put(bench: &'a Bench, name: &str, (old, new): (usize, usize)) -> Self {
        let name = format!("{name}-{new}");
        let (old, new) = (content(11, old), content(12, new));
        let url = bench.origin.put(&name, &old);
        Versions {
            bench,
            name,
            url,
            old,
            new,
        }
    }

    fn replace(&self) -> Result<(), Stop> {
        if self.bench.origin.put(&self.name, &self.new) != self.url {
            return cannot("the origin gives other content another URL");
        }
        Ok(())
    }

    /// Whole means one of the versions, under its own validator.
    fn judge(&self, client: &Client) -> Result<(), Stop> {
        if client.bytes != self.old && client.bytes != self.new {
            return failed("what is taken for whole is neither the old content nor the new");
        }
        let (Some(told), Ok(now)) = (client.validator(), self.bench.validator_of(&self.url)) else {
            return Ok(());
        };
        ensure((told == now) == (client.bytes == self.new), || {
            format!("one version's bytes came under another's validator, {told}")
        })
    }

    /// Goes on until it is whole, which has to be within a few attempts.
    fn finish(&self, client: &mut Client) -> Result<(), Stop> {
        for _ in 0..ATTEMPTS {
            match client.attempt(self.bench, &self.url, ALL)? {
                End::Whole => return self.judge(client),
                End::Refused(error) if error.is_permanent() => {
                    return failed(format!("it changed, which is a permanent failure: {error}"));
                }
                _ => {}
            }
        }
        failed(format!("after {ATTEMPTS} attempts it is not whole"))
    }
}

/// The validator of something else: of this URL before it changed, or of another one.
pub(super) fn another_validator(bench: &Bench) -> Result<(), Stop> {
    let other = bench.origin.put("another-validator", &content(13, 50_001));
    let validator = bench.validator_of(&other)?;
    let bytes = content(14, 50_001);
    let url = bench.origin.put("another-validator", &bytes);
    let now = bench.validator_of(&url)?;
    ensure(now != validator, || {
        format!("other bytes have the same validator: {now}")
    })?;
    for offset in [1, 25_000, 50_000, 50_001, 60_000] {
        let opened = match bench.open_rest(&url, offset, &validator) {
            Ok(opened) => opened,
            Err(error) => return failed(format!("from byte {offset} of something else: {error}")),
        };
        let (start, told) = (opened.start(), opened.validator().map(str::to_owned));
        ensure(start == 0, || {
            format!("it goes on at byte {start} of something else")
        })?;
        ensure(told.as_ref() == Some(&now), || {
            format!("the new content came under the validator {told:?}, not {now}")
        })?;
        let mut arrived = Vec::new();
        if let Err(error) = std::io::Read::read_to_end(&mut opened.into_reader(), &mut arrived) {
            return failed(format!("the new content: {error}"));
        }
        compare(&arrived, &bytes)?;
    }
    Ok(())
}

pub(super) fn changed_between_attempts(bench: &Bench) -> Result<(), Stop> {
    for lengths in LENGTHS {
        let versions = Versions::put(bench, "changed-between", lengths);
        let mut client = Client::default();
        client.attempt(bench, &versions.url, 300_000)?;
        versions.replace()?;
        versions.finish(&mut client)?;
        compare(&client.bytes, &versions.new)?;
    }
    Ok(())
}

pub(super) fn changed_while_open(bench: &Bench) -> Result<(), Stop> {
    for (n, lengths) in LENGTHS.into_iter().enumerate() {
        for enough in [0, 1, 300_000] {
            let name = format!("changed-open-{n}-{enough}");
            let versions = Versions::put(bench, &name, lengths);
            let mut client = Client::default();
            let mut transfer = match client.open(bench, &versions.url)? {
                Ok(transfer) => transfer,
                Err(error) => return failed(format!("before it changed: {error}")),
            };
            client.read(&mut transfer, enough)?;
            versions.replace()?;
            match client.read(&mut transfer, ALL)? {
                End::Whole => versions.judge(&client)?,
                _ => versions.finish(&mut client)?,
            }
        }
    }
    Ok(())
}

pub(super) fn removed_between_attempts(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("removed-between", &content(15, 600_001));
    let mut client = Client::default();
    client.attempt(bench, &url, 300_000)?;
    bench.origin.remove("removed-between");
    match client.attempt(bench, &url, ALL)? {
        End::Refused(error) => is_not_found(&error),
        end => failed(format!("it is not there any more, but: {}", end.told())),
    }
}

pub(super) fn removed_while_open(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(16, 600_001);
    let url = bench.origin.put("removed-open", &bytes);
    let mut client = Client::default();
    let mut transfer = match client.open(bench, &url)? {
        Ok(transfer) => transfer,
        Err(error) => return failed(format!("before it was removed: {error}")),
    };
    client.read(&mut transfer, 1)?;
    bench.origin.remove("removed-open");
    match client.read(&mut transfer, ALL)? {
        End::Whole => compare(&client.bytes, &bytes),
        _ => Ok(()),
    }
}

/// What there is not is a permanent failure of that kind.
pub(super) fn is_not_found(error: &SourceError) -> Result<(), Stop> {
    ensure(error.is_permanent(), || {
        format!("what is not there is told as a failure that may pass: {error}")
    })?;
    ensure(error.kind() == ErrorKind::NotFound, || {
        format!("what is not there is of kind {}: {error}", error.kind())
    })
}
