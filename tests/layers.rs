//! The house of `docs/architecture.md`, held against the imports: a module uses what stands behind its arrow, all of it and
//! nothing else, and no files import one another in a circle. Unit tests are left out of both.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Module -> the modules that it imports, floor by floor. A new module is a new row.
const HOUSE: &[(&str, &[&str])] = &[
    // floor 0
    ("access", &[]),
    ("affinity", &[]),
    ("headers", &[]),
    ("limits", &[]),
    ("proxy_protocol", &[]),
    ("stream", &[]),
    // floor 1
    ("http1", &["headers", "stream"]),
    ("observe", &["stream"]),
    ("template", &["headers", "stream"]),
    ("tls", &["stream"]),
    ("tunnel", &["stream"]),
    // floor 2
    ("answer_fields", &["headers", "http1", "template"]),
    ("engineio", &["affinity", "observe"]),
    ("returns", &["template"]),
    ("routing", &["headers", "template"]),
    (
        "upstream",
        &["affinity", "headers", "http1", "stream", "template", "tls"],
    ),
    // floor 3
    ("clients", &["engineio", "headers"]),
    (
        "decision",
        &[
            "access",
            "answer_fields",
            "headers",
            "observe",
            "returns",
            "routing",
            "stream",
            "template",
        ],
    ),
    // floor 4
    (
        "config",
        &[
            "access",
            "answer_fields",
            "clients",
            "engineio",
            "headers",
            "limits",
            "returns",
            "routing",
            "stream",
            "template",
            "tls",
            "upstream",
        ],
    ),
    (
        "proxy",
        &[
            "access",
            "affinity",
            "answer_fields",
            "decision",
            "headers",
            "http1",
            "limits",
            "observe",
            "routing",
            "stream",
            "tunnel",
            "upstream",
        ],
    ),
    // floor 5
    (
        "listener",
        &[
            "decision",
            "headers",
            "http1",
            "limits",
            "observe",
            "proxy",
            "proxy_protocol",
            "stream",
            "tls",
            "tunnel",
        ],
    ),
    (
        "nginx",
        &[
            "access",
            "answer_fields",
            "config",
            "headers",
            "returns",
            "routing",
            "stream",
            "template",
            "tls",
            "upstream",
        ],
    ),
    (
        "table",
        &["config", "decision", "observe", "routing", "upstream"],
    ),
    // floor 6
    (
        "explain",
        &[
            "clients", "config", "decision", "headers", "routing", "stream", "table",
        ],
    ),
    (
        "server",
        &[
            "affinity", "config", "decision", "engineio", "headers", "limits", "listener",
            "observe", "proxy", "routing", "stream", "table", "tls", "tunnel", "upstream",
        ],
    ),
    // floor 7
    (
        "cli",
        &[
            "access",
            "answer_fields",
            "clients",
            "config",
            "engineio",
            "explain",
            "headers",
            "nginx",
            "observe",
            "routing",
            "server",
            "stream",
            "tls",
            "upstream",
        ],
    ),
];

/// A file of `src`: its path there, and its code without comments and unit tests.
struct Source {
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let mut sources = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&root).expect("under src").to_owned();
        if !is_of_tests(&inside) {
            let text = fs::read_to_string(&path).expect("a source file");
            let code = code(&text);
            sources.push(Source { path: inside, code });
        }
    }
    assert!(
        sources.len() >= 150,
        "only {} files were read",
        sources.len()
    );
    sources
}

/// Whether a file is there for unit tests only.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        let name = part.trim_end_matches(".rs");
        matches!(name, "tests" | "test_support") || name.ends_with("_tests")
    })
}

