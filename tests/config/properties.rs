//! Any config comes back as it was, and no text makes it say what it read.

use proptest::prelude::*;
use serde_json::json;

use super::{CANARY, others};
use data_manager::data_manager::{Config, ConfigText, Durability, HttpHeaderConfig, MirrorConfig};

fn text() -> impl Strategy<Value = ConfigText> {
    let reference = ("[ -~]{1,12}", prop::option::of("[ -~]{1,8}"), any::<bool>());
    prop_oneof![
        any::<String>().prop_map(ConfigText::from),
        reference.prop_map(|(place, prefix, in_file)| {
            let mut json = json!({ if in_file { "file" } else { "env" }: place });
            if let Some(prefix) = prefix {
                json["prefix"] = prefix.into();
            }
            serde_json::from_value(json).unwrap()
        }),
    ]
}

proptest! {
    #[test]
    fn a_config_comes_back_as_it_was(
        numbers in prop::array::uniform8(any::<u64>()),
        sizes in prop::collection::vec(1..=usize::MAX, 3),
        limits in prop::array::uniform2(prop::option::of(1..=u64::MAX)),
        flags in prop::array::uniform3(any::<bool>()),
        modes in (prop::option::of(0o0..=0o77u32), prop::option::of(0o0..=0o77u32)),
        durability in prop::sample::select(vec![Durability::Full, Durability::Ordered, Durability::None]),
        texts in prop::collection::vec(text(), 0..4),
        words in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let mut config = Config::default();
        config.data_dir = words.concat().into();
        config.slots = sizes[0];
        config.slots_per_host = sizes.get(1).copied();
        config.threads = sizes.get(2).copied();
        config.first_backoff_ms = numbers[0].max(1);
        config.longest_backoff_ms = u64::MAX;
        config.connect_timeout_ms = numbers[1].max(1);
        config.stall_timeout_ms = numbers[2].max(1);
        config.min_rate = numbers[3];
        config.rate_window_ms = numbers[4].max(1);
        config.shutdown_timeout_ms = numbers[5];
        config.partials_max_bytes = numbers[6];
        config.partials_max_age_ms = numbers[7];
        [config.bandwidth_limit, config.scrub_rate] = limits;
        config.max_bytes = limits[0].map(|limit| limit - 1);
        [config.no_proxy, config.allow_private_redirects, config.accept_unframed] = flags;
        config.dir_mode = modes.0.map(|mode| mode | 0o700);
        config.file_mode = modes.1.map(|mode| mode | 0o600);
        config.durability = durability;
        config.proxy = texts.first().cloned();
        config.http_headers = texts.iter().map(|value| HttpHeaderConfig::new("h", "n", value.clone())).collect();
        config.root_certificates = texts;
        config.serve_files_from = words.iter().map(Into::into).collect();
        config.mirrors = vec![MirrorConfig::new("p", words)];
        let json = serde_json::to_string_pretty(&config).unwrap();
        prop_assert_eq!(Config::from_json(&json).unwrap(), config);
    }

    #[test]
    fn no_text_makes_it_panic_or_say_what_it_read(text in "[ -~]{0,40}", key in prop::sample::select(others().into_keys().collect::<Vec<_>>())) {
        let _ = Config::from_json(&text);
        // In the place of any value; the names of our own things may be in what is told.
        let told = Config::from_json(&json!({key: [{"x": format!("{CANARY}{text}")}]}).to_string()).unwrap_err();
        prop_assert!(!told.to_string().contains(CANARY), "{}", told);
    }
}
