//! What holds for every `file://` URL that is accepted. Panics where it does not.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use std::path::Component;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;

/// The path is absolute, goes nowhere but down, and is the path of the URL that is made from it.
pub fn file_url(url: &str) {
    let Ok(path) = path_of(url) else {
        return;
    };
    let mut components = path.components();
    assert_eq!(components.next(), Some(Component::RootDir), "{url}");
    assert!(
        components.all(|part| matches!(part, Component::Normal(_))),
        "{url}"
    );
    let text = path.to_str().expect("it was decoded as UTF-8");
    assert!(!text.contains('\0'));
    let parts = text
        .split('/')
        .map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string());
    let written = format!("file://{}", parts.collect::<Vec<_>>().join("/"));
    assert_eq!(path_of(&written).ok().as_ref(), Some(&path), "{written}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_source::CancelToken;
    use proptest::prelude::*;
    use std::io::Read;

    proptest! {
        #[test]
        fn urls(any in ".*", path in "([a-z./]|%2e|%2F|%00|%ff|%c3%a4|\\\\){0,16}", host in "(localhost|h|u@|:1)?") {
            file_url(&any);
            file_url(&format!("file://{host}/{path}"));
            file_url(&format!("file:/{path}"));
        }

        /// Whatever the URL: what is served lies below the root.
        #[test]
        fn nothing_outside_the_root_is_served(path in "(/|%2f|\\.|\\.\\.|%2e|root|secret|in|link|a){0,9}") {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            fs::create_dir_all(root.join("a")).unwrap();
            fs::write(root.join("in"), "inside").unwrap();
            fs::write(root.join("a/in"), "inside").unwrap();
            fs::write(dir.path().join("secret"), "outside").unwrap();
            std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
            std::os::unix::fs::symlink("..", root.join("a/a")).unwrap();
            let source = FileSource::new([root.clone()]);
            let url = format!("file://{}/{path}", root.display());
            if let Ok(mut opened) = source.open(&OpenRequest::new(&url, &CancelToken::new())) {
                let mut text = String::new();
                opened.reader.read_to_string(&mut text).unwrap();
                prop_assert_eq!(text, "inside", "{}", url);
            }
        }
    }
}
