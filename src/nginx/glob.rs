//! Finds the files that a pattern of `include` names, as glob(3) does for nginx: with `*`, `?` and `[…]`, and sorted.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The most files that one pattern may name; a directory with more was hardly meant.
const MOST: usize = 1_000;

/// Whether `path` is a pattern and not the name of one file.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The existing paths that `pattern` names; a relative pattern is looked up below `dir`.
pub(super) fn expand(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = match pattern.strip_prefix('/') {
        Some(_) => vec![PathBuf::from("/")],
        None => vec![dir.to_owned()],
    };
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !is_pattern(part) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        found = found
            .iter()
            .flat_map(|path| matching(path, part))
            .take(MOST)
            .collect();
    }
    found.retain(|path| path.exists());
    found
}

/// The entries of `dir` whose names match the pattern `part`, sorted. A leading dot is matched by a dot only.
fn matching(dir: &Path, part: &str) -> Vec<PathBuf> {
    let here = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let mut names: Vec<String> = fs::read_dir(here)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') || part.starts_with('.'))
        .filter(|name| matches(part, name))
        .collect();
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// Whether `pattern` matches `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut letter) = (0, 0);
    // The position behind the last star, and the next letter that the star would take.
    let mut star = None;
    while letter < name.len() {
        let step = pattern.get(at).and_then(|wanted| match wanted {
            '*' => None,
            '?' => Some(1),
            '[' => class(&pattern[at..], name[letter]),
            wanted => (*wanted == name[letter]).then_some(1),
        });
        if let Some(length) = step {
            at += length;
            letter += 1;
        } else if pattern.get(at) == Some(&'*') {
            at += 1;
            star = Some((at, letter));
        } else if let Some((behind, swallowed)) = star {
            at = behind;
            letter = swallowed + 1;
            star = Some((behind, letter));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|left| *left == '*')
}

/// The length of the `[…]` at the beginning of `pattern`, if it matches `letter`.
fn class(pattern: &[char], letter: char) -> Option<usize> {
    let not = matches!(pattern.get(1), Some('!' | '^'));
    let first = if not { 2 } else { 1 };
    // A closing bracket at the very beginning is one of the letters.
    let end = (first + 1..pattern.len()).find(|at| pattern[*at] == ']')?;
    let mut inside = &pattern[first..end];
    let mut found = false;
    while let Some(one) = inside.first() {
        if let (Some('-'), Some(last)) = (inside.get(1), inside.get(2)) {
            found |= (*one..=*last).contains(&letter);
            inside = &inside[3..];
        } else {
            found |= *one == letter;
            inside = &inside[1..];
        }
    }
    (found != not).then_some(end + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use crate::nginx::glob::expand;
    use crate::nginx::glob::matches;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, is_it) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*", "", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("?", "é", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", false),
        ] {
            assert_eq!(matches(pattern, name), is_it, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_found_in_their_order_and_hidden_ones_are_not() {
        let dir = TempDir::new().unwrap();
        for name in [
            "sites/b/x.conf",
            "sites/a/x.conf",
            "sites/a/.y.conf",
            "sites/a/z.txt",
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let short = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
            expand(dir.path(), pattern)
                .iter()
                .map(|path| short(path))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found("sites/*/*.conf"),
            ["sites/a/x.conf", "sites/b/x.conf"]
        );
        assert_eq!(found("sites/a/.*"), ["sites/a/.y.conf"]);
        assert_eq!(found("none/*.conf"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_pattern_is_too_strange(pattern in "[*?\\[\\]!a-c-]{0,12}", name in "[a-c\\[\\]-]{0,12}") {
            matches(&pattern, &name);
            prop_assert!(matches("*", &name));
        }
    }
}