/// The text without comments, up to the unit tests, which stand last.
fn code(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut code = String::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            while lines.peek().is_some_and(|next| next.starts_with("#[")) {
                lines.next();
            }
            // A line that ends here is about one item; a block is the tests themselves.
            match lines.next() {
                Some(item) if item.ends_with(';') => continue,
                _ => break,
            }
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// The module that a file belongs to: `proxy/answer.rs` and `proxy/mod.rs` belong to `proxy`, `main.rs` is `main`.
fn module(path: &Path) -> String {
    let first = path.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// All paths that the code names behind `crate::`, as their parts: `crate::proxy::Handle` is `proxy`, `Handle`.
fn named(code: &str) -> BTreeSet<Vec<String>> {
    let paths = code.match_indices("crate::").map(|(at, found)| {
        let rest = &code[at + found.len()..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches(':');
        assert!(
            !path.is_empty(),
            "a list behind `crate::`: one line an import"
        );
        path.split("::").map(str::to_owned).collect()
    });
    paths.collect()
}

#[test]
fn a_module_uses_just_what_its_row_says() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let module = module(&source.path);
        if module == "lib" || module == "main" {
            continue;
        }
        let uses = used.entry(module.clone()).or_default();
        uses.extend(named(&source.code).into_iter().map(|path| path[0].clone()));
        uses.remove(&module);
    }
    let mut wrong = Vec::new();
    for (module, uses) in &used {
        let Some((_, row)) = HOUSE.iter().find(|(of, _)| of == module) else {
            wrong.push(format!("`{module}` has no row in tests/layers.rs"));
            continue;
        };
        for name in uses {
            if !row.contains(&name.as_str()) {
                wrong.push(format!("`{module}` may not use `{name}`"));
            }
        }
        for name in *row {
            if !uses.contains(*name) {
                wrong.push(format!(
                    "`{module}` does not use `{name}`, which its row grants"
                ));
            }
        }
    }
    for (module, _) in HOUSE {
        if !used.contains_key(*module) {
            wrong.push(format!("`{module}` has a row and is no module"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_leads_downward_so_there_is_no_circle_of_modules() {
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

/// Which files each file imports. A file may use what the face of a module shows that it stands in (`proxy/answer.rs` what
/// `proxy/mod.rs` shows), so that this is not counted.
fn imports(sources: &[Source]) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files: BTreeSet<&Path> = sources.iter().map(|source| source.path.as_path()).collect();
    let file = |path: &[String]| {
        (1..=path.len()).rev().find_map(|length| {
            let folder: PathBuf = path[..length].iter().collect();
            let candidates = [folder.with_extension("rs"), folder.join("mod.rs")];
            candidates
                .into_iter()
                .find(|candidate| files.contains(candidate.as_path()))
        })
    };
    let of_source = sources.iter().map(|source| {
        let all = named(&source.code);
        let imported = all.iter().filter_map(|path| file(path)).filter(|imported| {
            let face = match imported.file_name() {
                Some(name) if name == "mod.rs" => imported.parent().map(Path::to_owned),
                _ => Some(imported.with_extension("")),
            };
            *imported != source.path && !face.is_some_and(|face| source.path.starts_with(face))
        });
        (source.path.clone(), imported.collect())
    });
    of_source.collect()
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let imports = imports(&sources());
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() >= 500);
    let mut left: BTreeMap<&Path, BTreeSet<&Path>> = imports
        .iter()
        .map(|(path, all)| (path.as_path(), all.iter().map(PathBuf::as_path).collect()))
        .collect();
    // Files that import nothing that is left are taken away, until only circles are left and what imports them.
    loop {
        let free: Vec<&Path> = left
            .iter()
            .filter(|(_, all)| all.is_empty())
            .map(|(path, _)| *path)
            .collect();
        if free.is_empty() {
            break;
        }
        for path in &free {
            left.remove(path);
        }
        for all in left.values_mut() {
            all.retain(|path| !free.contains(path));
        }
    }
    // The same from the other side: what nothing imports that is left only leads to a circle.
    loop {
        let imported: BTreeSet<&Path> = left.values().flatten().copied().collect();
        let before = left.len();
        left.retain(|path, _| imported.contains(path));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "a circle among {:?}", left.keys());
}

/// The rows of the table in the document: module and what it uses, without the floor and what it is.
fn documented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [floor, module, _, uses] = cells[..] else {
            return None;
        };
        floor.parse::<usize>().ok()?;
        let uses = uses.split(", ").filter(|name| *name != "-");
        let module = module.trim_matches('`').to_owned();
        Some((module, uses.map(str::to_owned).collect()))
    });
    rows.collect()
}

#[test]
fn the_floors_in_the_document_are_those_of_the_table() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let documented = documented(&fs::read_to_string(document).expect("the document"));
    let house: BTreeMap<String, BTreeSet<String>> = HOUSE
        .iter()
        .map(|(module, uses)| {
            let uses = uses.iter().map(|name| (*name).to_owned()).collect();
            ((*module).to_owned(), uses)
        })
        .collect();
    assert_eq!(documented, house);
}

#[test]
fn only_the_schema_names_the_yaml_crate() {
    let all = sources();
    let naming = all
        .iter()
        .filter(|source| source.code.contains("serde_yaml"));
    let naming: Vec<&Path> = naming.map(|source| source.path.as_path()).collect();
    assert_eq!(naming, [Path::new("config/schema.rs")]);
}
