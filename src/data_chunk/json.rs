//! How descriptions are read from JSON: strictly, since nobody is there to ask what was meant.
//!
//! `serde` would let a file that is named twice have the last of its URLs, and takes an array for an
//! object. Both are refused here. Fields that are not known are let pass: whoever writes descriptions
//! may have more to say than this version reads.
//!
//! No text made here repeats what was read, which may hold credentials.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use super::{ChunkId, DataChunk, DatasetId};

/// Why a map of files is refused.
pub(super) const NAME_TWICE: &str = "a file name is there twice";

#[derive(serde::Deserialize)]
struct Fields {
    #[serde(with = "super::digest::hex_id")]
    id: ChunkId,
    #[serde(with = "super::digest::hex_id")]
    dataset_id: DatasetId,
    #[serde(deserialize_with = "object")]
    block_range: Range<u64>,
    #[serde(deserialize_with = "read_files")]
    files: HashMap<String, String>,
}

impl<'de> Deserialize<'de> for DataChunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DataChunk, D::Error> {
        let Fields {
            id,
            dataset_id,
            block_range,
            files,
        } = object(deserializer)?;
        Ok(DataChunk {
            id,
            dataset_id,
            block_range,
            files,
        })
    }
}

/// A `T` that is written as an object. What `serde` derives would take `[0, 35]` for a range, too.
/// Formats without names of fields (they are not for people to read) have nothing but the order.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    if deserializer.is_human_readable() {
        deserializer.deserialize_map(Object(PhantomData))
    } else {
        T::deserialize(deserializer)
    }
}

fn read_files<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HashMap<String, String>, D::Error> {
    struct Files;

    impl<'de> Visitor<'de> for Files {
        type Value = HashMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of file names and URLs")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut files = HashMap::new();
            while let Some((name, url)) = map.next_entry()? {
                if files.insert(name, url).is_some() {
                    return Err(de::Error::custom(NAME_TWICE));
                }
            }
            Ok(files)
        }
    }

    deserializer.deserialize_map(Files)
}

/// In the order of the names: the same description is always the same bytes.
pub(super) fn write_files<S: Serializer>(
    files: &HashMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let files: BTreeMap<&str, &str> = files.iter().map(|(n, u)| (&**n, &**u)).collect();
    files.serialize(serializer)
}

#[cfg(test)]
pub(super) mod tests;
