//! The house of `docs/architecture.md`, held against the imports: a module may use only what stands behind its arrow.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Module -> the modules that it may import, floor by floor. A new module is a new row.
const HOUSE: &[(&str, &[&str])] = &[
    // floor 0
    ("access", &[]),
    ("headers", &[]),
    ("limits", &[]),
    ("observe", &[]),
    ("routing", &[]),
    ("stream", &[]),
    // floor 1
    ("engineio", &["observe"]),
    ("http1", &["headers"]),
    ("template", &["headers"]),
    ("tls", &["stream"]),
    ("tunnel", &["stream"]),
    // floor 2
    ("clients", &["engineio", "headers"]),
    ("returns", &["template"]),
    ("upstream", &["observe", "stream", "tls"]),
    // floor 3
    (
        "config",
        &[
            "access", "clients", "engineio", "headers", "limits", "returns", "routing", "template",
            "tls", "upstream",
        ],
    ),
    (
        "decision",
        &["access", "headers", "returns", "routing", "template"],
    ),
    // floor 4
    (
        "nginx",
        &[
            "access", "config", "headers", "returns", "routing", "template", "upstream",
        ],
    ),
    (
        "proxy",
        &[
            "access", "decision", "headers", "http1", "limits", "observe", "routing", "stream",
            "tunnel", "upstream",
        ],
    ),
    ("table", &["config", "decision", "routing", "upstream"]),
    // floor 5
    (
        "explain",
        &[
            "clients", "config", "decision", "headers", "routing", "table",
        ],
    ),
    (
        "listener",
        &[
            "access", "decision", "headers", "http1", "limits", "observe", "proxy", "stream",
            "tls", "tunnel",
        ],
    ),
    // floor 6
    (
        "server",
        &[
            "config", "decision", "engineio", "limits", "listener", "observe", "proxy", "routing",
            "table", "tls", "tunnel", "upstream",
        ],
    ),
    // floor 7
    (
        "cli",
        &[
            "access", "clients", "config", "engineio", "explain", "headers", "nginx", "routing",
            "server", "tls", "upstream",
        ],
    ),
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&source_folder(), &mut found);
    found.sort();
    found
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The room that a file belongs to: `src/proxy/request.rs` and `src/main.rs` are in `proxy` and `main`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(source_folder()).expect("under src");
    let first = inside
        .components()
        .next()
        .expect("a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What a file names of the crate: `crate::NAME` anywhere outside of comments, also in braces after `crate::`.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, found) in code.match_indices("crate::") {
            let rest = &code[at + found.len()..];
            let list = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default().to_owned(),
                None => rest.to_owned(),
            };
            for item in list.split(',') {
                let name: String = item
                    .trim()
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                names.insert(name);
                if !rest.starts_with('{') {
                    break;
                }
            }
        }
    }
    names
}

#[test]
fn no_module_reaches_upward() {
    let house: BTreeMap<&str, &[&str]> = HOUSE.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut read = 0;
    for path in sources() {
        let room = room(&path);
        if room == "lib" || room == "main" {
            continue;
        }
        read += 1;
        let Some(allowed) = house.get(room.as_str()) else {
            wrong.push(format!(
                "{}: `{room}` has no row in tests/layers.rs",
                path.display()
            ));
            continue;
        };
        for name in named(&fs::read_to_string(&path).expect("a source file")) {
            if name != room && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: `{room}` may not use `{name}`", path.display()));
            }
        }
    }
    assert!(read >= 40, "only {read} files were read");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_leads_downward_so_there_is_no_cycle() {
    for (at, (module, uses)) in HOUSE.iter().enumerate() {
        for used in *uses {
            let below = HOUSE[..at].iter().any(|(lower, _)| lower == used);
            assert!(
                below,
                "`{module}` uses `{used}`, which does not stand above it in the table"
            );
        }
    }
}

#[test]
fn only_the_schema_names_the_yaml_crate() {
    let naming: Vec<String> = sources()
        .iter()
        .filter(|path| {
            fs::read_to_string(path)
                .expect("a source file")
                .contains("serde_yaml")
        })
        .map(|path| {
            path.strip_prefix(source_folder())
                .expect("under src")
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(naming, ["config/schema.rs"]);
}
